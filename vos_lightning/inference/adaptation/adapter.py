"""One sequence's adapter: it observes frames with their propagated masks, learns them, and segments them anew."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from vos_lightning.functional.losses import merge_unknown
from vos_lightning.inference.adaptation.network import SequenceNetwork
from vos_lightning.inference.adaptation.settings import AdapterSettings
from vos_lightning.inference.packed_mask import Ids, PackedMask
from vos_lightning.transforms.images import Pixels
from vos_lightning.transforms.training_frames import TrainingFrames


class SequenceAdapter:
    """Made anew for every sequence.

    Args:
        settings: of training and segmentation.
        sequence: name; part of the seed of order and augmentation.
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
        self.frames = TrainingFrames(settings.size, settings.batch_size, settings.max_frames, settings.seed, sequence)
        self.network = SequenceNetwork(settings, torch.device(device))
        self._given = given
        self._count = 0
        self._observed: dict[int, ObservedFrame] = {}  # of the training frames
        self._trusted: list[int] = []  # ids that the network reproduces well

    @property
    def object_ids(self) -> list[int]:
        """Ids in order of appearance."""
        return self.frames.object_ids

    def observe(self, image: Pixels, ids: Ids) -> "ObservedFrame":
        """Take in the next frame.

        Args:
            image: RGB (size, size, 3).
            ids: its propagated mask, (H, W) in the video's size.
        """
        t, given = self._count, self._given_for(ids)
        self._count += 1
        ids = ids if given is None else put_over(ids, given)
        self.frames.add(image, ids, given is not None)
        frame = ObservedFrame(
            t, PackedMask(ids), 1 + len(self.object_ids), None if given is None else PackedMask(given)
        )
        self._observed[t] = frame
        self._observed = {kept.index: self._observed[kept.index] for kept in self.frames}
        return frame

    def train(self, steps: int) -> None:
        """Learn from the frames observed so far, within the wall-clock budget; does nothing without an object."""
        if len(self.frames):
            self.network.train(self.frames, steps)
            self._trusted = [i for i, fit in self._fits().items() if fit >= self.settings.min_fit]

    def segment(self, image: Pixels, frame: "ObservedFrame") -> Ids:
        """Final mask of an observed frame, (H, W); the propagated one as long as nothing was learned.

        Args:
            image: RGB (size, size, 3).
            frame: what `observe` returned for it.
        """
        propagated = frame.mask.ids()
        if not self._trusted:
            return propagated
        ids = self._predict(image, frame, self._trusted, self.settings.prior)
        # the other objects: unknown to the network, or not learned well enough
        others = np.where(np.isin(propagated, self._trusted), np.uint8(0), propagated)
        ids = put_over(ids, others) if others.any() else ids
        return ids if frame.given is None else put_over(ids, frame.given.ids())

    def predict(self, image: Pixels, frame: "ObservedFrame") -> Ids:
        """Mask of an observed frame by the network alone, (H, W); arguments as for `segment`."""
        return self._predict(image, frame, self._learned, prior=0.0)

    def training_frames(self) -> list[tuple[Pixels, "ObservedFrame"]]:
        """The frames kept for training, RGB (size, size, 3), with what `observe` returned for them."""
        return [(frame.image, self._observed[frame.index]) for frame in self.frames]

    @property
    def _learned(self) -> list[int]:
        """Ids that the network has outputs for."""
        return self.object_ids[: max(0, self.network.num_classes - 1)]

    @torch.inference_mode()
    def _predict(self, image: Pixels, frame: "ObservedFrame", ids: Sequence[int], prior: float) -> Ids:
        """Predict the mask of some objects; what the network takes for any other counts as background."""
        channels = [0, *self._learned]
        propagated = torch.from_numpy(frame.mask.ids()).to(self.network.device)
        logits = self.network.predict(image)[None]
        logits = F.interpolate(logits, propagated.shape, mode="bilinear", align_corners=False)
        for k, object_id in enumerate(channels):
            logits[0, k] += prior * (propagated == object_id)
        wanted = {0, *ids} & {0, *self.object_ids[: frame.num_classes - 1]}
        known = torch.tensor([[object_id in wanted for object_id in channels]], device=logits.device)
        table = torch.tensor(channels, dtype=torch.uint8, device=logits.device)
        result: Ids = table[merge_unknown(logits, known)[0].argmax(0)].cpu().numpy()
        return result

    def _fits(self) -> dict[int, float]:
        """Intersection over union of the network's masks with the given ones, by id."""
        overlap, union = dict.fromkeys(self._learned, 0), dict.fromkeys(self._learned, 0)
        for image, frame in self.training_frames():
            if frame.given is None:
                continue
            predicted, given = self.predict(image, frame), frame.given.ids()
            for object_id in set(np.unique(given).tolist()) & overlap.keys():
                overlap[object_id] += int(((predicted == object_id) & (given == object_id)).sum())
                union[object_id] += int(((predicted == object_id) | (given == object_id)).sum())
        return {object_id: overlap[object_id] / max(1, union[object_id]) for object_id in self._learned}

    def _given_for(self, ids: Ids) -> Ids | None:
        """The mask that the user gave for the next frame."""
        if self._given is not None:
            return self._given.get(self._count)
        return ids if not self.object_ids and ids.any() else None


class ObservedFrame(NamedTuple):
    """What is remembered of a frame besides its picture.

    Attributes:
        t: index of the frame.
        mask: propagated ids, with the given mask over them, in the video's size.
        num_classes: background and objects given so far.
        given: the mask that the user gave for this frame, if any.
    """

    t: int
    mask: PackedMask
    num_classes: int
    given: PackedMask | None


def put_over(ids: Ids, given: Ids) -> Ids:
    """Put a given mask over predicted ids; the predicted pixels of the given objects are removed.

    Args:
        ids: (H, W).
        given: (H, W); 0 where nothing is given.
    """
    kept = np.where(np.isin(ids, np.unique(given)), np.uint8(0), ids)
    return np.where(given != 0, given, kept)
