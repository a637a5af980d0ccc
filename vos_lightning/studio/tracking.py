"""What the studio asks of the library: masks with their uncertainty, one frame after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
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
    """

    ids: NDArray[np.uint8]
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


def follow(track: Track, frame: NDArray[np.uint8]) -> TrackedMask:
    """Follow the objects into one more frame, in whichever direction."""
    ids = track.step(frame)
    return TrackedMask(ids, {i: round(score, 4) for i, score in track.uncertainty.items()})
