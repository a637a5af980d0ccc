"""Local attention without compiled code and without windows in memory: one query tile at a time.

A tile of queries sees a rectangle of keys, so its similarities are one dense matrix product, and the window is a mask on
it. Keys are laid out column-major (x, reference, y, channel) once per strip of query rows: the rectangle of any tile of the strip is then
a contiguous slice, which goes to the matrix product as it lies, for all references at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

# Chosen by benchmarks/attention.py. Larger tiles compute more similarities outside of the window, smaller ones starve
# the matrix product.
TILE = (8, 8)
# Similarities in memory at a time, in elements: 4 MiB in float32 stay in the last-level cache.
MAX_SIMILARITIES = 2**20


@dataclass(frozen=True)
class Tile:
    """One tile of queries within a strip: columns [x0, x1), and the key columns [k0, k1) that it sees."""

    x0: int
    x1: int
    k0: int
    k1: int


@dataclass(frozen=True)
class Strip:
    """Query rows [y0, y1) and the key rows [k0, k1) that they see."""

    y0: int
    y1: int
    k0: int
    k1: int

    def tiles(self, width: int, radius: int, tile_width: int) -> Iterator[Tile]:
        for x0 in range(0, width, tile_width):
            x1 = min(x0 + tile_width, width)
            yield Tile(x0, x1, max(x0 - radius, 0), min(x1 + radius, width))


def strips(height: int, radius: int, tile_height: int) -> Iterator[Strip]:
    """Cut the query rows into strips."""
    for y0 in range(0, height, tile_height):
        y1 = min(y0 + tile_height, height)
        yield Strip(y0, y1, max(y0 - radius, 0), min(y1 + radius, height))


@lru_cache(maxsize=256)
def _axis_inside(queries: int, keys: int, offset: int, radius: int, device: torch.device) -> Tensor:
    """(queries, keys): is key k within the radius of query q, where key 0 lies `offset` before query 0?"""
    q = torch.arange(queries, device=device)[:, None]
    k = torch.arange(keys, device=device)[None] - offset
    return (q - k).abs() <= radius


@lru_cache(maxsize=128)
def _window_bias(
    width: tuple[int, int, int], height: tuple[int, int, int], radius: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """0 inside of the window and -inf outside, (tile_w, tile_h, key_w, 1, key_h); the 1 stands for the references.

    The key rectangle is clipped at the frame, so out-of-frame neighbours do not exist rather than weigh zero.
    """
    columns = _axis_inside(*width, radius, device)[:, None, :, None, None]
    rows = _axis_inside(*height, radius, device)[None, :, None, None, :]
    outside = ~(columns & rows)
    return torch.zeros(outside.shape, dtype=dtype, device=device).masked_fill_(outside, -torch.inf)


def _pack_queries(frames: Tensor, strip: Strip) -> Tensor:
    """(B, C, H, W) -> (B, W, rows, C) contiguous: any column range is a contiguous matrix of pixels."""
    return frames[:, :, strip.y0 : strip.y1].permute(0, 3, 2, 1).contiguous()


def _pack_references(frames: Tensor, strip: Strip) -> Tensor:
    """(B, R, C, H, W) -> (B, W, R, rows, C) contiguous."""
    return frames[:, :, :, strip.k0 : strip.k1].permute(0, 4, 1, 3, 2).contiguous()


def _columns(packed: Tensor, start: int, stop: int) -> Tensor:
    """Columns of a packed strip as a matrix (B, pixels, C), without a copy."""
    return packed[:, start:stop].flatten(1, -2)


def _similarity(query: Tensor, keys: Tensor, strip: Strip, tile: Tile, radius: int) -> Tensor:
    """Masked raw similarities of a tile, (B, tile pixels, key columns, references · key rows)."""
    q = _columns(query, tile.x0, tile.x1)
    k = _columns(keys, tile.k0, tile.k1)
    bias = _window_bias(
        (tile.x1 - tile.x0, tile.k1 - tile.k0, tile.x0 - tile.k0),
        (strip.y1 - strip.y0, strip.k1 - strip.k0, strip.y0 - strip.k0),
        radius,
        q.dtype,
        q.device,
    )
    similarity = torch.bmm(q, k.mT)
    references = keys.shape[2]
    similarity.view(-1, *bias.shape[:3], references, bias.shape[4]).add_(bias)
    return similarity.view(*similarity.shape[:2], tile.k1 - tile.k0, -1)


def _top_positions(similarity: Tensor, topk: int) -> tuple[Tensor, Tensor]:
    """The k largest per query: (values, positions), both (B, M, k), without sorting the rest.

    The k largest lie in at most k of the blocks that share a row of keys, and these are among the k blocks of largest
    maximum: one cheap pass finds the blocks, and only their members are sorted.
    """
    batch, pixels, columns, blocks = similarity.shape
    if topk >= blocks:
        values, positions = similarity.flatten(2).topk(min(topk, columns * blocks), dim=-1, sorted=False)
        return values, positions
    best = similarity.amax(2).topk(topk, dim=-1, sorted=False).indices  # (B, M, k)
    candidates = similarity.gather(3, best[:, :, None].expand(batch, pixels, columns, topk))
    values, inner = candidates.flatten(2).topk(topk, dim=-1, sorted=False)
    column, block = inner.div(topk, rounding_mode="floor"), best.gather(2, inner % topk)
    return values, column * blocks + block


def _take(matrix: Tensor, positions: Tensor) -> Tensor:
    """Rows of (B, N, C) at positions (B, M, k) -> (B, M, k, C)."""
    batch, pixels, k = positions.shape
    channels = matrix.shape[-1]
    index = positions.reshape(batch, pixels * k, 1).expand(-1, -1, channels)
    return matrix.gather(1, index).view(batch, pixels, k, channels)


def _add_at(target: Tensor, positions: Tensor, rows: Tensor) -> None:
    """Add rows (B, M, k, C) to a matrix (B, N, C) in place, at positions (B, M, k)."""
    batch, channels = rows.shape[0], rows.shape[-1]
    index = positions.reshape(batch, -1, 1).expand(-1, -1, channels)
    target.scatter_add_(1, index, rows.reshape(batch, -1, channels))


def _readout(similarity: Tensor, values: Tensor, topk: int | None) -> Tensor:
    """Softmax over the window, applied to values (B, N, C) -> (B, M, C)."""
    if topk is None:
        return torch.bmm(similarity.flatten(2).softmax(-1), values)
    best, positions = _top_positions(similarity, topk)
    return (best.softmax(-1)[..., None] * _take(values, positions)).sum(2)


class TiledAttention(torch.autograd.Function):
    """Forward and backward of `local_attention`; the backward pass computes the affinities of each tile again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, values: Tensor, radius: int, topk: int | None) -> Tensor:  # noqa: ANN401
        batch, _, height, width = query.shape
        output = query.new_empty(batch, values.shape[2], height, width)
        for strip in strips(height, radius, TILE[0]):
            q, k, v = _pack_queries(query, strip), _pack_references(keys, strip), _pack_references(values, strip)
            out = q.new_empty(*q.shape[:3], values.shape[2])
            for tile in strip.tiles(width, radius, TILE[1]):
                similarity = _similarity(q, k, strip, tile, radius)
                readout = _readout(similarity, _columns(v, tile.k0, tile.k1), topk)
                out[:, tile.x0 : tile.x1] = readout.view(batch, tile.x1 - tile.x0, -1, values.shape[2])
            output[:, :, strip.y0 : strip.y1] = out.permute(0, 3, 2, 1)
        ctx.save_for_backward(query, keys, values, output)
        ctx.radius, ctx.topk = radius, topk
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:  # noqa: ANN401
        query, keys, values, output = ctx.saved_tensors
        grad_query, grad_keys, grad_values = (torch.zeros_like(t) for t in (query, keys, values))
        # softmax' Jacobian needs Σ_j P_ij dP_ij, which equals the output's product with its gradient. Riding along as one
        # more value channel it costs no pass of its own.
        grad_and_dot = torch.cat([grad, -(grad * output).sum(1, keepdim=True)], dim=1)
        values_and_one = torch.cat([values, torch.ones_like(values[:, :, :1])], dim=2)
        accumulate = _accumulate_dense if ctx.topk is None else _accumulate_topk
        for strip in strips(query.shape[2], ctx.radius, TILE[0]):
            q, g = _pack_queries(query, strip), _pack_queries(grad_and_dot, strip)
            k, v = _pack_references(keys, strip), _pack_references(values_and_one, strip)
            dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
            for tile in strip.tiles(query.shape[3], ctx.radius, TILE[1]):
                similarity = _similarity(q, k, strip, tile, ctx.radius)
                accumulate(similarity, ctx.topk, tile, (q, k, v, g), (dq, dk, dv))
            grad_query[:, :, strip.y0 : strip.y1] = dq.permute(0, 3, 2, 1)
            grad_keys[:, :, :, strip.k0 : strip.k1] += dk.permute(0, 2, 4, 3, 1)
            grad_values[:, :, :, strip.k0 : strip.k1] += dv[..., :-1].permute(0, 2, 4, 3, 1)
        return grad_query, grad_keys, grad_values, None, None


Packed = tuple[Tensor, Tensor, Tensor, Tensor]
Gradients = tuple[Tensor, Tensor, Tensor]


def _accumulate_dense(similarity: Tensor, _: None, tile: Tile, packed: Packed, gradients: Gradients) -> None:
    """Add one tile's part to the gradients of its strip."""
    q, g = (_columns(t, tile.x0, tile.x1) for t in (packed[0], packed[3]))
    k, v = (_columns(t, tile.k0, tile.k1) for t in packed[1:3])
    affinity = similarity.flatten(2).softmax(-1)
    _columns(gradients[2], tile.k0, tile.k1).baddbmm_(affinity.mT, g)
    grad_similarity = torch.bmm(g, v.mT).mul_(affinity)
    _columns(gradients[0], tile.x0, tile.x1).copy_(torch.bmm(grad_similarity, k))
    _columns(gradients[1], tile.k0, tile.k1).baddbmm_(grad_similarity.mT, q)


def _accumulate_topk(similarity: Tensor, topk: int, tile: Tile, packed: Packed, gradients: Gradients) -> None:
    """As `_accumulate_dense`, where only the k best of each query take part."""
    q, g = (_columns(t, tile.x0, tile.x1) for t in (packed[0], packed[3]))
    k, v = (_columns(t, tile.k0, tile.k1) for t in packed[1:3])
    best, positions = _top_positions(similarity, topk)
    affinity = best.softmax(-1)[..., None]
    _add_at(_columns(gradients[2], tile.k0, tile.k1), positions, affinity * g[:, :, None])
    grad_similarity = affinity * (_take(v, positions) * g[:, :, None]).sum(-1, keepdim=True)
    _columns(gradients[0], tile.x0, tile.x1).copy_((grad_similarity * _take(k, positions)).sum(2))
    _add_at(_columns(gradients[1], tile.k0, tile.k1), positions, grad_similarity * q[:, :, None])


def tiled_attention(query: Tensor, keys: Tensor, values: Tensor, radius: int, topk: int | None) -> Tensor:
    """Local attention by tiles; arguments as in `local_attention`, of one floating dtype, similarities as they are.

    The batch is cut so that one tile's similarities stay within `MAX_SIMILARITIES`.
    """
    height, width = query.shape[-2:]
    seen = min(TILE[0] + 2 * radius, height) * min(TILE[1] + 2 * radius, width) * keys.shape[1]
    batch = max(1, MAX_SIMILARITIES // (TILE[0] * TILE[1] * seen))
    parts = [
        TiledAttention.apply(*part, radius, topk)  # type: ignore[no-untyped-call]
        for part in zip(query.split(batch), keys.split(batch), values.split(batch), strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
