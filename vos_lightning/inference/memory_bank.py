"""Stored frames that later ones look back at: which (policy) and how (storage)."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class ReferencePolicy:
    """Which frames a query frame looks back at: the given ones always, and some recent ones.

    SSVOS §3.2 takes five, the first frame among them; the default is that first frame and the last four.

    Args:
        offsets: how far back the recent references lie, in frames.
    """

    offsets: tuple[int, ...] = (1, 2, 3, 4)

    def __post_init__(self) -> None:
        if any(offset < 1 for offset in self.offsets):
            raise ValueError(f"offsets are {self.offsets}, expected each to be 1 or more")

    def reference_indices(self, t: int, given: Iterable[int] = (0,)) -> list[int]:
        """Indices of the references of frame t, ascending.

        Args:
            t: the query frame.
            given: frames with a given mask; they stay references for good.
        """
        recent = (t - offset for offset in self.offsets)
        start = min(given, default=0)
        return sorted({*(g for g in given if g < t), *(r for r in recent if r >= start)})

    @property
    def horizon(self) -> int:
        """How many recent frames have to be kept."""
        return max(self.offsets, default=0)


class MemoryBank:
    """Keys and values of the frames that may still be asked for; bounded whatever the length of the video.

    Frames with a given mask are permanent, the others leave first in, first out.

    Args:
        horizon: number of recent frames to keep.
    """

    def __init__(self, horizon: int) -> None:
        self.horizon = horizon
        self._frames: dict[int, tuple[Tensor, Tensor]] = {}
        self._permanent: set[int] = set()

    @property
    def permanent(self) -> list[int]:
        """Indices of the frames with a given mask."""
        return sorted(self._permanent)

    def __len__(self) -> int:
        return len(self._frames)

    def write(self, index: int, key: Tensor, value: Tensor, *, permanent: bool = False) -> None:
        """Store frame `index`: key (D, h, w) and value (C, h, w); forget what lies behind the horizon."""
        self._frames[index] = (key, value)
        if permanent:
            self._permanent.add(index)
        for old in [i for i in self._frames if i <= index - self.horizon and i not in self._permanent]:
            del self._frames[old]

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
