"""Masks drawn on frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from vos_lightning.errors import MaskError
from vos_lightning.ids import present_ids
from vos_lightning.io.frame_source import Frame
from vos_lightning.io.masks import as_ids
from vos_lightning.io.palette import VIVID_PALETTE


def overlay(frame: Frame, mask: ArrayLike, alpha: float = 0.5, legend: bool = False) -> Frame:
    """Blend vivid colours of the ids into a frame and draw a line around each object, just inside it.

    Args:
        frame: RGB (H, W, 3), 0..255; left as it is.
        mask: Ids (H, W): booleans or integers 0..255; 0 stays untouched.
        alpha: Share of the colour inside an object, 0..1; 0 leaves the line alone, which has the pure colour.
        legend: Write each id beside its colour into the upper left corner.

    Returns:
        RGB (H, W, 3) uint8.

    Raises:
        MaskError: The mask isn't one, or has another size than the frame.
    """
    ids = as_ids(mask)
    if ids.shape != frame.shape[:2]:
        raise MaskError(f"mask of {ids.shape} on a frame of {frame.shape[:2]}: resize the mask, nearest neighbour only")
    colours = np.frombuffer(VIVID_PALETTE, np.uint8).reshape(256, 3)
    drawn: Frame = frame.copy()
    inside = ids > 0
    paint = colours[ids[inside]]
    drawn[inside] = np.rint(frame[inside] * (1 - alpha) + paint * alpha).astype(np.uint8)
    line = outline(ids)
    drawn[line] = colours[ids[line]]
    return _with_legend(drawn, present_ids(ids)) if legend else drawn


def _with_legend(frame: Frame, ids: list[int]) -> Frame:
    """Ids on squares of their colours, below and beside one another."""
    side = max(12, frame.shape[0] // 18)
    rows = max(1, (frame.shape[0] - 4) // side)
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(0.6 * side)
    for place, one in enumerate(ids):
        x, y = 4 + place // rows * 2 * side, 4 + place % rows * side
        colour = VIVID_PALETTE[3 * one : 3 * one + 3]
        draw.rectangle((x, y, x + 2 * side - 3, y + side - 3), fill=tuple(colour), outline=(0, 0, 0))
        ink = (0, 0, 0) if 299 * colour[0] + 587 * colour[1] + 114 * colour[2] > 100_000 else (255, 255, 255)
        draw.text((x + side - 1.5, y + side / 2 - 1.5), str(one), fill=ink, font=font, anchor="mm")
    return np.array(image)


def outline(ids: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels of objects with another id above, below, left or right of them; the border of the image is none."""
    edge = np.zeros(ids.shape, np.bool_)
    down, right = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (ids > 0)
