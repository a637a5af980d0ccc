"""What the studio asks of the library: masks one frame after the other, and frames between two given ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from vos_lightning.inference.tracking.track import Track


@dataclass(frozen=True)
class TrackerSettings:
    """Which weights track and where, see `VideoSegmenter`."""

    weights: str = "default"
    device: str = "auto"
    max_size: int | None = None


@dataclass(frozen=True)
class TrackedMask:
    """A mask that was tracked.

    Args:
        ids: of the objects, (H, W).
        uncertainty: of each object that is followed, 0…1, by id.
        probabilities: of these objects, in their order, at feature positions: (K, h, w), 255 is 1.
    """

    ids: NDArray[np.uint8]
    uncertainty: dict[int, float]
    probabilities: NDArray[np.uint8]


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

    def start(self, given: Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> Track:
        """A track from a given frame on.

        Args:
            given: RGB frames (H, W, 3) and their ids (H, W): those to look back at, and last that to go on from, whose
                objects are followed.
        """
        track = self._segmenter.tracker()
        *others, (frame, mask) = given
        for picture, ids in others:
            track.remember(picture, np.where(np.isin(ids, mask), ids, 0))
        track.step(frame, mask)
        return track

    def arrival(self, ids: NDArray[np.uint8], given: NDArray[np.uint8]) -> dict[int, float]:
        """How well a pass met the given mask that it leads to, see `directions.arrival`."""
        from vos_lightning.inference.directions import arrival

        return arrival(ids, given)

    def merge(
        self,
        frame: NDArray[np.uint8],
        masks: Sequence[TrackedMask],
        arrivals: Sequence[Mapping[int, float]],
        way: float,
    ) -> TrackedMask:
        """A frame (H, W, 3) as two passes see it, the one forward first, put together; see `merge_directions`."""
        from vos_lightning.inference.directions import Side, merge_directions
        from vos_lightning.inference.tracking.uncertainty import expected_region_similarity

        forward, backward = (Side(_by_id(mask), arrival) for mask, arrival in zip(masks, arrivals, strict=True))
        merged = merge_directions(forward, backward, way)
        scores = {i: 1 - float(expected_region_similarity(probs[None])) for i, probs in merged.items()}
        return _tracked(self._segmenter.tracker().draw(frame, merged), scores, merged)


def follow(track: Track, frame: NDArray[np.uint8]) -> TrackedMask:
    """Follow the objects into one more frame, in whichever direction."""
    ids = track.step(frame)
    return _tracked(ids, track.uncertainty, track.probabilities)


def _tracked(ids: NDArray[np.uint8], scores: Mapping[int, float], probabilities: Mapping[int, Tensor]) -> TrackedMask:
    levels = [(255 * probabilities[i]).round().clamp(0, 255).byte().cpu().numpy() for i in scores]
    return TrackedMask(ids, {i: round(score, 4) for i, score in scores.items()}, np.stack(levels))


def _by_id(mask: TrackedMask) -> dict[int, Tensor]:
    import torch

    return {i: torch.from_numpy(one).float() / 255 for i, one in zip(mask.uncertainty, mask.probabilities, strict=True)}
