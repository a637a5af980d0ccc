"""Frames of a video file, through PyAV."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io.decoder import VideoDecoder, VideoFacts, quarter_turns
from vos_lightning.io.frame_source import Frame, FrameSource
from vos_lightning.io.limits import check_regular
from vos_lightning.io.terminal import printable

_log = logging.getLogger(__name__)


class VideoFile(FrameSource):
    """The frames of a video file, as a player shows them: rotated upright, without what an edit list cuts off.

    Random access seeks to the key frame before and gives exactly the frames that playing from the start gives, also
    with B-frames and a variable frame rate. The file is opened by the process that reads it. Where its frames are is
    read once and kept, also when this is pickled; if the file changes after that, reading is an error.

    Frames that the decoder patched up, since their bytes are damaged, are no error while streaming, but a warning is
    logged, one per object; for `read` and `intact` they are errors.

    Args:
        path: A file in any container and codec that FFmpeg reads.
        threads: Decoding threads: 1 suits many workers side by side, 0 takes what the machine has.

    Raises:
        VOSError: There is no such file, or it is a pipe or a device.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Keep the path; the file stays closed."""
        super().__init__(path)
        check_regular(path)
        if not self.path.is_file():
            raise VOSError(f"{path}: no such video file; check the path")
        self.threads = threads
        self._facts: VideoFacts | None = None
        self._first: tuple[tuple[int, int], bool] | None = None
        self._stream: _OpenStream | None = None
        self._warned = False

    @property
    def fps(self) -> float:
        """Average frames per second; 25 where the file doesn't say."""
        return self._known().fps

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return self._look()[0]

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel by its height: 1 for most videos."""
        aspect = self._known().pixel_aspect
        return 1 / aspect if self._look()[1] else aspect

    @property
    def times(self) -> list[Fraction] | None:
        """When each frame is shown, in seconds of the file; None where the file doesn't say."""
        facts = self._known()
        return None if facts.timeline is None else [pts * facts.time_base for pts in facts.timeline.pts.tolist()]

    def __len__(self) -> int:
        """Number of frames."""
        return self._known().num_frames

    def __iter__(self) -> Iterator[Frame]:
        """Stream all frames in order."""
        with self._open() as decoder:
            for index, frame in decoder.frames(range(len(decoder))):
                self._warn_of_damage(index, frame)
                yield decoder.to_array(frame)

    def intact(self) -> Iterator[Frame]:
        """Stream all frames in order, up to the first that is damaged; see `FrameSource.intact`."""
        with self._open() as decoder:
            for index, frame in decoder.frames(range(len(decoder))):
                self._raise_if_damaged(index, frame)
                yield decoder.to_array(frame)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame; reading on from the previous one doesn't seek.

        The file stays open until its last frame, `close`, or the end of this object.
        """
        (index,) = self._positions([index])
        if self._stream is None or self._stream.process != os.getpid() or self._stream.next_index != index:
            self.close()
            self._stream = _OpenStream(self._open(), index)
        try:
            frame = self._stream.next_frame()
            self._warn_of_damage(index, frame)
            return self._stream.decoder.to_array(frame)
        finally:
            if self._stream.next_index >= len(self):
                self.close()

    def read(self, indices: Sequence[int], short_side: int | None = None) -> list[Frame]:
        """Read some frames, in the order asked for; see `FrameSource.read`."""
        frames: dict[int, Frame] = {}
        with self._open() as decoder:
            positions = self._positions(indices)
            for index, frame in decoder.frames(sorted(set(positions))):
                self._raise_if_damaged(index, frame)
                frames[index] = decoder.to_array(frame, short_side)
        seen: set[int] = set()
        result = []
        for index in positions:
            result.append(frames[index].copy() if index in seen else frames[index])
            seen.add(index)
        return result

    def close(self) -> None:
        """Close the file if reading single frames left it open; it opens again when needed."""
        if self._stream is not None:
            self._stream.decoder.close()
            self._stream = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind."""
        return {**self.__dict__, "_stream": None}

    def _raise_if_damaged(self, index: int, frame: VideoFrame) -> None:
        if frame.is_corrupt:
            raise CorruptFileError(f"{self.path}: frame {index} is damaged; replace this video")

    def _warn_of_damage(self, index: int, frame: VideoFrame) -> None:
        if frame.is_corrupt and not self._warned:
            self._warned = True
            path = printable(str(self.path))
            _log.warning("%s: damaged from about frame %d on, frames there may be wrong; replace it", path, index)

    def _look(self) -> tuple[tuple[int, int], bool]:
        """Height and width of the frames, and whether they are stored lying on a side."""
        if self._first is None:
            with self._open() as decoder:
                _, frame = next(iter(decoder.frames([0])))
                height, width, _ = decoder.to_array(frame).shape
                self._first = (height, width), quarter_turns(frame) % 2 == 1
        return self._first

    def _open(self) -> VideoDecoder:
        decoder = VideoDecoder(self.path, self.threads, self._facts)
        self._facts = decoder.facts
        return decoder

    def _known(self) -> VideoFacts:
        if self._facts is None:
            self._open().close()
        assert self._facts is not None
        return self._facts


class _OpenStream:
    """A decoder that stands before one frame."""

    def __init__(self, decoder: VideoDecoder, index: int) -> None:
        """Stand before frame `index`."""
        self.decoder = decoder
        self.process = os.getpid()
        self.next_index = index
        self._frames = decoder.frames(range(index, len(decoder)))

    def next_frame(self) -> VideoFrame:
        """Decode one frame and stand before the next."""
        _, frame = next(self._frames)
        self.next_index += 1
        return frame
