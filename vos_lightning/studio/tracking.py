"""What the studio asks of the library, and all that it knows of its inside: soft masks, one frame after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from vos_lightning.inference.segmenter import VideoSegmenter
    from vos_lightning.inference.soft_masks import SoftMask

Ids = NDArray[np.uint8]
"""Object ids of a frame, (H, W)."""
Shares = NDArray[np.uint8]
"""How much of each position belongs to each of K objects, (K, h, w), 255 is all."""


@dataclass(frozen=True)
class TrackerSettings:
    """Which weights track and where, see `VideoSegmenter`."""

    weights: str = "default"
    device: str = "auto"
    max_size: int | None = None


@dataclass(frozen=True)
class Belief:
    """What is known of one frame.

    Args:
        object_ids: of the K objects that are followed.
        shares: of these objects.
        ids: the mask.
        uncertainty: of each object, 0…1, by id.
    """

    object_ids: tuple[int, ...]
    shares: Shares
    ids: Ids
    uncertainty: dict[int, float]


class Tracker:
    """The library's tracker. Making one takes seconds: torch is imported.

    Args:
        settings: which weights, where.

    Raises:
        VOSError: weights or device that can't be used.
    """

    def __init__(self, settings: TrackerSettings) -> None:
        from vos_lightning.inference.segmenter import VideoSegmenter

        self._segmenter = VideoSegmenter(settings.weights, settings.device, settings.max_size)

    def track(self) -> Track:
        """A track for one pass through the video."""
        return Track(self._segmenter)


class Track:
    """Objects followed from a given frame on, in whatever order the frames are fed.

    Args:
        segmenter: whose networks track.
    """

    def __init__(self, segmenter: VideoSegmenter) -> None:
        self._device = segmenter.device
        self._propagator: Any = segmenter._tracker.propagator(segmenter.max_size)

    def step(self, frame: NDArray[np.uint8], mask: Ids | None = None) -> Belief:
        """Follow the objects into one more frame.

        Args:
            frame: RGB (H, W, 3).
            mask: the given ids, with the first frame.
        """
        import torch

        given = None if mask is None else torch.from_numpy(mask).to(self._device)
        image = torch.from_numpy(frame).permute(2, 0, 1).to(self._device)
        ids = self._propagator.step(image, given).cpu().numpy()
        object_ids = tuple(self._propagator.object_ids)
        probs = self._propagator._memory.read([self._propagator._t])[1][0, 0, 1:]
        shares = (probs * 255).round().to(torch.uint8).cpu().numpy()
        return Belief(object_ids, shares, ids, _soft(object_ids, shares).uncertainty())

    def merge(self, here: Belief, there: tuple[tuple[int, ...], Shares], position: float) -> Belief:
        """What two directions say together.

        Args:
            here: what this track says.
            there: object ids and shares of the same frame, of a track that came the other way.
            position: of the frame, 0 where this track comes from, 1 where the other does.
        """
        import torch
        import torch.nn.functional as F

        from vos_lightning.inference.soft_masks import merge

        merged = merge(_soft(here.object_ids, here.shares), _soft(*there), position)
        frames, size = self._propagator._frames, here.ids.shape
        padded = frames.fit(torch.zeros(1, 1, *size)).shape[-2:]
        probs = F.interpolate(merged.full()[None], padded, mode="bilinear", align_corners=False)
        ids = torch.tensor([0, *merged.object_ids], dtype=torch.uint8)
        mask = ids[frames.restore(probs, (size[0], size[1]))[0].argmax(0)].numpy()
        shares = (merged.shares * 255).round().to(torch.uint8).numpy()
        return Belief(merged.object_ids, shares, mask, merged.uncertainty())


def _soft(object_ids: tuple[int, ...], shares: Shares) -> SoftMask:
    import torch

    from vos_lightning.inference.soft_masks import SoftMask

    return SoftMask(object_ids, torch.from_numpy(shares).float() / 255)
