"""Where objects have gone since a frame, so that the window in an old reference can follow them.

A window around the query's own place loses an object that has moved since the first frame; a window as wide as the
motion finds its look-alikes too. So the reference is moved instead, as far as its objects have (in the spirit of MAMP's
motion-aware windows), and the window stays narrow.
"""

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor

Shift = tuple[int, int]  # rows and columns, in feature positions
Centre = tuple[float, float]
STAY: Shift = (0, 0)
OUT_OF_FRAME = -1e4
# References at most so many frames old are left where they are.
STILL = 2
# A given frame follows at most so many groups of objects, each costs a reference.
MAX_GROUPS = 3


def centres(masks: Tensor) -> list[list[Centre | None]]:
    """Centre of each object in each frame, in feature positions; None where it isn't seen.

    Args:
        masks: soft, (R, K, h, w).
    """
    seen = (masks > 0.5).float()
    rows, columns = (torch.arange(length, device=masks.device, dtype=seen.dtype) for length in masks.shape[-2:])
    sums = torch.stack([seen.sum((2, 3)), (seen.sum(3) * rows).sum(2), (seen.sum(2) * columns).sum(2)], dim=-1)
    return [[(y / mass, x / mass) if mass else None for mass, y, x in frame] for frame in sums.tolist()]


def seen_last(masks: Tensor, before: Sequence[Centre | None]) -> list[Centre | None]:
    """Centre of each object, and where it isn't seen that of before.

    Args:
        masks: soft, (K, h, w).
        before: as it was; objects that have come since are missing at its end.
    """
    now = centres(masks[None])[0]
    return [seen or then for seen, then in zip_longest(now, before)]


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


def reference_shifts(
    ages: Sequence[int],
    recent: Sequence[bool],
    then: Sequence[Sequence[Centre | None]],
    now: Sequence[Centre | None],
    slack: int,
) -> tuple[list[int], list[Shift]]:
    """How to move references so that objects are where they were seen last: (rows of the references, shift of each).

    One that isn't recent is there once for each group of objects that has moved its own way. Of the others, each
    follows one such group, in turn, since more references cost more; the latest are not moved.

    Args:
        ages: of the references, in frames.
        recent: whether they are references for being recent, and not for a mask that was given.
        then: where the objects were in each reference; None where it doesn't tell.
        now: where they were seen last.
        slack: motions that differ by at most so many positions are one.
    """
    rows, shifts = [], []
    for row, age in enumerate(ages):
        groups = distinct_shifts(then[row], now, slack) if age > STILL else [STAY]
        groups = [groups[row % len(groups)]] if recent[row] else groups[:MAX_GROUPS]
        rows += [row] * len(groups)
        shifts += groups
    return rows, shifts


def move_references(keys: Tensor, values: Tensor, shifts: Sequence[Shift]) -> tuple[Tensor, Tensor, Tensor]:
    """Move what is read from.

    Args:
        keys: of the references, (1, R, D, h, w).
        values: of the references, (1, R, C, h, w).
        shifts: of the references.

    Returns:
        Keys and values, moved, and what to add to similarities so that nothing matches what lies out of the frame,
        (1, R, h, w).
    """
    keys, values = keys.clone(), values.clone()
    bias = values.new_zeros(1, *keys.shape[1:2], *keys.shape[-2:])
    for r, shift in enumerate(shifts):
        if shift != STAY:
            keys[0, r], values[0, r] = moved(keys[0, r], shift), moved(values[0, r], shift)
            bias[:, r] = moved(bias[:, r], shift, OUT_OF_FRAME)
    return keys, values, bias


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
