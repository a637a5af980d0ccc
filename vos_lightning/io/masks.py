"""Masks as PNG files: one byte per pixel, the object's id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.io.files import atomic_path
from vos_lightning.io.limits import opened_image
from vos_lightning.io.palette import complete_palette

_SOFT_IDS = 8
"""From this many ids without a single 2-by-2 block of their own, a grey image is taken to be antialiased."""


def read_mask(path: str | Path) -> NDArray[np.uint8]:
    """Read the object ids of a palette or 8-bit grey PNG; a 1-bit PNG gives 0 and 1.

    That is what data sets and results are made of; `MaskReader` reads the masks of a user's own video.

    Returns:
        Ids (H, W) as stored: 255 stays 255, palette colours play no part.

    Raises:
        MaskError: RGB, alpha, 16-bit, another file format, or grey values that are antialiased edges.
        CorruptFileError: The file can't be decoded.
        VOSError: There is no such file.
    """
    with opened_mask(path) as image:
        if image.format != "PNG":
            raise MaskError(f"{path}: this mask is a {image.format} file; save it as a palette or grey PNG")
        if image.mode not in ("P", "L", "1"):
            raise MaskError(f"{path}: {_fault(image.mode)}; save it as a palette or 8-bit grey PNG of object ids")
        mask = np.array(image, dtype=np.uint8)
        if image.mode == "L":
            check_hard_edges(path, mask, [mask])
    return mask


def read_palette(path: str | Path) -> bytes | None:
    """Read the palette of an indexed PNG, three bytes per id as stored; `None` for a mask without one.

    Raises:
        CorruptFileError: The file can't be decoded.
        VOSError: There is no such file.
    """
    with opened_mask(path) as image:
        palette = image.getpalette("RGB") if image.mode == "P" else None
    return bytes(palette) if palette else None


def write_mask(path: str | Path, mask: ArrayLike, palette: bytes | None = None) -> None:
    """Write object ids as an indexed PNG that is there whole or not at all.

    Args:
        path: Name of the file; its folder must exist.
        mask: Ids (H, W): booleans or integers 0..255.
        palette: Colours of the ids, as from `read_palette`; `None` for `DAVIS_PALETTE`.

    Raises:
        MaskError: The mask has another shape, type or range.
        VOSError: The file can't be written.
    """
    image = Image.fromarray(as_ids(mask))
    image.putpalette(complete_palette(palette))
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def as_ids(mask: ArrayLike) -> NDArray[np.uint8]:
    """View or convert booleans or integers 0..255 of shape (H, W) as bytes.

    Raises:
        MaskError: The mask has another shape, type or range.
    """
    ids = np.asarray(mask)
    if ids.ndim != 2 or 0 in ids.shape:
        raise MaskError(f"a mask has the shape (H, W), not {ids.shape}")
    if ids.dtype == np.uint8 or ids.dtype == np.bool_:
        return ids.astype(np.uint8, copy=False)
    if not np.issubdtype(ids.dtype, np.integer):
        raise MaskError(f"a mask holds integer ids, not {ids.dtype}")
    if ids.min() < 0 or ids.max() > 255:
        raise MaskError(f"ids are between 0 and 255 to fit a PNG, not {ids.min()}..{ids.max()}")
    return ids.astype(np.uint8)


@contextmanager
def opened_mask(path: str | Path) -> Iterator[Image.Image]:
    """Open and decode an image file.

    Raises:
        CorruptFileError: It can't be decoded.
        VOSError: There is no such file.
    """
    if not Path(path).exists():
        raise VOSError(f"{path}: no such mask; check the path")
    with opened_image(path, "mask") as image:
        image.load()
        yield image


def _fault(mode: str) -> str:
    """Say what is wrong with a mask of this PIL mode."""
    if mode.startswith("I") or mode == "F":
        return "this mask has 16 bits per pixel"
    return f"this mask is an {mode} image, not ids" if mode != "LA" else "this mask has an alpha channel"


def check_hard_edges(path: str | Path, places: NDArray[Any], channels: Sequence[NDArray[np.uint8]]) -> None:
    """Refuse a picture whose many values come from smoothed edges: read as ids they'd be hundreds of objects.

    Thin objects, such as lines, are told apart from them: a smoothed edge lies between a darker and a brighter side.

    Args:
        path: To name.
        places: Number of each pixel's value among those of the picture, (H, W).
        channels: Of the picture, each (H, W).

    Raises:
        MaskError: They do.
    """
    counts = np.bincount(places.ravel())
    if np.count_nonzero(counts) <= _SOFT_IDS:
        return
    corner = places[:-1, :-1]
    solid = (corner == places[1:, :-1]) & (corner == places[:-1, 1:]) & (corner == places[1:, 1:])
    thin = (counts > 0) & (np.bincount(corner[solid], minlength=len(counts)) == 0)
    between = np.logical_or.reduce([_between(channel) for channel in channels])
    soft = thin & (2 * np.bincount(places[between], minlength=len(counts)) > counts)
    if np.count_nonzero(soft) >= _SOFT_IDS and 2 * np.count_nonzero(soft) > np.count_nonzero(counts):
        raise MaskError(
            f"{path}: {np.count_nonzero(counts)} values, most of them thin edges: this mask is antialiased; "
            "save it without smoothing, one value per object, or with a palette if these are ids"
        )


def _between(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with both a smaller and a larger value among their eight neighbours, (H, W)."""
    padded = np.pad(mask, 1, mode="edge")
    rows = padded[:-2], padded[1:-1], padded[2:]
    low, high = np.minimum.reduce(rows), np.maximum.reduce(rows)
    low = np.minimum.reduce((low[:, :-2], low[:, 1:-1], low[:, 2:]))
    high = np.maximum.reduce((high[:, :-2], high[:, 1:-1], high[:, 2:]))
    between: NDArray[np.bool_] = (low < mask) & (mask < high)
    return between
