"""Local attention without compiled code and without windows in memory: one tile of queries at a time."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vos_lightning.functional.attention.reference import Radii
from vos_lightning.functional.attention.row_ring import group_by_radius
from vos_lightning.functional.attention.window_affinity import ReferenceGroup, TileAffinity, fill_affinities

# Rows and columns, chosen by timing others on a CPU: larger tiles compute more similarities outside of the windows,
# smaller ones starve the matrix product.
TILE = (4, 8)
# Similarities in memory at a time, in elements; batches are cut accordingly.
MAX_SIMILARITIES = 2**19


def tiled_attention(query: Tensor, keys: Tensor, values: Tensor, radii: Radii) -> Tensor:
    """Local attention by tiles, without gradient; arguments as in `local_attention`, similarities as they are.

    The batch is cut so that one tile's similarities stay within `MAX_SIMILARITIES`.
    """
    reaches = group_by_radius(radii, (query.shape[2], query.shape[3]), TILE[0])
    per_clip = TILE[0] * TILE[1] * sum((TILE[1] + 2 * reach.radius[1]) * reach.column for reach in reaches)
    batch = max(1, MAX_SIMILARITIES // per_clip)
    parts = zip(query.split(batch), keys.split(batch), values.split(batch), strict=True)
    return torch.cat([_attend(*part, radii) for part in parts])


def _attend(query: Tensor, keys: Tensor, values: Tensor, radii: Radii) -> Tensor:
    """As `tiled_attention`, the batch at once."""
    sums = query.new_empty(len(query), values.shape[2] + 1, *query.shape[2:])
    groups = _group(keys, values, radii)
    for rows in _strips(query.shape[2], groups):
        for columns, tiles in _compared_tiles(query, rows, groups):
            fill_affinities(tiles)
            read = [group.read(tile, columns) for group, tile in zip(groups, tiles, strict=True)]
            _put_tile(sums, rows, columns, read)
    return sums[:, :-1] / sums[:, -1:]


def tiled_maximum(query: Tensor, keys: Tensor, radii: Radii) -> Tensor:
    """Largest similarity in the windows, (B, H, W); arguments as for `tiled_attention`, without gradient."""
    groups = _group(keys, keys[:, :, :0], radii)
    largest = torch.empty_like(query[:, 0])
    for rows in _strips(query.shape[2], groups):
        for columns, tiles in _compared_tiles(query, rows, groups):
            found = torch.stack([tile.windows(tile.similarity).amax(-1) for tile in tiles]).amax(0)
            largest[:, rows, columns] = found.mT
    return largest / math.log2(math.e)


def _group(keys: Tensor, values: Tensor, radii: Radii) -> list[ReferenceGroup]:
    size = (keys.shape[3], keys.shape[4])
    return [ReferenceGroup(keys, values, reach) for reach in group_by_radius(radii, size, TILE[0])]


def _strips(height: int, groups: list[ReferenceGroup]) -> Iterator[slice]:
    """Query rows, with the references' rows in place that they see."""
    for y0 in range(0, height, TILE[0]):
        for group in groups:
            group.move_to(y0)
        yield slice(y0, min(y0 + TILE[0], height))


def _compared_tiles(
    query: Tensor, rows: slice, groups: list[ReferenceGroup]
) -> Iterator[tuple[slice, list[TileAffinity]]]:
    """Query columns of a strip, with the similarities of each tile, times log2(e)."""
    packed = _pack(query, rows)
    width = query.shape[3]
    for x0 in range(0, width, TILE[1]):
        columns = slice(x0, min(x0 + TILE[1], width))
        yield columns, [group.compare(packed[:, :, columns], columns) for group in groups]


def _pack(query: Tensor, rows: slice) -> Tensor:
    """Rows of (B, D, H, W) -> (B, D + strip, W, rows): features, and ones as `KeyRing` wants them."""
    batch, channels, _, width = query.shape
    packed = query.new_zeros(batch, channels + TILE[0], width, rows.stop - rows.start)
    # Affinities are computed as powers of 2: PyTorch's kernel for these is faster on CPUs than that for powers of e.
    torch.mul(query[:, :, rows].mT, math.log2(math.e), out=packed[:, :channels])
    packed[:, channels:].diagonal(dim1=1, dim2=3).fill_(1)
    return packed


def _put_tile(frames: Tensor, rows: slice, columns: slice, parts: list[Tensor]) -> None:
    """Write the sum of the groups' parts, each (B, C, queries)."""
    total = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
    frames[:, :, rows, columns] = total.unflatten(2, (columns.stop - columns.start, -1)).mT
