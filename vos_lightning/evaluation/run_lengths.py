"""Masks as run lengths, in the compressed text of COCO that pycocotools reads."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def run_lengths(mask: ArrayLike) -> dict[str, Any]:
    """A mask as COCO's compressed run-length encoding.

    Pixels go column by column; runs of background and object alternate, background first. Each length, from the fourth
    on less the one two before, is written in groups of five bits, the lowest first, one character each.

    Args:
        mask: boolean (H, W).

    Returns:
        `{"size": [H, W], "counts": text}`.

    >>> run_lengths([[0, 1], [1, 1]])
    {'size': [2, 2], 'counts': '13'}
    """
    pixels = np.asarray(mask, bool)
    counts = _counts(pixels.T.ravel())
    text = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        text.append(_text(value))
    return {"size": list(pixels.shape), "counts": "".join(text)}


def _counts(flat: NDArray[np.bool_]) -> list[int]:
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts: list[int] = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *counts] if flat.size and flat[0] else counts


def _text(value: int) -> str:
    characters = []
    while True:
        group, value = value & 0x1F, value >> 5
        ended = value == (-1 if group & 0x10 else 0)
        characters.append(chr(48 + (group if ended else group | 0x20)))
        if ended:
            return "".join(characters)
