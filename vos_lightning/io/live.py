"""Frames that come while they are worked on: a camera, a stream, a pipe."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from vos_lightning.errors import VOSError
from vos_lightning.io.decoder import to_rgb
from vos_lightning.io.files import is_special
from vos_lightning.io.frame_source import Frame
from vos_lightning.io.limits import check_pixels
from vos_lightning.io.terminal import printable

_log = logging.getLogger(__name__)
_CAMERAS = {"linux": ("/dev/video{}", "v4l2"), "darwin": ("{}", "avfoundation")}
_PROMPT = {"probesize": "32768", "analyzeduration": "1", "fpsprobesize": "0"}


def is_live(name: str) -> bool:
    """Whether an input is a camera's number, a URL, a pipe or a device, rather than a file or a folder."""
    return is_special(Path(name)) or (not Path(name).exists() and (name.isdecimal() or "://" in name))


class LiveSource(Iterator[Frame]):
    """Frames of a camera, a URL that FFmpeg opens, or a pipe; each is there once, and none is read ahead.

    Args:
        name: number of a camera (0 is the first), a URL, or the path of a pipe or a device.

    Attributes:
        size: height and width of the frames.
        fps: frames per second, 25 where the source doesn't say.
        last: the frame that came last.

    Raises:
        VOSError: It can't be opened, or has no picture.
    """

    def __init__(self, name: str) -> None:
        """Open it, which waits for the first frame."""
        self.name = name
        self._container = _opened(name)
        if not self._container.streams.video:
            self._container.close()
            raise VOSError(f"{name}: has no picture; give a camera or a stream of a video")
        self._stream = self._container.streams.video[0]
        self._stream.thread_count, self._stream.thread_type = 1, "NONE"  # more threads hold frames back
        self._frames = self._decoded()
        first = next(self._frames, None)
        if first is None:
            raise VOSError(f"{name}: ended before its first frame; check what writes there")
        self.last: Frame = first
        self.size = (first.shape[0], first.shape[1])
        self.fps = float(self._stream.average_rate or 25)
        self._frames = chain([first], self._frames)

    def __next__(self) -> Frame:
        """The next frame, RGB (H, W, 3), as it comes; a source that breaks off ends with a warning."""
        self.last = next(self._frames)
        return self.last

    def close(self) -> None:
        """Let go of it."""
        self._container.close()

    def _decoded(self) -> Iterator[Frame]:
        reformatter = VideoReformatter()
        try:
            for frame in self._container.decode(self._stream):
                check_pixels(self.name, frame.height, frame.width)
                yield to_rgb(frame, frame.height, frame.width, reformatter)
        except FFmpegError as error:
            _log.warning("%s: broke off (%s)", printable(self.name), error.strerror)


def _opened(name: str) -> InputContainer:
    path, kind = _CAMERAS.get(sys.platform, ("{}", None)) if name.isdecimal() else ("{}", None)
    try:
        container: InputContainer = av.open(path.format(name), format=kind, options=dict(_PROMPT))
        return container
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VOSError(f"{name}: this camera or stream can't be opened ({reason}); check that it is there") from error
