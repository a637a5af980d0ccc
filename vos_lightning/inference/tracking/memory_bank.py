"""Stored frames that later ones look back at."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from vos_lightning.inference.tracking.settings import TrackingSettings

Ids = frozenset[int]


class MemoryBank:
    """Keys and values of the frames that may still be asked for; bounded whatever the length of the video.

    For each object the latest frames in which its mask was given stay; the other frames leave first in, first out.

    Args:
        settings: say how far back frames are asked for, and how many given ones stay.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        self._horizon = settings.horizon
        self._max_given = settings.max_given
        self._frames: dict[int, tuple[Tensor, Tensor]] = {}
        self._given: dict[int, Ids] = {}

    @property
    def given(self) -> list[int]:
        """Indices of the frames that stay, ascending."""
        return sorted(self._given)

    def __len__(self) -> int:
        """Number of frames stored."""
        return len(self._frames)

    def __contains__(self, index: int) -> bool:
        """Is the frame stored?"""
        return index in self._frames

    def write(self, index: int, key: Tensor, value: Tensor, given: Ids = frozenset()) -> None:
        """Store a frame and forget those that no later one asks for.

        Args:
            index: of the frame.
            key: (D, h, w).
            value: (C, …, h, w), channels first.
            given: the objects whose masks were given for this frame.
        """
        # as the readout wants it, once for all frames that will look back
        self._frames[index] = (key.permute(1, 2, 0).contiguous(), value)
        if given:
            self._given = latest_given(self._given | {index: given}, self._max_given)
        oldest = index - self._horizon + 1
        self._frames = {i: frame for i, frame in self._frames.items() if i >= oldest or i in self._given}

    def read(self, indices: Iterable[int]) -> tuple[Tensor, Tensor]:
        """Keys (1, R, D, h, w) and values (1, R, C, …, h, w) of stored frames.

        Raises:
            KeyError: a frame that was never stored or is forgotten.
        """
        keys, values = zip(*(self._frames[i] for i in indices), strict=True)
        return torch.stack(keys).permute(0, 3, 1, 2)[None], torch.stack(values)[None]

    def add_channels(self, count: int) -> None:
        """Append zero channels to every value: objects that were not known in these frames."""
        self._frames = {
            i: (key, torch.cat([value, value.new_zeros(count, *value.shape[1:])]))
            for i, (key, value) in self._frames.items()
        }


def latest_given(given: Mapping[int, Ids], keep: int) -> dict[int, Ids]:
    """Of the frames with given masks, by index, those that are among the latest `keep` of some object."""
    frames: dict[int, list[int]] = {}
    for index in sorted(given):
        for object_id in given[index]:
            frames.setdefault(object_id, []).append(index)
    latest = {index for indices in frames.values() for index in indices[-keep:]}
    return {index: given[index] for index in sorted(latest)}
