"""Frames in a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io.files import list_files
from vos_lightning.io.frame_source import Frame, FrameSource, scaled_size
from vos_lightning.io.limits import check_pixels, opened_image

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
"""What counts as a frame in a folder, in lower case."""

_TRANSPOSED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""
_ORIENTATION_TAG = 0x0112


class FrameFolder(FrameSource):
    """The images of a folder, naturally sorted (2 before 10); other files and hidden ones are ignored.

    Args:
        path: A folder of jpg, jpeg, png, bmp or webp files.
        fps: Frames per second to assume, since images don't say; DAVIS has 24.

    Raises:
        VOSError: The folder is missing, holds no image, or two images of one name.
    """

    def __init__(self, path: str | Path, fps: float = 24.0) -> None:
        """List the folder."""
        super().__init__(path)
        self._fps = fps
        files = list_files(self.path, IMAGE_SUFFIXES)
        if not files:
            raise VOSError(f"{path}: no frames in this folder; it must hold {', '.join(sorted(IMAGE_SUFFIXES))} files")
        for first, second in pairwise(files):
            if first.stem == second.stem:
                raise VOSError(f"{path}: {first.name} and {second.name} would share one mask name; remove one of them")
        self._filenames = [file.name for file in files]

    @property
    def names(self) -> list[str]:
        """File names without suffix."""
        return [Path(name).stem for name in self._filenames]

    @property
    def fps(self) -> float:
        """Frames per second, as given."""
        return self._fps

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first frame, from its header alone."""
        path = self.path / self._filenames[0]
        with opened_image(path) as image:
            turned = image.getexif().get(_ORIENTATION_TAG) in _TRANSPOSED
            return (image.width, image.height) if turned else (image.height, image.width)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._filenames)

    def read(self, indices: Sequence[int], short_side: int | None = None) -> list[Frame]:
        """Read some frames, in the order asked for; see `FrameSource.read`."""
        return [read_frame(self.path / self._filenames[index], short_side) for index in self._positions(indices)]


def read_frame(path: str | Path, short_side: int | None = None) -> Frame:
    """Read an image as RGB, upright by its EXIF orientation, resized as `FrameSource.read` says.

    Raises:
        CorruptFileError: The file is missing, can't be decoded or has more than 8 bits per channel.
        VOSError: It is too large, as it is or resized.
    """
    with opened_image(path) as image:
        if image.mode.startswith(("I", "F")):
            raise CorruptFileError(f"{path}: frames have 8 bits per channel, not {image.mode}; convert this image")
        height, width = scaled_size(image.height, image.width, short_side)
        check_pixels(path, height, width)
        # a large JPEG decodes at 1/2, 1/4 or 1/8 of its size; twice what we want keeps the filtering exact enough
        image.draft("RGB", (2 * width, 2 * height))
        upright = ImageOps.exif_transpose(image) if _ORIENTATION_TAG in image.getexif() else image
        if upright.size != image.size:
            height, width = width, height
        rgb = upright.convert("RGB")
    if rgb.size != (width, height):
        rgb = rgb.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(rgb)
