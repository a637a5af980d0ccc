"""One sequence's adapter: it observes frames with their propagated masks, learns them, and segments them anew."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from vos_lightning.functional.losses import merge_unknown
from vos_lightning.inference.adaptation_frames import Pixels, Seen, TrainingFrame, TrainingFrames
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
        self._trusted: list[int] = []  # ids that the network draws well
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
            self._trusted = [i for i, fit in self._fits().items() if fit >= self.settings.min_fit]
            if look is not None:
                look()

    def segment(self, image: Pixels, seen: Seen) -> Ids:
        """Final mask of an observed frame, (H, W); the propagated one as long as nothing was learned.

        Args:
            image: RGB (size, size, 3).
            seen: what `observe` returned for it.
        """
        propagated = seen.mask.ids()
        if not self._trusted:
            return propagated
        ids = self._draw(image, seen, self._trusted, self.settings.prior)
        # objects that the network doesn't know, or not well enough: only the propagated mask knows of them
        others = np.where(np.isin(propagated, self._trusted), np.uint8(0), propagated)
        ids = put_over(ids, others) if others.any() else ids
        return ids if seen.given is None else put_over(ids, seen.given.ids())

    def draw(self, image: Pixels, seen: Seen) -> Ids:
        """What the network alone sees in an observed frame, (H, W); arguments as for `segment`."""
        return self._draw(image, seen, self._learned, prior=0.0)

    @property
    def _learned(self) -> list[int]:
        """Ids that the network has outputs for."""
        return self.object_ids[: max(0, self.network.num_classes - 1)]

    @torch.inference_mode()
    def _draw(self, image: Pixels, seen: Seen, ids: Sequence[int], prior: float) -> Ids:
        """Draw some objects; of the others, those unknown at the time among them, the network's idea is background."""
        channels = [0, *self._learned]
        propagated = torch.from_numpy(seen.mask.ids()).to(self.network.device)
        logits = self.network.predict(image)[None]
        logits = F.interpolate(logits, propagated.shape, mode="bilinear", align_corners=False)
        for k, object_id in enumerate(channels):
            logits[0, k] += prior * (propagated == object_id)
        drawn = {0, *ids} & {0, *self.object_ids[: seen.num_classes - 1]}
        known = torch.tensor([[object_id in drawn for object_id in channels]], device=logits.device)
        table = torch.tensor(channels, dtype=torch.uint8, device=logits.device)
        result: Ids = table[merge_unknown(logits, known)[0].argmax(0)].cpu().numpy()
        return result

    def _fits(self) -> dict[int, float]:
        """How well the network alone redraws each object's given masks: intersection over union, by id."""
        overlap, union = dict.fromkeys(self._learned, 0), dict.fromkeys(self._learned, 0)
        for frame in self.frames:
            if frame.seen.given is None:
                continue
            drawn, given = self.draw(frame.image, frame.seen), frame.seen.given.ids()
            for object_id in set(np.unique(given).tolist()) & overlap.keys():
                overlap[object_id] += int(((drawn == object_id) & (given == object_id)).sum())
                union[object_id] += int(((drawn == object_id) | (given == object_id)).sum())
        return {object_id: overlap[object_id] / max(1, union[object_id]) for object_id in self._learned}

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
