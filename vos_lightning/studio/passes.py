"""What is to be tracked from where: passes between the frames whose masks were given.

A pass comes from one given frame and looks back at the next one too, if there is one. It is known by its direction,
these frames and digests of the masks given there: `forward-00000-1f2e3d` or `forward-00000-1f2e3d-00031-5a5b5c`.
Paint one of them anew and the pass no longer counts; undo, and it does again. Nothing has to be marked as outdated.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vos_lightning.ids import present_ids

Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class Given:
    """What a given mask holds.

    Args:
        ids: of its objects.
        digest: of its pixels.
    """

    ids: frozenset[int]
    digest: str

    @classmethod
    def of(cls, mask: NDArray[np.uint8]) -> Given:
        """Look at a mask, (H, W)."""
        return cls(frozenset(present_ids(mask)), hashlib.sha256(mask.tobytes()).hexdigest()[:10])


@dataclass(frozen=True)
class TrackingPass:
    """One way from a given frame to the next: `frames` in the order they are tracked in.

    Args:
        anchor: where it comes from.
        other: a second given frame with objects of the anchor, which it looks back at too; None without one.
        key: names it.
        frames: it visits.
        end: the given frame that they lead to; None at an end of the video.
    """

    anchor: int
    other: int | None
    key: str
    frames: range
    end: int | None


class Passes:
    """All passes of a video. It never changes: another given mask makes others.

    Args:
        given: what is given, by frame.
        num_frames: of the video.

    Attributes:
        anchors: given frames that hold an object, where passes start and end; ascending.
    """

    def __init__(self, given: Mapping[int, Given], num_frames: int) -> None:
        self._given = {frame: given[frame] for frame in sorted(given) if given[frame].ids}
        self._num_frames = num_frames
        self.anchors = list(self._given)
        self._keys = {(anchor, way): self._key(anchor, way) for anchor in self.anchors for way in get_args(Direction)}

    @property
    def keys(self) -> frozenset[str]:
        """Of all passes."""
        return frozenset(self._keys.values())

    def keys_at(self, frame: int) -> list[str]:
        """Of the passes that may visit a frame, the one forward first."""
        before, after = self._neighbours(frame)
        keys = [] if before is None else [self._keys[before, "forward"]]
        return keys if after is None else [*keys, self._keys[after, "backward"]]

    def starting_at(self, anchor: int, direction: Direction) -> TrackingPass:
        """The pass from an anchor, a given frame that holds an object, to the next one, or to the end of the video."""
        before, after = self._neighbours(anchor)
        if direction == "forward":
            end, frames = after, range(anchor + 1, self._num_frames if after is None else after)
        else:
            end, frames = before, range(anchor - 1, -1 if before is None else before, -1)
        return TrackingPass(anchor, self._other(anchor, direction), self._keys[anchor, direction], frames, end)

    def beside(self, one: TrackingPass) -> list[TrackingPass]:
        """The passes that visit the same frames, this one among them, the one forward first."""
        if one.end is None:
            return [one]
        return [
            self.starting_at(min(one.anchor, one.end), "forward"),
            self.starting_at(max(one.anchor, one.end), "backward"),
        ]

    def _neighbours(self, frame: int) -> tuple[int | None, int | None]:
        """The nearest anchors before and after a frame."""
        before, after = bisect_left(self.anchors, frame) - 1, bisect_right(self.anchors, frame)
        return (
            self.anchors[before] if before >= 0 else None,
            self.anchors[after] if after < len(self.anchors) else None,
        )

    def _other(self, anchor: int, direction: Direction) -> int | None:
        """The given frame that a pass goes to, else the one behind it; None if that holds none of the objects."""
        before, after = self._neighbours(anchor)
        ahead, behind = (after, before) if direction == "forward" else (before, after)
        other = behind if ahead is None else ahead
        return None if other is None or self._given[other].ids.isdisjoint(self._given[anchor].ids) else other

    def _key(self, anchor: int, direction: Direction) -> str:
        other = self._other(anchor, direction)
        frames = (anchor,) if other is None else (anchor, other)
        return "-".join([direction, *(f"{frame:05d}-{self._given[frame].digest}" for frame in frames)])
