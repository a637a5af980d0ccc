"""From a box to the outline of the object in it, refined by strokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; the last two are exclusive."""
_SIDE = 256
_MARGIN = 0.3
_MOST_POINTS = 10_000


@dataclass(frozen=True)
class Stroke:
    """A line that says "this" or "not this".

    Args:
        points: (x, y) in pixels, at least one.
        radius: in pixels.
        inside: whether it belongs to the object.
    """

    points: tuple[tuple[float, float], ...]
    radius: float
    inside: bool


@dataclass(frozen=True)
class Request:
    """What to outline."""

    box: Box
    strokes: tuple[Stroke, ...]


def outline(picture: NDArray[np.uint8], box: Box, strokes: tuple[Stroke, ...] = ()) -> NDArray[np.bool_]:
    """The object in a box.

    Args:
        picture: RGB (H, W, 3).
        box: around the object.
        strokes: what is known of it, later ones count more.

    Returns:
        (H, W), nothing outside of the box and the strokes.
    """
    window = _window(picture.shape[:2], box)
    left, top, right, bottom = window
    scale = min(1.0, _SIDE / max(right - left, bottom - top))
    size = (max(8, round((right - left) * scale)), max(8, round((bottom - top) * scale)))
    crop = cv2.resize(picture[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    seeds = np.full(size[::-1], cv2.GC_BGD, np.uint8)
    x0, y0, x1, y1 = ((v - o) * scale for v, o in zip(box, (left, top, left, top), strict=True))
    seeds[round(y0) : round(y1), round(x0) : round(x1)] = cv2.GC_PR_FGD
    for stroke in strokes:
        _draw(seeds, stroke, window, scale)
    model = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(crop[..., ::-1]), seeds, None, model[0], model[1], 5, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    result = np.zeros(picture.shape[:2], bool)
    full = cv2.resize(inside, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR) > 0.5
    result[top:bottom, left:right] = full
    return result


def request_from(facts: dict[str, Any], size: tuple[int, int]) -> Request:
    """A request from JSON.

    Raises:
        VOSError: it isn't one, or the box holds nothing of the picture.
    """
    try:
        x0, y0, x1, y1 = (float(v) for v in facts["box"])
        strokes = tuple(
            Stroke(
                tuple((float(x), float(y)) for x, y in one["points"]),
                min(float(one["radius"]), 200.0),
                bool(one["inside"]),
            )
            for one in facts.get("strokes", [])
        )
        box = (max(0, round(x0)), max(0, round(y0)), min(size[1], round(x1)), min(size[0], round(y1)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise VOSError("expected a box of four numbers, and strokes of points, radius and inside") from error
    if any(not one.points for one in strokes) or sum(len(one.points) for one in strokes) > _MOST_POINTS:
        raise VOSError("a stroke has no point, or there are too many")
    if box[2] - box[0] < 4 or box[3] - box[1] < 4:
        raise VOSError("the box is too small; draw it around the whole object")
    return Request(box, strokes)


def _window(size: tuple[int, ...], box: Box) -> Box:
    """The box with a margin around it, within the picture."""
    margin = int(max(16, _MARGIN * max(box[2] - box[0], box[3] - box[1])))
    return (
        max(0, box[0] - margin),
        max(0, box[1] - margin),
        min(size[1], box[2] + margin),
        min(size[0], box[3] + margin),
    )


def _draw(seeds: NDArray[np.uint8], stroke: Stroke, window: Box, scale: float) -> None:
    points = (np.array(stroke.points) - window[:2]) * scale
    value = cv2.GC_FGD if stroke.inside else cv2.GC_BGD
    thickness = max(1, round(2 * stroke.radius * scale))
    cv2.polylines(seeds, [np.rint(points).astype(np.int32)], False, int(value), thickness)
