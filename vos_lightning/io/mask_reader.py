"""Masks of a user's own video, as people have them: whatever a drawing program or an annotation tool has written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.ids import VOID, present_ids
from vos_lightning.io.limits import check_regular
from vos_lightning.io.mask_pictures import Regions, read_picture
from vos_lightning.io.mask_shapes import read_shapes
from vos_lightning.io.palette import complete_palette

Ids = NDArray[np.uint8]
_LISTED = 12

MASK_SUFFIXES = (".png", ".json", ".bmp", ".tif", ".tiff", ".gif", ".webp")
"""Of the files that may hold a mask, in lower case."""


class MaskReader:
    """Reads the masks of one video, so that a colour or a label is the same object in all of them.

    Pictures (PNG, BMP, TIFF, GIF, lossless WebP) hold ids, as palette indices or grey values, or a colour for each
    object, on black or transparent. Grey levels with 255 among them, such as 127 and 255, are objects too; beside ids
    below 32, 255 is void. JSON is labelme's or COCO's. Colours of DAVIS' palette have their ids there, other colours
    and labels get the smallest that is free.

    Args:
        known: ids of colours (`#rrggbb`) and labels.
        taken: ids that no other colour or label gets.

    Attributes:
        notes: what was decided, one sentence each: which colour is which object, what is void.
    """

    def __init__(self, known: Mapping[str, int] = MappingProxyType({}), taken: Iterable[int] = ()) -> None:
        self.notes: list[str] = []
        self._ids = dict(known)
        self._palette: bytes | None = None
        self._stored = set(taken)

    @property
    def names(self) -> dict[int, str]:
        """Colours (`#rrggbb`) and labels by id."""
        return {one: name for name, one in self._ids.items()}

    @property
    def palette(self) -> bytes:
        """Colours of the ids: of the first palette that was read, and those that were read as colours; 768 bytes."""
        colours = bytearray(complete_palette(self._palette))
        for name, one in self._ids.items():
            if name.startswith("#") and len(set(bytes.fromhex(name[1:]))) > 1:
                colours[3 * one : 3 * one + 3] = bytes.fromhex(name[1:])
        return bytes(colours)

    def read(self, path: str | Path, frame: str | None = None) -> Ids:
        """Read the ids (H, W) of a file; 255 is as stored.

        Args:
            path: The file.
            frame: Name of the frame that it is for; chooses among several images of a COCO file.

        Raises:
            MaskError: A file that holds no mask, or one that can't be told from smoothed edges.
            CorruptFileError: It can't be decoded.
            VOSError: There is no such file, or it is too large.
        """
        check_regular(path)
        if _is_json(Path(path)):
            return self._named(path, read_shapes(path, frame))
        picture = read_picture(path)
        regions = None if picture.colours is None else picture.regions()
        known = regions is not None and any(name in self._ids for name in regions.names)
        if regions is not None and (picture.ids is None or picture.has_levels or known):
            if "#ffffff" in regions.names and VOID in self._stored:
                raise MaskError(
                    f"{path}: white is 255 in another mask, where it is not this object; use the same ids in both"
                )
            return self._named(path, regions)
        assert picture.ids is not None
        ids = present_ids(picture.ids)
        self._stored |= set(ids)
        self._palette = self._palette or picture.palette
        if VOID in ids and len(ids) > 1:
            self._note_void(path)
        return picture.ids

    def _named(self, path: str | Path, regions: Regions) -> Ids:
        """Give ids to what has names."""
        taken = self._stored | set(self._ids.values())
        fresh = [name for name in regions.names if name not in self._ids]
        for name in sorted(fresh, key=lambda one: one not in regions.wishes):  # those with wishes first
            choice = (one for one in (regions.wishes.get(name, 1), *range(1, VOID)) if one not in taken)
            self._ids[name] = next(choice, 0)
            taken.add(self._ids[name])
        ids = [self._ids[name] for name in regions.names]
        if 0 in ids:
            raise MaskError(f"{path}: more objects than ids, all masks taken together; leave some out")
        shown = [f"{name} is object {one}" for name, one in zip(regions.names, ids, strict=True)]
        more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
        self.notes.append(f"{path}: {', '.join(shown[:_LISTED])}{more}")
        if VOID in ids and len(ids) > 1:
            self._note_void(path)
        table = np.array([0, *ids], np.uint8)
        return table[regions.places]

    def _note_void(self, path: str | Path) -> None:
        self.notes.append(f"{path}: 255 is void beside other ids, and not followed")


def fit_mask(ids: Ids, size: tuple[int, int]) -> Ids:
    """A mask (H, W) in the size of the video, by nearest neighbour, if its sides are as long to one another.

    Raises:
        MaskError: They aren't, give or take a pixel.
    """
    (height, width), (full_height, full_width) = ids.shape, size
    across, down = abs(width * full_height / height - full_width), abs(height * full_width / width - full_height)
    if across > max(1, full_height / height) and down > max(1, full_width / width):
        raise MaskError(
            f"the mask is {width}×{height}, the video {full_width}×{full_height}, which is another shape; give a mask "
            "of this video"
        )
    rows = (2 * np.arange(full_height) + 1) * height // (2 * full_height)
    columns = (2 * np.arange(full_width) + 1) * width // (2 * full_width)
    fitted: Ids = ids[rows[:, None], columns]
    return fitted


def _is_json(path: Path) -> bool:
    """Whether a file starts like a JSON object."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
    except FileNotFoundError as error:
        raise VOSError(f"{path}: no such mask; check the path") from error
    except OSError:
        return False  # reading it as a picture says what is wrong
