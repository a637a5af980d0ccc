"""Masks in the JSON of annotation tools: labelme, and COCO with polygons or run lengths."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from vos_lightning.errors import CorruptFileError, MaskError, VOSError
from vos_lightning.io.limits import UNDECODABLE, check_pixels
from vos_lightning.io.mask_pictures import Regions
from vos_lightning.io.run_lengths import from_run_lengths

Inside = NDArray[np.bool_]
_NOT_OBJECTS = ("_background_", "__ignore__")  # labelme's own labels
_MAX_OBJECTS = 254


def read_shapes(path: str | Path, frame: str | None = None) -> Regions:
    """Read the objects of a labelme or COCO file.

    Each shape is an object of its own, called by its label, the second of a label `label 2` and so on; shapes of one
    label and `group_id` (labelme), or of one `track_id` (COCO), are one. Later shapes cover earlier ones.

    Args:
        path: The file.
        frame: Name of the frame that it is for: chooses among several images of a COCO file.

    Raises:
        MaskError: neither of the two, no such image, shapes without area, more than 254 objects.
        CorruptFileError: This is no JSON.
        VOSError: The picture would be too large.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path}: this mask is no JSON that can be read; export it again") from error
    try:
        if "shapes" in content:
            return _labelme(content)
        if "annotations" in content and "images" in content:
            return _coco(content, frame)
    except VOSError as error:
        raise type(error)(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise MaskError(f"{path}: not as labelme or COCO write it ({error!r}); export it again") from error
    raise MaskError(f"{path}: neither labelme's JSON, with shapes, nor COCO's, with images and annotations")


class _Canvas:
    """Objects as they are painted, one over another."""

    def __init__(self, height: object, width: object) -> None:
        if not (isinstance(height, int) and isinstance(width, int) and min(height, width) > 0):
            raise MaskError(f"its image has {width}x{height} pixels; export it with the image's size")
        check_pixels("its image", height, width)
        self.places = np.zeros((height, width), np.uint8)
        self.names: list[str] = []
        self.wishes: dict[str, int] = {}
        self._keys: dict[tuple[str, object], str] = {}

    def paint(self, label: str, group: object, inside: Inside) -> str:
        """Add a shape to the object of its label and group, or to a new one; gives the object's name."""
        if label in _NOT_OBJECTS:
            self.places[inside] = 0
            return label
        key = (label, object() if group is None else str(group))
        if key not in self._keys:
            number = 1 + sum(other == label for other, _ in self._keys)
            self._keys[key] = label if number == 1 else f"{label} {number}"
            self.names.append(self._keys[key])
        if len(self.names) > _MAX_OBJECTS:
            raise MaskError(f"more than {_MAX_OBJECTS} objects; leave some out")
        self.places[inside] = self.names.index(self._keys[key]) + 1
        return self._keys[key]

    def regions(self) -> Regions:
        """What was painted."""
        if len(set(self.names)) < len(self.names):
            raise MaskError("two objects of one name, such as “dog 2” and the second “dog”; rename one")
        return Regions(self.places, self.names, self.wishes)


def _labelme(content: dict[str, Any]) -> Regions:
    canvas = _Canvas(content["imageHeight"], content["imageWidth"])
    for shape in content["shapes"]:
        inside = _shape(shape, canvas.places.shape)
        canvas.paint(str(shape["label"]), shape.get("group_id"), inside)
    return canvas.regions()


def _shape(shape: dict[str, Any], size: tuple[int, ...]) -> Inside:
    """Pixels (H, W) of one of labelme's shapes."""
    kind = shape.get("shape_type", "polygon")
    points = _points(shape["points"])
    (x0, y0), (x1, y1) = points[0], points[min(1, len(points) - 1)]
    if kind == "polygon":
        return fill_polygon(points, size)
    if kind == "rectangle":
        return fill_polygon(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), size)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    if kind == "circle":
        inside: Inside = np.hypot(x - x0, y - y0) < np.hypot(x1 - x0, y1 - y0)
        return inside
    if kind == "mask":
        return _pasted(shape["mask"], round(y0), round(x0), size)
    raise MaskError(f"a shape of {shape['label']!r} is a {kind}, which has no area; draw a polygon")


def _pasted(encoded: str, top: int, left: int, size: tuple[int, ...]) -> Inside:
    """A mask (H, W) from the part of it that labelme stores as a PNG in base64."""
    try:
        with Image.open(BytesIO(base64.b64decode(encoded))) as image:
            check_pixels("a mask", image.height, image.width)
            part = np.array(image.convert("L")) > 0
    except VOSError:
        raise
    except (binascii.Error, *UNDECODABLE) as error:
        raise MaskError("a mask in it is no PNG; export it again") from error
    inside = np.zeros(size, np.bool_)
    view = inside[max(top, 0) : max(top + part.shape[0], 0), max(left, 0) : max(left + part.shape[1], 0)]
    view[:] = part[max(-top, 0) :, max(-left, 0) :][: view.shape[0], : view.shape[1]]
    return inside


def _coco(content: dict[str, Any], frame: str | None) -> Regions:
    images = content["images"]
    matching = [one for one in images if Path(str(one["file_name"])).stem == frame] if len(images) > 1 else images
    if len(matching) != 1:
        raise MaskError(f"holds {len(images)} images, {len(matching)} of them of frame {frame}; export the one image")
    image = matching[0]
    labels = {one["id"]: str(one["name"]) for one in content.get("categories", [])}
    canvas = _Canvas(image["height"], image["width"])
    for one in content["annotations"]:
        if one["image_id"] == image["id"]:
            category = one["category_id"]
            track = one.get("track_id", (one.get("attributes") or {}).get("track_id"))
            inside = _segmentation(one["segmentation"], canvas.places.shape)
            name = canvas.paint(labels.get(category, f"category {category}"), track, inside)
            if isinstance(category, int) and 0 < category <= _MAX_OBJECTS and category not in canvas.wishes.values():
                canvas.wishes[name] = category
    return canvas.regions()


def _segmentation(segmentation: dict[str, Any] | list[Any], size: tuple[int, ...]) -> Inside:
    """Pixels (H, W) of an annotation: run lengths, or polygons [x, y, x, y, …]."""
    if isinstance(segmentation, dict):
        inside = from_run_lengths(segmentation)
        if inside.shape != size:
            raise MaskError(f"run lengths of {inside.shape} in an image of {size}; export them again")
        return inside
    polygons: Iterator[Inside] = (fill_polygon(_points(np.reshape(one, (-1, 2))), size) for one in segmentation)
    together: Inside = np.logical_or.reduce([np.zeros(size, np.bool_), *polygons])
    return together


def _points(points: ArrayLike) -> NDArray[np.float64]:
    """(N, 2) x and y."""
    array = np.array(points, np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all() or np.abs(array).max() > 1e9:
        raise MaskError("points that are none; expected pairs of x and y")
    return array


def fill_polygon(points: NDArray[np.float64], size: Sequence[int]) -> Inside:
    """Pixels (H, W) whose centres lie within a polygon, by the even-odd rule.

    >>> fill_polygon(np.array([[1, 0], [3, 0], [3, 1], [1, 1]]), (2, 4)).astype(int)
    array([[0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    inside = np.zeros((size[0], size[1]), np.bool_)
    columns = np.arange(size[1]) + 0.5
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, 0), strict=True):
        low, high = np.clip(np.ceil(np.array(sorted((y0, y1))) - 0.5), 0, size[0]).astype(int)
        rows = np.arange(low, high)
        if len(rows):
            crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            inside[low:high] ^= columns > crossings[:, None]
    return inside
