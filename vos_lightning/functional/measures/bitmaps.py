"""Binary masks packed 64 pixels to a word: morphology and counting at the speed of bitwise arithmetic.

Words lie column by column, (..., ceil(W / 64), H): bit j of word [i, y] holds pixel x = 64·i + j of row y, and the
bits past the last image column are zero. So moving a mask up or down is a slice, and slices leave long contiguous runs.
"""

from collections.abc import Iterator
from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

WORD = 64


def pack(masks: NDArray[np.bool_]) -> Words:
    """Packs the columns of masks into words.

    Args:
        masks: (..., H, W).

    Returns:
        (..., ceil(W / 64), H).
    """
    *leading, height, width = masks.shape
    packed = np.packbits(masks, axis=-1, bitorder="little")
    padded = np.zeros((*leading, height, -(-width // WORD) * (WORD // 8)), dtype=np.uint8)
    padded[..., : packed.shape[-1]] = packed
    return np.ascontiguousarray(padded.view("<u8").swapaxes(-1, -2), dtype=np.uint64)


def count(words: Words) -> int:
    """Number of pixels that are set."""
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def boundary(words: Words, width: int) -> Words:
    """Pixels that differ from their east, south or south-east neighbour; the image border itself is none.

    In the last row only the east neighbour counts, in the last column only the south one.

    Args:
        words: (..., ceil(W / 64), H).
        width: W, in pixels.
    """
    east = _east(words)
    edges = words ^ east
    edges[..., :-1] |= words[..., :-1] ^ east[..., 1:]
    edges &= _columns_below(width - 1, words.shape[-2])
    edges[..., :-1] |= words[..., :-1] ^ words[..., 1:]
    return edges


def disk_rows(radius: int) -> Iterator[tuple[int, int]]:
    """Rows of the disk x² + y² ≤ radius², outermost first: (distance from the centre row, half-width)."""
    for y in range(radius, -1, -1):
        yield y, isqrt(radius * radius - y * y)


def widening_steps(start: int, stop: int) -> Iterator[int]:
    """Shifts that widen a run of pixels from half-width `start` to `stop`.

    A shift is never larger than the half-width so far plus one. Then every pixel is reached by moving away from its
    source only, so that nothing is lost where an array ends.
    """
    while start < stop:
        step = min(start + 1, stop - start, WORD - 1)
        yield step
        start += step


def dilate(words: Words, radius: int) -> Words:
    """Dilates by a disk: the union, over its rows, of the mask widened to the row's half-width and moved up and down.

    Args:
        words: (..., ceil(W / 64), H). Bits past the last image column may be set afterwards.
        radius: In pixels.
    """
    height = words.shape[-1]
    dilated = np.zeros_like(words)
    widened, half_width = words, 0
    for y, row_half_width in disk_rows(radius):
        for step in widening_steps(half_width, row_half_width):
            widened = _widen(widened, step)
        half_width = row_half_width
        if y < height:
            dilated[..., y:] |= widened[..., : height - y]
            dilated[..., : height - y] |= widened[..., y:]
    return dilated


def content(words: Words) -> tuple[slice, slice]:
    """Words and rows that hold the set pixels, of which there must be one, with one more around them where there are.

    Args:
        words: (ceil(W / 64), H).
    """
    columns, rows = np.flatnonzero(words.any(axis=1)), np.flatnonzero(words.any(axis=0))
    return (
        slice(max(int(columns[0]) - 1, 0), int(columns[-1]) + 2),
        slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2),
    )


@lru_cache
def _columns_below(stop: int, words: int) -> Words:
    """The image columns before `stop`, as (words, 1)."""
    return pack(np.arange(words * WORD)[None] < stop)


def _east(words: Words) -> Words:
    """Every pixel takes the value of its right neighbour."""
    moved = words >> np.uint64(1)
    moved[..., :-1, :] |= words[..., 1:, :] << np.uint64(WORD - 1)
    return moved


def _widen(words: Words, step: int) -> Words:
    """Union of a mask with itself moved left and right by `step` < 64 pixels."""
    near, far = np.uint64(step), np.uint64(WORD - step)
    widened = words << near
    widened |= words
    widened |= words >> near
    widened[..., 1:, :] |= words[..., :-1, :] >> far
    widened[..., :-1, :] |= words[..., 1:, :] << far
    return widened
