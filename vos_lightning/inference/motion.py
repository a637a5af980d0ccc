"""Where objects have gone since a frame, so that the window in an old reference can follow them.

A window around the query's own place loses an object that has moved since the first frame; a window as wide as the
motion finds its look-alikes too. So the reference is moved instead, as far as its objects have (in the spirit of MAMP's
motion-aware windows), and the window stays narrow.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Shift = tuple[int, int]  # rows and columns, in feature positions
STAY: Shift = (0, 0)
OUT_OF_FRAME = -1e4


def centres(probs: Tensor) -> list[tuple[float, float] | None]:
    """Centre of each object, in feature positions; None where it isn't seen.

    Args:
        probs: (K + 1, h, w), background first.
    """
    seen = (probs[1:] > 0.5).float()
    mass = seen.sum((1, 2))
    rows, columns = (torch.arange(length, device=probs.device, dtype=seen.dtype) for length in probs.shape[-2:])
    sums = torch.stack([mass, (seen.sum(2) * rows).sum(1), (seen.sum(1) * columns).sum(1)], dim=1)
    return [(y / m, x / m) if m > 0 else None for m, y, x in sums.tolist()]


def distinct_shifts(shifts: Sequence[Shift], slack: int, limit: int) -> list[Shift]:
    """The first of those that differ by at most `slack` stands for all of them; at most `limit` are kept."""
    kept: list[Shift] = []
    for dy, dx in shifts:
        if all(max(abs(dy - y), abs(dx - x)) > slack for y, x in kept):
            kept.append((dy, dx))
    return kept[:limit]


def moved(images: Tensor, shift: Shift, fill: float = 0.0) -> Tensor:
    """Move the content of (C, h, w) by whole positions; what comes in from outside is `fill`."""
    dy, dx = shift
    height, width = images.shape[-2:]
    result = torch.full_like(images, fill)
    if abs(dy) < height and abs(dx) < width:
        here = (..., slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
        there = (..., slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx)))
        result[here] = images[there]
    return result
