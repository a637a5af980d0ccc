"""Local attention that learns, in few large operations: blocks of queries, each with the rectangle that it sees.

A block's similarities are one dense matrix product, to which a mask is added that excludes what lies in the rectangle
but not in a query's own window. Channels lie last, so that rectangles are cheap to copy.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vos_lightning.functional.attention.batched import scratch
from vos_lightning.functional.attention.reference import Radii

# Rows and columns, chosen by timing others on a CPU: larger blocks compute more similarities outside of the windows,
# smaller ones starve the matrix product.
BLOCK = (8, 16)
# Similarities of a block at a time, in elements; batches are cut accordingly.
MAX_SIMILARITIES = 2**19
# Up to so many affinities are kept for the backward pass, in elements; more are computed again.
MAX_KEPT = 2**24

# Rows and columns.
Rectangle = tuple[slice, slice]


class BlockAttention(torch.autograd.Function):
    """Forward and backward of `local_attention`."""

    @staticmethod
    def forward(  # noqa: D102
        ctx: Any,  # noqa: ANN401
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        radii: Radii,
        topk: int | None,
        temperature: float,
        dtype: torch.dtype,
    ) -> Tensor:
        q, k, v = map(_channels_last, (query, keys, values))
        output = q.new_empty(*q.shape[:3], v.shape[-1])
        size = (q.shape[1], q.shape[2])
        count = len(q) * sum(_area(block) * sum(map(_area, seen)) for block, seen in _blocks(size, radii))
        kept = []
        for block, seen in _blocks(size, radii):
            affinity = _affinity(q, k, block, seen, radii, topk, temperature)
            _put(output, block, torch.bmm(affinity, _seen(v, seen)))
            if any(ctx.needs_input_grad) and count <= MAX_KEPT:
                kept.append(affinity)
        ctx.save_for_backward(query, keys, values, output, *kept)
        ctx.options = radii, topk, temperature
        ctx.dtype = dtype
        return output.movedim(-1, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401, D102
        query, keys, values, output, *kept = ctx.saved_tensors
        radii, _, temperature = ctx.options
        q, k, v, g = map(_channels_last, (query, keys, values, grad))
        # softmax' Jacobian needs Σ_j P_ij dP_ij, which equals the output's product with its gradient. Riding along as
        # the gradient of appended ones it costs no pass of its own.
        grad_sums = torch.cat([g, -(g * output).sum(-1, keepdim=True)], dim=-1) / temperature
        ones = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
        q_low, k_low = q.to(ctx.dtype), k.to(ctx.dtype)
        grad_query = torch.empty_like(q)
        grad_keys, grad_values = (
            torch.zeros_like(frames) if needed else None
            for frames, needed in zip((k, v), ctx.needs_input_grad[1:3], strict=True)
        )
        for i, (block, seen) in enumerate(_blocks((q.shape[1], q.shape[2]), radii)):
            affinity = kept[i] if kept else _affinity(q, k, block, seen, *ctx.options)
            change = scratch("changes", affinity.shape, affinity)
            torch.bmm(_cut(grad_sums, block), _seen(ones, seen).mT, out=change)
            change = change.mul_(affinity).to(ctx.dtype)
            _put(grad_query, block, torch.bmm(change, _seen(k_low, seen)))
            if grad_keys is not None:
                _add(grad_keys, seen, torch.bmm(change.mT, _cut(q_low, block)))
            if grad_values is not None:
                _add(grad_values, seen, torch.bmm(affinity.mT, _cut(g, block)))
        grads = (None if each is None else each.movedim(-1, -3) for each in (grad_query, grad_keys, grad_values))
        return (*grads, None, None, None, None)


def block_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    topk: int | None,
    temperature: float,
    dtype: torch.dtype,
) -> Tensor:
    """Local attention by blocks; arguments as of `local_attention`, of one floating dtype.

    The batch is cut so that one block's similarities stay within `MAX_SIMILARITIES`.

    Args:
        query: see `local_attention`, as the others.
        keys: likewise.
        values: likewise.
        radii: one per reference.
        topk: likewise.
        temperature: likewise.
        dtype: of the products that make the gradients of query and keys out of that of the similarities.
    """
    size = (query.shape[2], query.shape[3])
    largest = max(_area(block) * sum(map(_area, seen)) for block, seen in _blocks(size, radii))
    batch = max(1, MAX_SIMILARITIES // largest)
    parts = [
        BlockAttention.apply(*part, radii, topk, temperature, dtype)  # type: ignore[no-untyped-call]
        for part in zip(query.split(batch), keys.split(batch), values.split(batch), strict=True)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _affinity(
    q: Tensor,
    k: Tensor,
    block: Rectangle,
    seen: Sequence[Rectangle],
    radii: Radii,
    topk: int | None,
    temperature: float,
) -> Tensor:
    """Of a block of queries with the keys in its rectangles, (B, queries, keys), zero out of the windows."""
    masks = [
        _mask(tuple(_offsets(block, rectangle)), radius, q.dtype, q.device)
        for rectangle, radius in zip(seen, radii, strict=True)
    ]
    mask = masks[0] if len(masks) == 1 else torch.cat(masks, dim=1)
    similarity = scratch("similarities of a block", (len(q), *mask.shape), q)
    torch.baddbmm(mask, _cut(q, block), _seen(k, seen).mT, alpha=1 / temperature, out=similarity)
    if topk is None or topk >= mask.shape[1]:
        return similarity.softmax(-1)
    best = similarity.topk(topk, sorted=False)
    return torch.zeros_like(similarity).scatter_(-1, best.indices, best.values.softmax(-1))


def _blocks(size: tuple[int, int], radii: Radii) -> Iterator[tuple[Rectangle, list[Rectangle]]]:
    """Blocks of queries, each with the rectangle of each reference that holds its windows."""
    for rows in _cuts(size[0], BLOCK[0]):
        for columns in _cuts(size[1], BLOCK[1]):
            yield (
                (rows, columns),
                [(_reached(rows, radius, size[0]), _reached(columns, radius, size[1])) for radius in radii],
            )


def _cuts(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _reached(positions: slice, radius: int, length: int) -> slice:
    return slice(max(0, positions.start - radius), min(length, positions.stop + radius))


def _area(rectangle: Rectangle) -> int:
    rows, columns = rectangle
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _offsets(block: Rectangle, seen: Rectangle) -> Iterator[tuple[int, int, int]]:
    """Per axis: length of the block, and where its rectangle starts and stops relative to it."""
    for queries, keys in zip(block, seen, strict=True):
        yield queries.stop - queries.start, keys.start - queries.start, keys.stop - queries.start


@lru_cache(maxsize=64)
def _mask(offsets: tuple[tuple[int, int, int], ...], radius: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 in the windows and -inf elsewhere in the rectangle, (queries, keys)."""
    far = [(torch.arange(count)[:, None] - torch.arange(start, stop)).abs() > radius for count, start, stop in offsets]
    outside = (far[0][:, None, :, None] | far[1][None, :, None, :]).flatten(2).flatten(0, 1)
    return torch.zeros(outside.shape, dtype=dtype).masked_fill_(outside, -torch.inf).to(device)


def _channels_last(frames: Tensor) -> Tensor:
    """(..., C, H, W) -> (..., H, W, C), contiguous."""
    return frames.movedim(-3, -1).contiguous()


def _cut(frames: Tensor, block: Rectangle) -> Tensor:
    """(B, H, W, C) -> (B, queries, C)."""
    return frames[:, block[0], block[1]].flatten(1, 2)


def _seen(frames: Tensor, seen: Sequence[Rectangle]) -> Tensor:
    """(B, R, H, W, C) -> (B, keys, C)."""
    if all(rectangle == seen[0] for rectangle in seen):
        rows, columns = seen[0]
        return frames[:, :, rows, columns].flatten(1, 3)
    return torch.cat([_cut(frame, each) for frame, each in zip(frames.unbind(1), seen, strict=True)], dim=1)


def _put(frames: Tensor, block: Rectangle, read: Tensor) -> None:
    """Write (B, queries, C) into (B, H, W, C)."""
    there = frames[:, block[0], block[1]]
    there.copy_(read.view(there.shape))


def _add(frames: Tensor, seen: Sequence[Rectangle], found: Tensor) -> None:
    """Add (B, keys, C) to (B, R, H, W, C)."""
    sizes = [_area(rectangle) for rectangle in seen]
    for frame, (rows, columns), part in zip(frames.unbind(1), seen, found.split(sizes, dim=1), strict=True):
        there = frame[:, rows, columns]
        there.add_(part.unflatten(1, there.shape[1:3]))
