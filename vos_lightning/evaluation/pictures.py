"""Pictures of where a prediction departs from its annotation."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vos_lightning.errors import MaskError
from vos_lightning.evaluation.protocols import IdMask, predicted_ids, target_ids
from vos_lightning.evaluation.report import Report
from vos_lightning.io.frame_source import Frame
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask
from vos_lightning.io.overlay import outline

COLOURS = {"right": "#2a9d8f", "missed": "#f4a020", "extra": "#e0364c", "another object": "#9b5de5"}
"""What a pixel is: of one id in both masks; in the annotation only; in the prediction only; of different ids."""

_OPACITY = 0.55
_LONG_SIDE = 640


def error_picture(report: Report, sequence: str, frame: str, images: Path | None, closeup: bool = False) -> str:
    """The errors of one frame, drawn on its image where there is one.

    Args:
        report: Tells the folders and the protocol.
        sequence: Name of the sequence.
        frame: Name of the frame.
        images: Folder of sequence folders of images.
        closeup: Show a quarter of the frame where the objects are small enough.

    Returns:
        A data URI for the `src` of an HTML image.
    """
    name = f"{frame}.png"
    prediction = predicted_ids(read_mask(report.predictions / sequence / name), report.protocol)
    target = target_ids(read_mask(report.annotations / sequence / name), report.protocol)
    picture = draw_errors(_background(images, sequence, frame, target.shape), prediction, target)
    return data_uri(picture[quarter_around((prediction > 0) | (target > 0))] if closeup else picture)


def draw_errors(image: Frame, prediction: IdMask, target: IdMask) -> Frame:
    """Tints an image (H, W, 3) by what is right and wrong, and outlines the annotated objects in white."""
    drawn = image.astype(np.float32)
    kinds = (
        (prediction == target) & (target > 0),
        (prediction == 0) & (target > 0),
        (prediction > 0) & (target == 0),
        (prediction != target) & (prediction > 0) & (target > 0),
    )
    for colour, where in zip(COLOURS.values(), kinds, strict=True):
        drawn[where] += _OPACITY * (np.array(list(bytes.fromhex(colour[1:])), dtype=np.float32) - drawn[where])
    drawn[outline(target)] = 255
    return drawn.round().astype(np.uint8)


def data_uri(picture: Frame) -> str:
    """A picture as text, reduced to what a page can show."""
    image, file = Image.fromarray(picture), BytesIO()
    image.thumbnail((_LONG_SIDE, _LONG_SIDE))
    image.save(file, format="WEBP", quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def find_images(annotations: Path) -> Path | None:
    """The images of a DAVIS or YouTube-VOS tree, next to its annotations."""
    parts = annotations.absolute().parts
    for index in range(len(parts) - 1, -1, -1):
        if parts[index].startswith("Annotations"):
            images = Path(*parts[:index], "JPEGImages", *parts[index + 1 :])
            return images if images.is_dir() else None
    return None


def quarter_around(objects: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Half of the rows and columns around objects (H, W); all of them where that is not enough."""
    spans = []
    for axis, size in enumerate(objects.shape):
        where = np.flatnonzero(objects.any(axis=1 - axis))
        if not len(where) or where[-1] - where[0] > 0.4 * size:
            return slice(None), slice(None)
        start = int(np.clip((where[0] + where[-1] - size // 2) // 2, 0, size - size // 2))
        spans.append(slice(start, start + size // 2))
    return spans[0], spans[1]


def _background(images: Path | None, sequence: str, frame: str, size: tuple[int, ...]) -> Frame:
    """The image of a frame, or plain grey."""
    if images is not None and (images / sequence).is_dir():
        source = open_frames(images / sequence)
        if frame in source.names:
            image = source[source.names.index(frame)]
            if image.shape[:2] != size:
                raise MaskError(
                    f"{images / sequence}: image {frame} is {image.shape[1]}x{image.shape[0]} pixels, its annotation "
                    f"{size[1]}x{size[0]}; give the images that were annotated"
                )
            return image
    return np.full((*size, 3), 40, dtype=np.uint8)
