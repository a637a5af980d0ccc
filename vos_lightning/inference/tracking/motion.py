"""Where objects have gone since a frame, and how large they were: how a reference is looked at, and whether it is.

A window around the query's own place loses an object that has moved since the first frame; a window as wide as the
motion finds its look-alikes too. So the reference is moved instead, as far as its objects have (in the spirit of MAMP's
motion-aware windows), and the window stays narrow. Masks may be given for frames of any time: where objects have come
near or gone away in between, parts of them look like other things, and such a frame misleads.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

Shift = tuple[int, int]  # rows and columns, in feature positions
STAY: Shift = (0, 0)
OUT_OF_FRAME = -1e4
# References at most so many frames old are left where they are.
STILL = 2
# A given frame follows at most so many groups of objects, each costs a reference.
MAX_GROUPS = 3


class Place(NamedTuple):
    """Where an object is seen, in feature positions.

    Attributes:
        row: of its centre.
        column: of its centre.
        area: number of positions.
    """

    row: float
    column: float
    area: float


def places(masks: Tensor) -> list[list[Place | None]]:
    """Place of each object in each frame; None where it isn't seen.

    Args:
        masks: soft, (R, K, h, w).
    """
    sums = (masks > 0.5).flatten(2).float() @ _moments((masks.shape[2], masks.shape[3]), masks.device)
    return [[Place(y / mass, x / mass, mass) if mass else None for mass, y, x in frame] for frame in sums.tolist()]


def alike_in_size(one: Sequence[Place | None], other: Sequence[Place | None], ratio: float) -> bool:
    """Whether some object is neither larger nor smaller by `ratio` in one frame than in the other.

    Args:
        one: the objects in a frame.
        other: the same objects in another.
        ratio: of areas, each a position more than seen, above 1.
    """
    areas = [[1 + (place.area if place else 0) for place in frame] for frame in (one, other)]
    return any(1 / ratio < a / b < ratio for a, b in zip(*areas, strict=True))


@lru_cache(maxsize=8)
def _moments(size: tuple[int, int], device: torch.device) -> Tensor:
    """1, row and column of each position, (h · w, 3)."""
    rows, columns = torch.meshgrid(*(torch.arange(length, dtype=torch.float32) for length in size), indexing="ij")
    return torch.stack([torch.ones_like(rows), rows, columns], dim=-1).flatten(0, 1).to(device)


def seen_last(now: Sequence[Place | None], before: Sequence[Place | None]) -> list[Place | None]:
    """Place of each object, and where it isn't seen that of before.

    Args:
        now: of each object.
        before: as it was; objects that have come since are missing at its end.
    """
    return [seen or then for seen, then in zip_longest(now, before)]


def distinct_shifts(then: Sequence[Place | None], now: Sequence[Place | None], slack: int) -> list[Shift]:
    """How the objects have moved; the first of those that differ by at most `slack` stands for all of them."""
    kept: list[Shift] = []
    for before, after in zip(then, now, strict=True):
        if before is None or after is None:
            continue
        dy, dx = round(after.row - before.row), round(after.column - before.column)
        if all(max(abs(dy - y), abs(dx - x)) > slack for y, x in kept):
            kept.append((dy, dx))
    return kept or [STAY]


def reference_shifts(
    ages: Sequence[int],
    recent: Sequence[bool],
    then: Sequence[Sequence[Place | None]],
    now: Sequence[Place | None],
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


def move_references(
    keys: Tensor, values: Tensor, rows: Sequence[int], shifts: Sequence[Shift]
) -> tuple[Tensor, Tensor, Tensor]:
    """Move what is read from by whole positions, all references in a few operations.

    Args:
        keys: of the references, (1, R, D, h, w).
        values: of the references, (1, R, C, h, w).
        rows: which of them, (R',).
        shifts: of these.

    Returns:
        Keys (1, R', D, h, w) and values (1, R', C, h, w), moved, and what to add to similarities so that nothing
        matches what lies out of the frame, (1, R', h, w).
    """
    height, width = keys.shape[-2:]
    (down, down_inside), (right, right_inside) = (
        _sources(torch.tensor([shift[axis] for shift in shifts], device=keys.device), length)
        for axis, length in ((0, height), (1, width))
    )
    inside = down_inside[:, :, None] & right_inside[:, None]
    places = down[:, :, None] * width + right[:, None]
    chosen = torch.tensor(rows, device=keys.device)
    by_position = keys[0].permute(0, 2, 3, 1).flatten(0, 2)
    flat = (places + chosen[:, None, None] * (height * width)).flatten()
    moved_keys = by_position.index_select(0, flat).unflatten(0, places.shape).permute(0, 3, 1, 2)
    index = places.flatten(1)[:, None].expand(-1, values.shape[2], -1)
    moved_values = values[0].index_select(0, chosen).flatten(2).gather(2, index).unflatten(2, (height, width))
    bias = (~inside * OUT_OF_FRAME).to(values.dtype)
    return moved_keys[None], (moved_values * inside[:, None])[None], bias[None]


def _sources(shifts: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Where positions along one axis come from, and whether that is in the frame: (R',) -> (R', length)."""
    source = torch.arange(length, device=shifts.device) - shifts[:, None]
    inside = source.clamp(0, length - 1)
    return inside, source == inside
