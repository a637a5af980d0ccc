"""Masks as run lengths, in the compressed text of COCO that pycocotools reads."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vos_lightning.errors import MaskError
from vos_lightning.io.limits import check_pixels


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


def from_run_lengths(encoded: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The mask (H, W) of COCO's run lengths: `counts` is the compressed text, or a list of numbers.

    >>> from_run_lengths({"size": [2, 2], "counts": [1, 3]})
    array([[False,  True],
           [ True,  True]])

    Raises:
        MaskError: They are none, or fill another size than their own.
        VOSError: They claim more pixels than may be read.
    """
    try:
        height, width = (int(side) for side in encoded["size"])
        counts = encoded["counts"]
        lengths = np.array(_lengths(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise MaskError("run lengths that are none of COCO's; expected {'size': [H, W], 'counts': …}") from error
    check_pixels("run lengths", height, width)
    if min(height, width) < 1 or lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != height * width:
        raise MaskError(f"run lengths that don't add up to their {width}x{height} pixels; export them again")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(width, height).T


def _lengths(text: str | bytes) -> list[int]:
    """The inverse of what `run_lengths` writes."""
    lengths: list[int] = []
    value = shift = 0
    for byte in text.encode("ascii") if isinstance(text, str) else text:
        group = byte - 48
        if not 0 <= group < 64 or shift > 60:
            raise ValueError("no run lengths")
        value |= (group & 0x1F) << shift
        shift += 5
        if not group & 0x20:
            value -= (1 << shift) if group & 0x10 else 0
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


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
