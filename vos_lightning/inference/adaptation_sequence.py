"""One sequence's adapter: it observes frames with their propagated masks, learns them, and segments them anew."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F

from vos_lightning.inference.adaptation_frames import Pixels, Seen, TrainingFrame, TrainingFrames
from vos_lightning.inference.adaptation_loss import merge_unknown
from vos_lightning.inference.adaptation_masks import Ids, PackedMask, put_over
from vos_lightning.inference.adaptation_network import SequenceNetwork
from vos_lightning.inference.adaptation_settings import AdapterSettings
from vos_lightning.transforms.images import resize_mask


class SequenceAdapter:
    """Fresh for every sequence.

    Args:
        settings: how it learns.
        sequence: name; seeds all that is random.
        device: where it runs.
        given: masks that the user gave, by frame; None: the first mask that isn't empty.
    """

    def __init__(
        self,
        settings: AdapterSettings,
        sequence: str = "",
        device: str | torch.device = "cpu",
        given: Mapping[int, Ids] | None = None,
    ) -> None:
        self.settings = settings
        self.object_ids: list[int] = []
        self.frames = TrainingFrames(settings.max_frames)
        self.network = SequenceNetwork(settings, sequence, torch.device(device))
        self._given = given
        self._count = 0
        self._start = 0  # frame of the first object

    def observe(self, image: Pixels, ids: Ids) -> Seen:
        """Take in the next frame.

        Args:
            image: RGB (size, size, 3).
            ids: its propagated mask, (H, W) in the video's size.
        """
        t, given = self._count, self._given_for(ids)
        self._count += 1
        ids = ids if given is None else put_over(ids, given)
        new = [int(i) for i in np.unique(ids) if i and i not in self.object_ids]
        if new and not self.object_ids:
            self._start = t
        self.object_ids += new
        seen = Seen(t, PackedMask(ids), 1 + len(self.object_ids), None if given is None else PackedMask(given))
        if self.object_ids:
            labels = self._classes()[resize_mask(ids, self.settings.size)]
            weight = 1.0 if given is not None else self.settings.frame_weight(t - self._start)
            self.frames.add(TrainingFrame(image, labels, seen, weight))
        return seen

    def train(self, steps: int, portion: int | None = None, look: Callable[[], None] | None = None) -> None:
        """Learn from the frames observed so far; nothing without an object.

        Args:
            steps: at most; fewer where the wall-clock budget ends.
            portion: steps between two looks.
            look: called after each portion.
        """
        if not len(self.frames):
            return
        portion = portion or max(1, steps)
        for done in range(0, steps, portion):
            if self.network.exhausted:
                return
            self.network.train(self.frames, 1 + len(self.object_ids), min(portion, steps - done))
            if look is not None:
                look()

    @torch.inference_mode()
    def segment(self, image: Pixels, seen: Seen) -> Ids:
        """Mask of an observed frame, (H, W); the propagated one as long as nothing was learned.

        Args:
            image: RGB (size, size, 3).
            seen: what `observe` returned for it.
        """
        propagated = seen.mask.ids()
        learned = self.network.num_classes
        if not learned:
            return propagated
        logits = self.network.predict(image)
        logits = F.interpolate(logits[None], propagated.shape, mode="bilinear", align_corners=False)
        known = torch.arange(learned, device=logits.device)[None] < seen.num_classes
        classes = merge_unknown(logits, known)[0].argmax(0).to(torch.uint8).cpu().numpy()
        ids: Ids = np.array([0, *self.object_ids], np.uint8)[classes]
        # objects given since the last training: only the propagated mask knows of them
        strangers = np.where(np.isin(propagated, self.object_ids[learned - 1 :]), propagated, np.uint8(0))
        ids = put_over(ids, strangers) if strangers.any() else ids
        return ids if seen.given is None else put_over(ids, seen.given.ids())

    def _given_for(self, ids: Ids) -> Ids | None:
        """What was given for the next frame."""
        if self._given is not None:
            return self._given.get(self._count)
        return ids if not self.object_ids and ids.any() else None

    def _classes(self) -> Ids:
        """Class of each id, (256,)."""
        table = np.zeros(256, np.uint8)
        table[self.object_ids] = np.arange(1, 1 + len(self.object_ids))
        return table
