"""Stored frames that later ones look back at: which (policy) and how (storage)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Ids = frozenset[int]


@dataclass(frozen=True)
class ReferencePolicy:
    """Which frames a query frame looks back at: some with a given mask, and some recent ones.

    SSVOS §3.2 takes five, the first frame among them; the default is that first frame and the last four.

    Args:
        offsets: how far back the recent references lie, in frames.
        given_radius: of the window in frames with a given mask that aren't recent any more, in feature positions:
            objects leave the place where they were given. None is that of the others.
    """

    offsets: tuple[int, ...] = (1, 2, 3, 4)
    given_radius: int | None = None

    def __post_init__(self) -> None:
        """Refuse nonsense."""
        if any(offset < 1 for offset in self.offsets):
            raise ValueError(f"offsets are {self.offsets}, expected each to be 1 or more")
        if self.given_radius is not None and self.given_radius < 0:
            raise ValueError(f"given_radius is {self.given_radius}, expected 0 or more")

    @property
    def horizon(self) -> int:
        """How many recent frames have to be kept."""
        return max(self.offsets, default=0)

    def anchors(self, given: Mapping[int, Ids]) -> list[int]:
        """Frames that stay references, ascending: for each object the latest one in which its mask was given.

        Args:
            given: the objects whose masks were given, by frame.
        """
        latest = {object_id: index for index in sorted(given) for object_id in given[index]}
        return sorted(set(latest.values()))

    def reference_indices(self, t: int, anchors: Iterable[int] = (0,)) -> list[int]:
        """Indices of the references of frame t, ascending.

        Args:
            t: the query frame.
            anchors: frames that stay; what was seen before the first of them doesn't count any more.
        """
        start = min(anchors, default=0)
        recent = (index for index in range(max(start, t - self.horizon), t) if self.is_recent(index, t))
        return sorted({*(anchor for anchor in anchors if anchor < t), *recent})

    def is_recent(self, index: int, t: int) -> bool:
        """Is the frame a reference of frame t whether its mask was given or not?"""
        return t - index in self.offsets

    def radii(self, t: int, indices: Iterable[int], radius: int) -> tuple[int, ...]:
        """Radius of the window in each reference of frame t, where that of recent ones is `radius`."""
        given_radius = radius if self.given_radius is None else self.given_radius
        return tuple(radius if self.is_recent(index, t) else given_radius for index in indices)


class MemoryBank:
    """Keys and values of the frames that may still be asked for; bounded whatever the length of the video.

    The policy's anchors stay, the other frames leave first in, first out.

    Args:
        policy: says which frames are kept.
    """

    def __init__(self, policy: ReferencePolicy) -> None:
        self._policy = policy
        self._frames: dict[int, tuple[Tensor, Tensor]] = {}
        self._given: dict[int, Ids] = {}

    @property
    def anchors(self) -> list[int]:
        """Indices of the frames that stay, see `ReferencePolicy.anchors`."""
        return sorted(self._given)

    def __len__(self) -> int:
        """Number of frames stored."""
        return len(self._frames)

    def write(self, index: int, key: Tensor, value: Tensor, given: Ids = frozenset()) -> None:
        """Store frame `index`: key (D, h, w), value (C, h, w), whose mask was given; forget what no one asks for."""
        self._frames[index] = (key, value)
        if given:
            self._given[index] = given
            self._given = {anchor: self._given[anchor] for anchor in self._policy.anchors(self._given)}
        oldest = index - self._policy.horizon + 1
        self._frames = {i: frame for i, frame in self._frames.items() if i >= oldest or i in self._given}

    def read(self, indices: Iterable[int]) -> tuple[Tensor, Tensor]:
        """Keys (1, R, D, h, w) and values (1, R, C, h, w) of stored frames.

        Raises:
            KeyError: a frame that was never stored or is forgotten.
        """
        keys, values = zip(*(self._frames[i] for i in indices), strict=True)
        return torch.stack(keys)[None], torch.stack(values)[None]

    def add_channels(self, count: int) -> None:
        """Append zero channels to every value: objects that were not known in these frames."""
        padding = (0, 0, 0, 0, 0, count)
        self._frames = {i: (key, F.pad(value, padding)) for i, (key, value) in self._frames.items()}
