"""Local attention with top-k in few operations: all tiles of a frame at once, each similarity computed once.

A tile of queries sees a rectangle of keys. Keys lie in strips, (strips, columns, R, rows, channels), so that the
rectangle of a tile is one strided view, and so is the window of each query in the similarities of its tile: one run of
columns, at an offset that grows evenly with the query's column. The products themselves mark which rows lie outside of
a window, by channels of their own.

Of the k best of each query only the numbers of the keys are kept; values are gathered by them.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.functional.attention.reference import Radii

# Side of a tile, in positions, chosen by timing others on a CPU.
TILE = 8
# Added to similarities out of a window: far below any, and halves of floats and their sums can hold it.
OUTSIDE = -1e30
# Similarities worked on at a time, in elements: what a CPU's cache holds, and what a GPU has the memory for.
AT_A_TIME_CPU, AT_A_TIME = 2**20, 2**27
# Bytes of a frame's similarities that are kept between the two passes of mutual matches; more are computed again.
MAX_KEPT = 2**29


def batched_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    bias: Tensor | None,
    mutual: float,
    topk: int,
    temperature: float,
) -> Tensor:
    """Local attention to the k best, without gradient; arguments as of `local_attention`.

    Queries and keys of bfloat16 are multiplied as they are and added up in float32. The similarities are then rounded
    to bfloat16, less a constant near that of equal features, so that those of good matches are rounded little. All
    else is computed in float32, or in float64 for such queries.

    Returns:
        The readout, (B, C, H, W), in float32 or float64.
    """
    clips = [
        _attend(q, k, v, radii, None if bias is None else bias[b], mutual, topk, temperature)
        for b, (q, k, v) in enumerate(zip(query, keys, values, strict=True))
    ]
    return torch.stack(clips)


def _attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    bias: Tensor | None,
    mutual: float,
    topk: int,
    temperature: float,
) -> Tensor:
    """As `batched_attention` for one clip: (D, H, W), (R, D, H, W), (R, C, H, W), bias (R, H, W)."""
    channels, (height, width) = values.shape[1], query.shape[1:]
    packed = _pack_queries(query)
    full = torch.promote_types(query.dtype, torch.float32)
    grids = [_grid(radius, radii, (height, width)) for radius in sorted(set(radii))]
    chunks = list(_chunks(grids, query.device))
    groups = [_Group(grid, chunks, packed, keys, None if bias is None else bias.to(full), mutual) for grid in grids]
    rows = values.permute(0, 2, 3, 1).reshape(-1, channels).to(full)
    read = []
    for chunk in chunks:
        best = [group.best(chunk, topk) for group in groups]
        scores, numbers = (torch.cat(parts, -1) if len(parts) > 1 else parts[0] for parts in zip(*best, strict=True))
        if len(best) > 1:
            scores, kept = scores.topk(min(topk, scores.shape[-1]), sorted=False)
            numbers = numbers.gather(-1, kept)
        affinity = (scores * ((1 + mutual) / temperature)).softmax(-1)
        read.append(
            F.embedding_bag(numbers.flatten(0, -2), rows, per_sample_weights=affinity.flatten(0, -2), mode="sum")
        )
    tiles = torch.cat(read).view(*packed.shape[:2], TILE, TILE, channels)
    return tiles.permute(4, 0, 3, 1, 2).flatten(3).flatten(1, 2)[:, :height, :width]


def _pack_queries(query: Tensor) -> Tensor:
    """(D, H, W) -> (strips, tiles, columns · rows, D + 2 + TILE), see `_Group`."""
    channels, height, width = query.shape
    packed = query.new_zeros(_up(height), _up(width), channels + 2 + TILE)
    packed[:height, :width, :channels] = query.permute(1, 2, 0)
    packed[..., channels] = 1
    packed[..., channels + 1] = OUTSIDE
    # a constant changes no softmax
    squares = torch.linalg.vector_norm(query, dtype=torch.float32) ** 2 if query.dtype == torch.bfloat16 else 0
    packed[:height, :width, channels + 1] = squares / -(height * width)
    packed[..., -TILE:].unflatten(0, (-1, TILE)).diagonal(dim1=1, dim2=3).fill_(1)
    tiles = packed.unflatten(1, (-1, TILE)).unflatten(0, (-1, TILE))  # (strips, rows, tiles, columns, D')
    queries: Tensor = tiles.permute(0, 2, 3, 1, 4).flatten(2, 3)
    return queries


def _grid(radius: int, radii: Radii, size: tuple[int, int]) -> "Grid":
    """Of the references with one radius."""
    members = tuple(r for r, other in enumerate(radii) if other == radius)
    return Grid(members, (min(radius, size[0] - 1), min(radius, size[1] - 1)), size)


def _chunks(grids: Sequence["Grid"], device: torch.device) -> Iterator[slice]:
    """Strips to work on at a time."""
    count = max(1, _at_a_time(device) // sum(grid.per_strip for grid in grids))
    for start in range(0, grids[0].strips, count):
        yield slice(start, min(start + count, grids[0].strips))


@dataclass(frozen=True)
class Grid:
    """How a frame is cut, and what its tiles see of references with one radius.

    Args:
        members: indices of these references among all.
        radius: (vertical, horizontal), no more than the frame can use.
        size: (H, W).
    """

    members: tuple[int, ...]
    radius: tuple[int, int]
    size: tuple[int, int]

    @property
    def strips(self) -> int:
        """Rows of tiles."""
        return _up(self.size[0]) // TILE

    @property
    def tiles(self) -> int:
        """Tiles of a strip."""
        return _up(self.size[1]) // TILE

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of tiles that a tile sees, itself included."""
        return _up(2 * self.radius[0]) // TILE + 1, _up(2 * self.radius[1]) // TILE + 1

    @property
    def columns(self) -> int:
        """Of keys in a strip, those beside the frame included."""
        return (self.tiles + self.reach[1] - 1) * TILE

    @property
    def column(self) -> int:
        """Keys in one column of a strip."""
        return len(self.members) * self.reach[0] * TILE

    @property
    def window(self) -> int:
        """Keys in the columns of one query's window."""
        return (2 * self.radius[1] + 1) * self.column

    @property
    def per_strip(self) -> int:
        """Similarities of one strip, those out of the windows included."""
        return self.tiles * TILE * TILE * self.reach[1] * TILE * self.column

    def padded(self, maps: Tensor, fill: float) -> Tensor:
        """(R, …, H, W) -> (columns, R, all rows, …), `fill` beside the frame."""
        rows = (self.strips + self.reach[0] - 1) * TILE
        padded = maps.new_full((self.columns, len(maps), rows, *maps.shape[1:-2]), fill)
        self.frame(padded).copy_(maps.movedim((-1, 0, -2), (0, 1, 2)))
        return padded

    def frame(self, padded: Tensor) -> Tensor:
        """What lies in the frame, (W, R, H, …); a view."""
        (top, left), (height, width) = self.radius, self.size
        return padded[left : left + width, :, top : top + height]

    def in_strips(self, padded: Tensor, chunk: slice) -> Tensor:
        """(columns, R, all rows, …) -> (strips, columns, R, rows, …), a view that holds rows several times."""
        strips = padded.unfold(2, self.reach[0] * TILE, TILE)[:, :, chunk]
        return strips.movedim((2, -1), (0, 3))

    def windows(self, strips: Tensor) -> Tensor:
        """What lies in the windows of each tile's columns: (strips, columns, R, rows) -> (strips, tiles, TILE, window).

        The same for the queries of one column. A view of a contiguous tensor.
        """
        shape = (len(strips), self.tiles, TILE, self.window)
        return strips.as_strided(shape, (self.columns * self.column, TILE * self.column, self.column, 1))


class _Group:
    """References of one radius, laid out, and the similarities with them.

    The channels of queries and keys: D features; one in which keys say that they are out of the frame; one for the
    queries to say that, or to take a constant off; and TILE of which a query of row i has 1 in the i-th and a key says
    there whether it is out of that row's window.

    Args:
        grid: which references, and how they are cut.
        chunks: strips that will be worked on at a time.
        query: as from `_pack_queries`.
        keys: of all references, (R, D, H, W).
        bias: of all references, (R, H, W).
        mutual: see `local_attention`.
    """

    def __init__(
        self, grid: Grid, chunks: Sequence[slice], query: Tensor, keys: Tensor, bias: Tensor | None, mutual: float
    ) -> None:
        self.grid, self.device = grid, query.device
        self._query = query
        if len(grid.members) < len(keys):
            keys, bias = keys[list(grid.members)], None if bias is None else bias[list(grid.members)]
        self._keys = self._padded_keys(keys)
        self._strips = self._marked_strips(max(chunk.stop - chunk.start for chunk in chunks))
        self._kept: Tensor | None = None
        self._added = None if bias is None else grid.padded(bias / (1 + mutual), 0)
        if mutual:
            lost = self._largest(chunks).mul_(-mutual / (1 + mutual))
            self._added = lost if self._added is None else lost.add_(self._added)

    def best(self, chunk: slice, topk: int) -> tuple[Tensor, Tensor]:
        """The k best keys of each query: (similarity, number of the key among all), (strips, tiles, columns, rows, k).

        Similarities count with what is added to them, divided by 1 + mutual.
        """
        similarities = self._similarities(chunk)
        numbers, starts = _key_numbers(self.grid, self.device)
        added = None if self._added is None else self.grid.in_strips(self._added, chunk).contiguous()
        tiles = max(1, _at_a_time(self.device) // (len(similarities) * TILE * TILE * self.grid.window))
        parts = []
        for first in range(0, self.grid.tiles, tiles):
            some = slice(first, first + tiles)
            scores, positions = _top_positions(self._scores(similarities, added, some), self.grid.column, topk)
            parts.append((scores, numbers[starts[chunk, some] + positions]))
        scores, positions = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        return scores, positions

    def _scores(self, similarities: Tensor, added: Tensor | None, tiles: slice) -> Tensor:
        """Similarities and what is added to them of some tiles of strips: (strips, tiles, columns, rows, window)."""
        windows = self._windows(similarities)[:, tiles]
        full = torch.promote_types(windows.dtype, torch.float32)
        if full != windows.dtype or added is not None:
            windows = self._scratch("windows", windows.shape, full).copy_(windows)
        return windows if added is None else windows.add_(self.grid.windows(added)[:, tiles, :, None])

    def _windows(self, similarities: Tensor) -> Tensor:
        """What lies in the windows, (strips, tiles, columns, rows, window); a view."""
        grid = self.grid
        keys = similarities.shape[-1]
        shape = (*similarities.shape[:2], TILE, TILE, grid.window)
        strides = (*similarities.stride()[:2], TILE * keys + grid.column, keys, 1)
        return similarities.as_strided(shape, strides, similarities.storage_offset())

    def _similarities(self, chunk: slice) -> Tensor:
        """(strips, tiles, columns · rows, keys of the tile)."""
        return self._compare(chunk) if self._kept is None else self._kept[chunk]

    def _compare(self, chunk: slice, out: Tensor | None = None) -> Tensor:
        """As `_similarities`, computed."""
        grid, strips = self.grid, self._strips[: chunk.stop - chunk.start]
        strips[..., : self._keys.shape[-1]] = grid.in_strips(self._keys, chunk)
        keys, channels = grid.reach[1] * TILE * grid.column, strips.shape[-1]
        strides = (strips.stride(0), TILE * grid.column * channels, channels, 1)
        seen = strips.as_strided((len(strips), grid.tiles, keys, channels), strides).mT
        if out is None:
            out = self._scratch("similarities", (len(strips), grid.tiles, TILE * TILE, keys))
        for queries, of_strip, product in zip(self._query[chunk], seen, out, strict=True):
            if not on_cpu(self.device):
                torch.bmm(queries, of_strip, out=product)
                continue
            for tile in range(grid.tiles):  # in a batch the overlapping keys would be copied
                torch.mm(queries[tile], of_strip[tile], out=product[tile])
        return out

    def _scratch(self, name: str, shape: Sequence[int], dtype: torch.dtype | None = None) -> Tensor:
        """See `scratch`; other groups have theirs."""
        return scratch(f"{name} {self.grid.radius}", shape, self._query, dtype)

    def _padded_keys(self, keys: Tensor) -> Tensor:
        """(R, D, H, W) -> (columns, R, all rows, D + 1)."""
        rows = (self.grid.strips + self.grid.reach[0] - 1) * TILE
        padded = self._scratch("keys", (self.grid.columns, len(keys), rows, keys.shape[1] + 1)).zero_()
        padded[..., -1] = OUTSIDE
        frame = self.grid.frame(padded)
        frame[..., :-1] = keys.permute(3, 0, 2, 1)
        frame[..., -1] = 0
        return padded

    def _marked_strips(self, count: int) -> Tensor:
        """Strips whose last TILE + 1 channels are in place, (strips, columns, R, rows, D + TILE + 2)."""
        grid = self.grid
        shape = (count, grid.columns, len(grid.members), grid.reach[0] * TILE, self._query.shape[-1])
        strips = self._scratch("strips", shape)
        strips[..., -TILE:] = _row_marks(grid.radius[0], shape[3], self.device)
        strips[..., -TILE - 1] = 1
        return strips

    def _largest(self, chunks: Sequence[slice]) -> Tensor:
        """The largest similarity of each key with a query whose window holds it, (columns, R, all rows)."""
        grid = self.grid
        rows = (grid.strips + grid.reach[0] - 1) * TILE
        full = torch.promote_types(self._keys.dtype, torch.float32)
        largest = self._keys.new_full((rows, grid.columns, len(grid.members)), OUTSIDE, dtype=full)
        if grid.per_strip * grid.strips * self._keys.element_size() <= MAX_KEPT:
            shape = (grid.strips, grid.tiles, TILE * TILE, grid.reach[1] * TILE * grid.column)
            self._kept = self._scratch("similarities", shape)
        for chunk in chunks:
            similarities = self._compare(chunk, None if self._kept is None else self._kept[chunk])
            of_columns = self._windows(similarities).amax(3).unflatten(-1, (-1, grid.column))
            of_tiles = _overlaid(of_columns.flatten(0, 1), 1).unflatten(0, (-1, grid.tiles))
            of_strips = _overlaid(of_tiles, TILE).unflatten(-1, (len(grid.members), -1))
            found = _overlaid(of_strips.movedim(-1, 1).flatten(2)[None], TILE)[0]
            seen = largest[chunk.start * TILE :][: len(found), : of_strips.shape[1]]
            torch.maximum(seen, found.view_as(seen), out=seen)
        return largest.permute(1, 2, 0).contiguous()


def _overlaid(parts: Tensor, step: int) -> Tensor:
    """The largest of parts that lie over one another, each `step` further on than the one before.

    (N, parts, length, C) -> (N, length + (parts - 1) · step, C).
    """
    number, count, length, channels = parts.shape
    whole = length + (count - 1) * step
    laid = parts.new_full((number, count, whole, channels), OUTSIDE)
    strides = (laid.stride(0), laid.stride(1) + step * channels, channels, 1)
    laid.as_strided(parts.shape, strides).copy_(parts)
    return laid.amax(1)


def _top_positions(windows: Tensor, column: int, topk: int) -> tuple[Tensor, Tensor]:
    """The k largest of each window: (values, positions), (..., k) each, without sorting the rest.

    A window holds columns of equally many keys. The k largest lie in at most k of the rows across these columns, and
    these rows are the k of largest maximum: one cheap pass finds them, and only their members are sorted.
    """
    if topk >= column:
        return _k_largest(windows, min(topk, windows.shape[-1]))
    table = windows.unflatten(-1, (-1, column))
    rows = _k_largest(table.amax(-2), topk)[1]
    members = table.gather(-1, rows[..., None, :].expand(*table.shape[:-1], topk))
    values, found = _k_largest(members.flatten(-2), topk)
    return values, found.div(topk, rounding_mode="floor") * column + rows.gather(-1, found % topk)


def _k_largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(values, positions) of the k largest, unsorted.

    PyTorch's kernel for CPUs takes half the time for rows of 64·k numbers and more, by another way.
    """
    missing = 64 * k - values.shape[-1]
    if on_cpu(values.device) and 0 < missing < 2 * values.shape[-1]:
        values = F.pad(values, (0, missing), value=-torch.inf)
    largest, positions = values.topk(k, sorted=False)
    return largest, positions


@lru_cache(maxsize=8)
def _row_marks(radius: int, rows: int, device: torch.device) -> Tensor:
    """Which rows of a strip lie out of the windows of its rows of queries: `OUTSIDE` or 0, (rows, TILE)."""
    row = torch.arange(rows, device=device)[:, None]
    query = torch.arange(TILE, device=device)
    return ((row < query) | (row > query + 2 * radius)) * OUTSIDE


@lru_cache(maxsize=8)
def _key_numbers(grid: Grid, device: torch.device) -> tuple[Tensor, Tensor]:
    """Numbers of the keys among all of all references, as they lie in strips; and where each query's window starts.

    Returns:
        Numbers, flat; 0 for what is out of the frame. Starts, (strips, tiles, columns, 1, 1).
    """
    height, width = grid.size
    first = torch.tensor(grid.members, device=device)[:, None, None] * (height * width)
    numbers = first + torch.arange(height * width, device=device).view(1, height, width)
    strips = grid.in_strips(grid.padded(numbers, 0), slice(None)).flatten()
    columns = torch.arange(grid.tiles * TILE, device=device).view(1, grid.tiles, TILE, 1, 1)
    strip = torch.arange(grid.strips, device=device).view(-1, 1, 1, 1, 1)
    return strips, (strip * grid.columns + columns) * grid.column


class _Buffers(threading.local):
    """Memory of a thread that is used again and again: the system takes its time to hand out fresh pages."""

    def __init__(self) -> None:
        self.by_name: dict[str, Tensor] = {}


_BUFFERS = _Buffers()


def scratch(name: str, shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Memory to write to, valid until the next call with this name in this thread.

    Args:
        name: of what it is for.
        shape: of it.
        like: a tensor of the device, and the dtype where none is given.
        dtype: of it.
    """
    dtype = dtype or like.dtype
    if not on_cpu(like.device):
        return like.new_empty(shape, dtype=dtype)
    size = math.prod(shape) * dtype.itemsize
    buffer = _BUFFERS.by_name.get(name)
    if buffer is None or len(buffer) < size:
        buffer = _BUFFERS.by_name[name] = torch.empty(size, dtype=torch.uint8)
    return buffer[:size].view(dtype).view(*shape)


def on_cpu(device: torch.device) -> bool:
    """Small pieces that fit the cache, rather than few operations?"""
    return device.type == "cpu"


def _at_a_time(device: torch.device) -> int:
    """Similarities."""
    return AT_A_TIME_CPU if on_cpu(device) else AT_A_TIME


def _up(length: int) -> int:
    """To a multiple of the tile."""
    return -(-length // TILE) * TILE
