"""Local attention without compiled code and without windows in memory: one tile of queries at a time."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vos_lightning.functional.attention.reference import Radii
from vos_lightning.functional.attention.row_ring import GradientRing, group_by_radius
from vos_lightning.functional.attention.window_affinity import ReferenceGroup, TileAffinity, fill_affinities

# Rows and columns, chosen by timing others on a CPU: larger tiles compute more similarities outside of the windows,
# smaller ones starve the matrix product.
TILE = (4, 8)
# Similarities in memory at a time, in elements; batches are cut accordingly.
MAX_SIMILARITIES = 2**19

Part = tuple[ReferenceGroup, TileAffinity]


class TiledAttention(torch.autograd.Function):
    """Forward and backward of `local_attention`; the backward pass computes the affinities of each tile again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, radii: Radii, topk: int | None) -> Tensor:  # noqa: ANN401, D102
        batch, _, height, width = query.shape
        sums = query.new_empty(batch, values.shape[2] + 1, height, width)
        groups = _group(keys, values, radii)
        for rows in _strips(height, groups):
            for columns, parts in _tiles(query, rows, groups, topk):
                _put_tile(sums, rows, columns, [group.read(tile, columns) for group, tile in parts])
        norm = sums[:, -1:]
        output = sums[:, :-1] / norm
        ctx.save_for_backward(query, keys, values, output, norm)
        ctx.radii, ctx.topk = radii, topk
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401, D102
        query, keys, values, output, norm = ctx.saved_tensors
        # softmax' Jacobian needs Σ_j P_ij dP_ij, which equals the output's product with its gradient. Riding along as
        # the gradient of the appended ones it costs no pass of its own.
        grad_sums = torch.cat([grad, -(grad * output).sum(1, keepdim=True)], dim=1) / norm
        grad_query = torch.empty_like(query)
        groups = _group(keys, values, ctx.radii)
        key_grads, value_grads = (
            [GradientRing(frames, group.reach) for group in groups] if needed else []
            for frames, needed in zip((keys, values), ctx.needs_input_grad[1:3], strict=True)
        )
        for rows in _strips(query.shape[2], groups):
            for columns, parts in _tiles(query, rows, groups, ctx.topk):
                g, q = _tile(grad_sums, rows, columns), _tile(query, rows, columns)
                for ring, (_, tile) in zip(value_grads, parts, strict=False):
                    ring.seen(columns).baddbmm_(g[:, :-1], tile.affinity)
                _put_tile(grad_query, rows, columns, [group.differentiate(tile, columns, g) for group, tile in parts])
                for ring, (_, tile) in zip(key_grads, parts, strict=False):
                    ring.seen(columns).baddbmm_(q, tile.affinity)
            for ring in (*key_grads, *value_grads):
                ring.release(rows.start)
        return grad_query, _collect(key_grads, keys), _collect(value_grads, values), None, None


def tiled_attention(query: Tensor, keys: Tensor, values: Tensor, radii: Radii, topk: int | None) -> Tensor:
    """Local attention by tiles; arguments as in `local_attention`, of one floating dtype, similarities as they are.

    The batch is cut so that one tile's similarities stay within `MAX_SIMILARITIES`.
    """
    reaches = group_by_radius(radii, (query.shape[2], query.shape[3]), TILE[0])
    per_clip = TILE[0] * TILE[1] * sum((TILE[1] + 2 * reach.radius[1]) * reach.column for reach in reaches)
    batch = max(1, MAX_SIMILARITIES // per_clip)
    parts = [
        TiledAttention.apply(*part, radii, topk)  # type: ignore[no-untyped-call]
        for part in zip(query.split(batch), keys.split(batch), values.split(batch), strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


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


def _tiles(
    query: Tensor, rows: slice, groups: list[ReferenceGroup], topk: int | None
) -> Iterator[tuple[slice, list[Part]]]:
    """Query columns of a strip, with the affinities of each tile, not normalised."""
    for columns, tiles in _compared_tiles(query, rows, groups):
        fill_affinities(tiles, topk)
        yield columns, list(zip(groups, tiles, strict=True))


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


def _tile(frames: Tensor, rows: slice, columns: slice) -> Tensor:
    """A tile of (B, C, H, W) in the order of its queries, (B, C, queries)."""
    return frames[:, :, rows, columns].mT.flatten(2)


def _put_tile(frames: Tensor, rows: slice, columns: slice, parts: list[Tensor]) -> None:
    """Write the sum of the groups' parts, each as from `_tile`."""
    total = parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)
    frames[:, :, rows, columns] = total.unflatten(2, (columns.stop - columns.start, -1)).mT


def _collect(rings: list[GradientRing], frames: Tensor) -> Tensor | None:
    """One gradient for the references of all groups."""
    if not rings:
        return None
    if len(rings) == 1:
        return rings[0].result
    grad = torch.empty_like(frames)
    for ring in rings:
        grad[:, ring.reach.members] = ring.result
    return grad
