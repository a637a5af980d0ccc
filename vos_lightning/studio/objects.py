"""The objects of a project: what they are called, how they look, when they are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError
from vos_lightning.io.palette import DAVIS_PALETTE

Ids = NDArray[np.uint8]

MAX_OBJECTS = 254
_COLOURS = (
    "#ff5a5f",
    "#2ec4b6",
    "#ffbf47",
    "#7b8cff",
    "#c77dff",
    "#7ddf64",
    "#ff8fab",
    "#4cc9f0",
    "#f4845f",
    "#b8b08d",
)


@dataclass(frozen=True)
class VideoObject:
    """An object to follow.

    Args:
        id: its value in masks, 1…254; never used again once it was given away.
        name: as the user calls it.
        colour: `#rrggbb`.
        visible: on the page.
        first: frame where it joins, None if the masks alone say so.
        last: frame where it ends, likewise.
    """

    id: int
    name: str
    colour: str
    visible: bool = True
    first: int | None = None
    last: int | None = None

    def is_present(self, frame: int) -> bool:
        """Is it in the video at this frame, by the bounds that the user set?"""
        return (self.first is None or frame >= self.first) and (self.last is None or frame <= self.last)


def fresh_object(number: int, name: str = "") -> VideoObject:
    """An object with a name and a colour of its own.

    Args:
        number: its id.
        name: a label, or the colour that it has in a mask.
    """
    colour = name if name.startswith("#") else _COLOURS[(number - 1) % len(_COLOURS)]
    return VideoObject(number, name if name and name != colour else f"object {number}", colour)


def object_from(facts: Any) -> VideoObject:  # noqa: ANN401 - JSON of a stranger
    """An object from JSON.

    Raises:
        VOSError: it isn't one, or its id can't be.
    """
    try:
        bounds = [facts.get(name) for name in ("first", "last")]
        one = VideoObject(
            int(facts["id"]), str(facts["name"])[:100], str(facts["colour"]), bool(facts.get("visible", True)),
            *(None if bound is None else int(bound) for bound in bounds),
        )  # fmt: skip
        bytes.fromhex(one.colour[1:])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise VOSError("this is no object: expected id, name and colour (#rrggbb)") from error
    if len(one.colour) != 7 or one.colour[0] != "#":
        raise VOSError(f"{one.colour!r} is no colour; expected #rrggbb")
    if not 1 <= one.id <= MAX_OBJECTS:
        raise VOSError(f"an object has the id {one.id}; expected one from 1 to {MAX_OBJECTS}")
    return replace(one, name=one.name.strip() or f"object {one.id}")


def palette_of(objects: Iterable[VideoObject]) -> bytes:
    """The colours of objects, for PNGs."""
    palette = bytearray(DAVIS_PALETTE)
    for one in objects:
        palette[3 * one.id : 3 * one.id + 3] = bytes.fromhex(one.colour[1:])
    return bytes(palette)


def only(objects: Iterable[VideoObject], ids: Ids) -> Ids:
    """A mask without what is none of the objects."""
    table = np.zeros(256, np.uint8)
    for one in objects:
        table[one.id] = one.id
    return table[ids]
