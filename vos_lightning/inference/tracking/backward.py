"""Follow objects backward in time, from where they were given first."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch import Tensor

from vos_lightning.ids import present_ids
from vos_lightning.inference.tracking.track import Frame, Ids, Track
from vos_lightning.io.frame_source import FrameSource

# Frames of a video that are read, and held, at a time: from one key frame on, several cost little more than one.
READ_AT_ONCE = 16

Frames = FrameSource | Sequence[Frame] | np.ndarray | Tensor


def track_backward(track: Track, frames: Frames, given: Mapping[int, Ids]) -> Iterator[tuple[int, Ids]]:
    """Masks before the frames in which objects were given first.

    Args:
        track: a fresh one.
        frames: of the video; may be asked for in any order.
        given: masks (H, W) by frame.

    Yields:
        Index and ids (H, W) uint8 of each frame, from the last frame in which a new object was given to the first of
        the video. Objects are in the masks up to the frame in which each was given first.
    """
    prompts = first_masks(given)
    for t, frame in _reversed(frames, max(prompts)):
        yield t, track.step(frame, prompts.get(t))


def first_masks(given: Mapping[int, Ids]) -> dict[int, Ids]:
    """Of given masks by frame, those parts whose object was given for no earlier frame; frames without any left out."""
    known: set[int] = set()
    result = {}
    for t in sorted(given):
        new = sorted(set(present_ids(given[t])) - known)
        known.update(new)
        if new:
            result[t] = np.where(np.isin(given[t], new), given[t], 0)
    return result


def _reversed(frames: Frames, last: int) -> Iterator[tuple[int, Frame]]:
    """Index and frame, from the last one asked for to the first of the video."""
    for end in range(last + 1, 0, -READ_AT_ONCE):
        indices = range(max(0, end - READ_AT_ONCE), end)
        some = frames.read(indices) if isinstance(frames, FrameSource) else [frames[t] for t in indices]
        yield from zip(reversed(indices), reversed(some), strict=True)
