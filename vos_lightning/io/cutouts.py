"""Objects cut out of their frames: transparent pictures and videos."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray
from PIL import Image

from vos_lightning.io.files import atomic_path, unwritable
from vos_lightning.io.frame_source import Frame

Picture = NDArray[np.uint8]
"""An RGB picture with transparency, (H, W, 4), 0 is transparent."""


def cutout(frame: Frame, mask: NDArray[np.uint8]) -> Picture:
    """A frame in which all but the objects is transparent, and black beneath.

    Args:
        frame: RGB (H, W, 3).
        mask: ids (H, W).
    """
    inside = (mask > 0)[..., None]
    picture: Picture = np.concatenate([frame * inside, inside.astype(np.uint8) * 255], axis=2)
    return picture


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A picture as a PNG file."""
    with BytesIO() as file:
        Image.fromarray(picture).save(file, format="PNG", compress_level=3)
        return file.getvalue()


class TransparentVideoWriter:
    """Writes pictures as a WebM (VP9) with transparency, as browsers play it; the file appears when it is complete.

    Odd heights and widths are padded, transparent.

    Args:
        path: a name that ends in .webm; its folder must exist.
        fps: frames per second.

    Raises:
        VOSError: it can't be written.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self._rate = Fraction(float(fps)).limit_denominator(1001)
        self._output = atomic_path(path)
        self._container: av.container.OutputContainer | None = None

    def write(self, picture: Picture) -> None:
        """Add one picture, (H, W, 4); all of one size."""
        height, width = picture.shape[:2]
        if self._container is None:
            self._open(height + height % 2, width + width % 2)
        padded = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgba").reformat(format="yuva420p")
        self._mux(frame)

    def __enter__(self) -> Self:
        """Give the writer."""
        self._temporary = self._output.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the file, or remove it if the block failed."""
        try:
            if self._container is not None:
                if kind is None:
                    self._mux(None)
                self._container.close()
        finally:
            self._output.__exit__(kind, error, trace)

    def _open(self, height: int, width: int) -> None:
        self._container = av.open(str(self._temporary), "w", format="webm")
        options = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"}
        self._stream = self._container.add_stream("libvpx-vp9", rate=self._rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuva420p"

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._container is not None
        try:
            self._container.mux(self._stream.encode(frame))
        except (FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error
