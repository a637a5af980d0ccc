"""The rows of reference frames that a strip of queries sees, laid out so that each query's window is one slice.

Pixels lie as (B, channels, columns, R, slots): the columns in order, with `radius` empty ones on either side; the rows
in slots, in whatever order, since a softmax doesn't care. When the strip moves down, the rows that enter take the slots
of those that leave. What the queries of column x see is then the columns [x, x + 2·radius] whole: one contiguous run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reach:
    """What strips of query rows see of a group of references with one radius.

    Args:
        members: indices of these references among all.
        radius: (vertical, horizontal), no more than the frame can use.
        size: (H, W) of the frames.
        strip: query rows of a strip.
    """

    members: tuple[int, ...]
    radius: tuple[int, int]
    size: tuple[int, int]
    strip: int

    @property
    def slots(self) -> int:
        """Rows that a strip sees at most."""
        return 2 * self.radius[0] + self.strip

    @property
    def column(self) -> int:
        """Keys in one column of the ring."""
        return len(self.members) * self.slots

    def seen(self, y0: int) -> range:
        """Rows in the frame that the strip from row y0 sees."""
        return range(max(y0 - self.radius[0], 0), min(y0 + self.strip + self.radius[0], self.size[0]))

    def entering(self, y0: int) -> range:
        """Rows that the strip from row y0 sees and the one before doesn't."""
        seen = self.seen(y0)
        return seen if y0 == 0 else range(self.seen(y0 - self.strip).stop, seen.stop)

    def runs(self, rows: range) -> Iterator[tuple[slice, slice]]:
        """Cut rows where their slots wrap around: (rows, slots) of each piece."""
        y = rows.start
        while y < rows.stop:
            slot = y % self.slots
            count = min(rows.stop - y, self.slots - slot)
            yield slice(y, y + count), slice(slot, slot + count)
            y += count


def select(frames: Tensor, reach: Reach) -> Tensor:
    """The references of a group out of (B, R, C, H, W)."""
    return frames if len(reach.members) == frames.shape[1] else frames[:, reach.members]


def group_by_radius(radii: Sequence[int], size: tuple[int, int], strip: int) -> list[Reach]:
    """One `Reach` per radius; `radii` holds one radius per reference."""
    height, width = size
    return [
        Reach(
            tuple(i for i, other in enumerate(radii) if other == radius),
            (min(radius, height - 1), min(radius, width - 1)),
            size,
            strip,
        )
        for radius in sorted(set(radii))
    ]


class RowRing:
    """Rows of the frames of one `Reach`, all channels.

    Args:
        like: a tensor of the dtype and device to use, batch first.
        channels: per pixel.
        reach: which rows and columns.
    """

    def __init__(self, like: Tensor, channels: int, reach: Reach) -> None:
        self.reach = reach
        columns = reach.size[1] + 2 * reach.radius[1]
        self.pixels = like.new_zeros(like.shape[0], channels, columns, len(reach.members), reach.slots)

    @property
    def inside(self) -> Tensor:
        """The columns in the frame, (B, channels, W, R, slots)."""
        margin = self.reach.radius[1]
        return self.pixels[:, :, margin : margin + self.reach.size[1]]

    def put(self, frames: Tensor, rows: range) -> None:
        """Copy rows of (B, R, C, H, W) into the first C channels of their slots."""
        channels = frames.shape[2]
        for y, slots in self.reach.runs(rows):
            self.inside[:, :channels, ..., slots] = frames[:, :, :, y].permute(0, 2, 4, 1, 3)

    def seen(self, columns: slice) -> Tensor:
        """What the queries of some columns see, (B, channels, keys); a view."""
        return self.pixels[:, :, columns.start : columns.stop + 2 * self.reach.radius[1]].flatten(2)


class KeyRing(RowRing):
    """A `RowRing` of keys whose last channels say, per query row of the strip, which keys lie outside of its window.

    A query of row i is 1 in channel D + i and 0 in those of the other rows, so that the matrix product itself adds 0
    inside the window and a huge negative number outside. What lies out of the frame is outside for all.
    """

    def __init__(self, like: Tensor, channels: int, reach: Reach) -> None:
        super().__init__(like, channels + reach.strip, reach)
        self._outside = -torch.finfo(like.dtype).max / 4
        self.pixels[:, channels:] = self._outside

    def move_to(self, keys: Tensor, y0: int) -> None:
        """Let the rows (B, R, D, H, W) enter that the strip from row y0 sees, and mark the windows of its queries."""
        reach = self.reach
        self.put(keys, reach.entering(y0))
        seen = reach.seen(y0)
        rows = torch.arange(seen.start, seen.stop, device=keys.device)
        queries = torch.arange(y0, y0 + reach.strip, device=keys.device)
        outside = (rows - queries[:, None]).abs() > reach.radius[0]
        marks = self.pixels.new_full((reach.strip, reach.slots), self._outside)
        marks[:, rows % reach.slots] = outside.to(marks.dtype) * self._outside
        self.inside[:, -reach.strip :] = marks[:, None, None]
