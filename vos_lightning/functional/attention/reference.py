"""Local attention as it is defined: short, exact and slow. Every other form of it is held against this one."""

import torch
from torch import Tensor

Radii = tuple[int, ...]


def reference_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    bias: Tensor | None,
    mutual: float,
    topk: int | None,
    temperature: float,
) -> Tensor:
    """softmax((q·k + bias) / temperature) v, over the windows in all references (SSVOS eqs. 1, 2, 6 and 7).

    With mutual matches q·k is lessened by mutual · (largest q'·k of the queries whose windows hold k - q·k).

    Arguments as of `local_attention`, of one floating dtype. Compares every query with every key: H·W·R·H·W numbers.
    """
    similarity = torch.einsum("bdyx,brdvu->byxrvu", query, keys)
    seen = torch.stack([window(radius, query) for radius in radii], dim=2)
    largest = similarity.detach().masked_fill(~seen, -torch.inf).amax((1, 2), keepdim=True)
    similarity = similarity - mutual * (largest - similarity)
    if bias is not None:
        similarity = similarity + bias[:, None, None]
    similarity = (similarity / temperature).masked_fill(~seen, -torch.inf).flatten(3)
    if topk is not None and topk < similarity.shape[-1]:
        best = similarity.topk(topk)
        similarity = torch.full_like(similarity, -torch.inf).scatter(-1, best.indices, best.values)
    affinity = similarity.softmax(-1).unflatten(-1, seen.shape[2:])
    return torch.einsum("byxrvu,brcvu->bcyx", affinity, values)


def window(radius: int, frames: Tensor) -> Tensor:
    """Which positions (v, u) of a reference each position (y, x) of the query frame sees, (H, W, H, W) bool."""
    near = [
        (torch.arange(length, device=frames.device)[:, None] - torch.arange(length, device=frames.device)).abs()
        <= radius
        for length in frames.shape[-2:]
    ]
    return near[0][:, None, :, None] & near[1][:, None, :]
