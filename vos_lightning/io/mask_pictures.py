"""Masks in pictures of any format that keeps every pixel: ids, grey levels, or a colour for each object."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vos_lightning.errors import CorruptFileError, MaskError
from vos_lightning.ids import VOID
from vos_lightning.io.masks import check_hard_edges, opened_mask
from vos_lightning.io.palette import DAVIS_PALETTE

_BROKEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, struct.error)
"""What Pillow also raises for damaged TIFFs and GIFs."""
_FORMATS = ("PNG", "BMP", "TIFF", "GIF", "WEBP")
_DAVIS_IDS = {f"#{DAVIS_PALETTE[3 * i : 3 * i + 3].hex()}": i for i in range(1, VOID + 1)}
_DARKEST_LEVEL = 32
"""Beside 255, grey values from this one on are levels of a picture; below it they are ids, and 255 is void."""


@dataclass(frozen=True)
class Regions:
    """Pixels of objects that have names rather than ids.

    Args:
        places: (H, W): 0 is background, n belongs to the n-th name.
        names: colours as `#rrggbb`, or labels.
        wishes: ids that they'd like to have, by name.
    """

    places: NDArray[np.uint8]
    names: list[str]
    wishes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """What a picture says of its mask.

    Args:
        ids: (H, W) palette indices or grey values; None if it is coloured.
        colours: (H, W) 0xRRGGBB of grey and coloured pictures, 0 where transparent; None if it has a palette.
        palette: of its ids.
    """

    ids: NDArray[np.uint8] | None
    colours: NDArray[np.uint32] | None
    palette: bytes | None = None

    @property
    def has_levels(self) -> bool:
        """Whether grey values look like levels, as black, grey and white, and not like ids with void beside them."""
        if self.ids is None or self.colours is None:
            return False
        values = np.unique(self.ids[self.ids > 0])
        return len(values) > 1 and values[-1] == VOID and bool(values[0] >= _DARKEST_LEVEL)

    def regions(self) -> Regions:
        """Each colour but black as an object, in the order of their values; those of DAVIS' palette ask for its ids."""
        assert self.colours is not None
        values = np.unique(self.colours)
        values = values[values > 0]
        places = np.searchsorted(values, self.colours).astype(np.uint8) + 1
        places[self.colours == 0] = 0
        names = [f"#{value:06x}" for value in values.tolist()]
        return Regions(
            places, names, {} if self.ids is not None else {n: _DAVIS_IDS[n] for n in names if n in _DAVIS_IDS}
        )


def read_picture(path: str | Path) -> Picture:
    """Read a mask from a PNG, BMP, TIFF, GIF or lossless WebP.

    Raises:
        MaskError: another or a lossy format, several pictures in one file, ids above 255, antialiased edges.
        CorruptFileError: The file can't be decoded.
        VOSError: There is no such file, or it is too large.
    """
    try:
        return _read(path)
    except _BROKEN as error:
        raise CorruptFileError(f"{path}: this mask cannot be decoded ({error!r}); replace or remove it") from error


def _read(path: str | Path) -> Picture:
    with opened_mask(path) as image:
        _check_format(image, path)
        if image.mode.startswith("I"):
            return Picture(_small(np.array(image), path), None)
        if image.mode == "1" or (image.mode == "P" and image.format != "GIF"):  # a GIF's writer may reorder ids
            palette = image.getpalette("RGB") if image.mode == "P" else None
            return Picture(np.array(image, np.uint8), None, bytes(palette) if palette else None)
        if image.mode not in ("L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"):
            raise MaskError(f"{path}: a mask has ids or RGB colours, not {image.mode}; save it as a palette PNG")
        return _coloured(np.array(image.convert("RGBA")), path)


def _coloured(rgba: NDArray[np.uint8], path: str | Path) -> Picture:
    """A picture from its pixels (H, W, 4)."""
    rgb, alpha = rgba[..., :3], rgba[..., 3]
    check_hard_edges(path, alpha, [alpha])
    rgb = rgb * (alpha > 0)[..., None]
    if not rgb.any() and 0 < np.count_nonzero(alpha) < alpha.size:
        rgb = np.repeat((alpha > 0)[..., None] * np.uint8(VOID), 3, -1)  # drawn in black on nothing
    grey = rgb[..., 0]
    if (rgb == grey[..., None]).all():
        check_hard_edges(path, grey, [grey])
        return Picture(grey, grey * np.uint32(0x010101))
    colours = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    values, places = np.unique(colours, return_inverse=True)
    check_hard_edges(path, places.reshape(grey.shape), [rgb[..., channel] for channel in range(3)])
    if len(values) > VOID:
        raise MaskError(f"{path}: {len(values)} colours, more than a mask has objects; give one colour to each object")
    return Picture(None, colours)


def _check_format(image: Image.Image, path: str | Path) -> None:
    """Refuse what smears ids, and files of several pictures."""
    kind = str(image.format)
    lossy = kind == "WEBP" and not _is_lossless_webp(Path(path).read_bytes())
    lossy |= kind == "TIFF" and str(image.info.get("compression")) in ("jpeg", "tiff_jpeg", "webp")
    if kind not in _FORMATS or lossy:
        raise MaskError(
            f"{path}: this mask is a {'lossy ' * lossy}{kind} file, whose compression may smear ids; save it as "
            f"{', '.join(_FORMATS[:-1])} or lossless WebP"
        )
    if (count := getattr(image, "n_frames", 1)) > 1:
        raise MaskError(f"{path}: holds {count} pictures; save the mask alone")


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the picture's chunk of a RIFF container is VP8L."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8 ", b"VP8L"):
            return data[at : at + 4] == b"VP8L"
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
    return False


def _small(ids: NDArray[np.integer], path: str | Path) -> NDArray[np.uint8]:
    """Ids of 16 or 32 bits as bytes."""
    if ids.min() < 0 or ids.max() > VOID:
        raise MaskError(f"{path}: ids from {ids.min()} to {ids.max()}, and a mask has 0 to {VOID}; number them anew")
    return ids.astype(np.uint8)
