"""Where objects have gone since a frame, so that the window in an old reference can follow them.

A window around the query's own place loses an object that has moved since the first frame; a window as wide as the
motion finds its look-alikes too. So the reference is moved instead, as far as its objects have (in the spirit of MAMP's
motion-aware windows), and the window stays narrow.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Shift = tuple[int, int]  # rows and columns, in feature positions
Centre = tuple[float, float]
STAY: Shift = (0, 0)
OUT_OF_FRAME = -1e4


def centres(probs: Tensor) -> list[list[Centre | None]]:
    """Centre of each object in each frame, in feature positions; None where it isn't seen.

    Args:
        probs: (R, K + 1, h, w), background first.
    """
    seen = (probs[:, 1:] > 0.5).float()
    rows, columns = (torch.arange(length, device=probs.device, dtype=seen.dtype) for length in probs.shape[-2:])
    sums = torch.stack([seen.sum((2, 3)), (seen.sum(3) * rows).sum(2), (seen.sum(2) * columns).sum(2)], dim=-1)
    return [[(y / mass, x / mass) if mass else None for mass, y, x in frame] for frame in sums.tolist()]


def distinct_shifts(then: Sequence[Centre | None], now: Sequence[Centre | None], slack: int) -> list[Shift]:
    """How the objects have moved; the first of those that differ by at most `slack` stands for all of them."""
    kept: list[Shift] = []
    for before, after in zip(then, now, strict=True):
        if before is None or after is None:
            continue
        dy, dx = round(after[0] - before[0]), round(after[1] - before[1])
        if all(max(abs(dy - y), abs(dx - x)) > slack for y, x in kept):
            kept.append((dy, dx))
    return kept or [STAY]


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
