"""Writing results: masks in the background, overlay videos."""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import ArrayLike, NDArray

from vos_lightning.errors import VOSError
from vos_lightning.io.files import check_writable, is_special, temporary_sibling, unwritable
from vos_lightning.io.frame_source import FrameSource
from vos_lightning.io.masks import as_ids, write_mask
from vos_lightning.io.soundtrack import Soundtrack
from vos_lightning.io.video import VideoFile

_QUEUED_MASKS = 16
_TICK = Fraction(1, 90_000)
_BT601, _LIMITED = 6, 1  # FFmpeg's AVCOL_SPC_SMPTE170M and AVCOL_RANGE_MPEG


@dataclass
class _MaskJob:
    """What the writing thread knows; it holds no reference to the writer, so that a dropped writer ends it."""

    directory: Path
    palette: bytes | None
    queue: Queue[tuple[str, NDArray[np.uint8]] | None] = field(default_factory=lambda: Queue(_QUEUED_MASKS))
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write until told to end; after an error, only empty the queue."""
        while (item := self.queue.get()) is not None:
            name, mask = item
            if self.error is None:
                try:
                    write_mask(self.directory / f"{name}.png", mask, self.palette)
                except Exception as error:  # raised by the next `write` or `close`
                    self.error = error
        self.ended.set()


class MaskWriter:
    """Write masks as indexed PNGs in a background thread.

    A few masks may wait, no more: writing slower than segmenting slows `write` down, memory stays bounded. Masks given
    before the program ends are written even if `close` isn't called.

    Args:
        directory: Where to; created if missing.
        palette: Colours of the ids, as from `read_palette`; `None` for `DAVIS_PALETTE`.

    Raises:
        VOSError: The directory can't be created.
    """

    def __init__(self, directory: str | Path, palette: bytes | None = None) -> None:
        """Create the directory and start the thread."""
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.directory, error) from error
        self._job = _MaskJob(self.directory, palette)
        thread = threading.Thread(target=self._job.run, name="MaskWriter", daemon=True)
        thread.start()
        self._finish = weakref.finalize(self, _finish, self._job, thread)

    def write(self, name: str, mask: ArrayLike) -> None:
        """Hand over one mask; it is copied.

        Args:
            name: File name without suffix.
            mask: Ids (H, W): booleans or integers 0..255.

        Raises:
            MaskError: The mask has another shape, type or range.
            VOSError: An earlier mask couldn't be written.
        """
        if not self._finish.alive:
            raise ValueError("this MaskWriter is closed")
        if self._job.error is not None:
            self.close()
        self._job.queue.put((name, np.array(as_ids(mask))))

    def close(self) -> None:
        """Write what waits and end the thread.

        Raises:
            VOSError: A mask couldn't be written; the first one is named.
        """
        self._finish()
        error, self._job.error = self._job.error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits; an error of the block itself goes first."""
        if kind is None:
            self.close()
        else:
            self._finish()


def _finish(job: _MaskJob, thread: threading.Thread) -> None:
    if not thread.is_alive():  # it isn't in a process forked from this one
        return
    try:
        job.queue.put(None)
        job.ended.wait()  # `join`, once interrupted, takes the thread for ended (Python 3.11)
    except KeyboardInterrupt:  # would leave a mask half written; another one does
        job.queue.put(None)
        job.ended.wait()
        raise
    thread.join()


class VideoWriter:
    """Write frames as an H.264 mp4 that plays everywhere; the file appears when it is complete.

    Odd heights and widths are padded by repeating the last row or column, as yuv420p demands. A link stays one: what it
    points to is replaced.

    Args:
        path: A name that ends in .mp4; its folder must exist.
        fps: Frames per second.
        like: A video whose frames these are, drawn upon: their times, the pixel aspect and the sound are taken over.

    Raises:
        VOSError: Another suffix, an impossible frame rate, or a place that can't be written to, such as a pipe.
    """

    def __init__(self, path: str | Path, fps: float, like: FrameSource | None = None) -> None:
        """Check the arguments; the file is opened with the first frame."""
        self.path = Path(path)
        if self.path.suffix.lower() != ".mp4":
            raise VOSError(f"{path}: videos are written as .mp4; give a name that ends so")
        check_writable(path)
        if is_special(self.path):
            raise VOSError(f"{path}: an mp4 can't be written to a pipe or device; give the name of a file")
        if not 0 < fps <= 1000:
            raise VOSError(f"{path}: {fps} frames per second cannot be written; give a rate between 0 and 1000")
        self._rate = Fraction(float(fps)).limit_denominator(1001)
        self._target = Path(os.path.realpath(path))
        self._temporary = temporary_sibling(self._target)
        self._size: tuple[int, int] | None = None
        self._closed = False
        self._like = like if isinstance(like, VideoFile) else None
        self._times = None if self._like is None else self._like.times
        self._sound: Soundtrack | None = None
        self._count = 0

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add one frame.

        Args:
            frame: RGB (H, W, 3) uint8; all of one size.

        Raises:
            VOSError: The frame has another shape, type or size, or can't be written.
        """
        if self._closed:
            raise ValueError("this VideoWriter is closed")
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise VOSError(f"{self.path}: a frame is uint8 of shape (H, W, 3), not {frame.dtype} of {frame.shape}")
        height, width = frame.shape[:2]
        try:
            if self._size is None:
                self._open(height, width)
            if self._size != (height, width):
                raise VOSError(f"{self.path}: a frame of {(height, width)} after {self._size}; give all the same size")
            padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
            if self._times is not None:
                picture.pts, picture.time_base = round((self._times[self._count] - self._times[0]) / _TICK), _TICK
            if self._sound is not None and picture.pts is not None:
                self._sound.copy_until(float(picture.pts * _TICK))
            self._container.mux(self._stream.encode(picture))
            self._count += 1
        except (FFmpegError, OSError) as error:
            raise unwritable(self.path, error) from error

    def close(self) -> None:
        """Complete the file and give it its name; without a frame there is no file.

        Raises:
            VOSError: It can't be written.
        """
        if self._closed or self._size is None:
            self._closed = True
            return
        self._closed = True
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.copy_until(float("inf"))
            self._container.close()
            self._temporary.replace(self._target)
        except (FFmpegError, OSError) as error:
            with suppress(FFmpegError, OSError):  # else it is tried, and complained about, when this is forgotten
                self._container.close()
            self._temporary.unlink(missing_ok=True)
            raise unwritable(self.path, error) from error

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._size is not None and not self._closed:
            with suppress(FFmpegError, OSError):  # it is thrown away in any case
                self._container.close()
            self._temporary.unlink(missing_ok=True)
        self._closed = True

    def __enter__(self) -> Self:
        """Give the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the file, or remove it if the block failed."""
        if kind is None:
            self.close()
        else:
            self.discard()

    def _open(self, height: int, width: int) -> None:
        self._container = av.open(str(self._temporary.absolute()), "w", format="mp4", options={"movflags": "faststart"})
        self._stream: VideoStream = self._container.add_stream("libx264", rate=self._rate, options={"crf": "18"})
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        # what libswscale makes of RGB unless told otherwise; players would take an untagged HD video for BT.709
        self._stream.codec_context.colorspace = _BT601
        self._stream.codec_context.color_range = _LIMITED
        if self._like is not None:
            self._stream.codec_context.sample_aspect_ratio = self._like.pixel_aspect
            if self._times is not None:
                self._stream.codec_context.time_base = _TICK
                self._sound = Soundtrack(self._like.path, float(self._times[0]))
                self._sound.join(self._container)
        self._size = height, width
