"""Frames of a video file, through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vos_lightning.errors import VOSError
from vos_lightning.io.decoder import VideoDecoder, VideoFacts
from vos_lightning.io.frame_source import Frame, FrameSource


class VideoFile(FrameSource):
    """The frames of a video file, as a player shows them: rotated upright, without what an edit list cuts off.

    Random access seeks to the key frame before and gives exactly the frames that playing from the start gives, also
    with B-frames and a variable frame rate. The file is opened by the process that reads it. Where its frames are is
    read once and kept, also when this is pickled; if the file changes after that, reading is an error.

    Args:
        path: A file in any container and codec that FFmpeg reads.
        threads: Decoding threads: 1 suits many workers side by side, 0 takes what the machine has.

    Raises:
        VOSError: There is no such file.
    """

    def __init__(self, path: str | Path, threads: int = 1) -> None:
        """Keep the path; the file stays closed."""
        super().__init__(path)
        if not self.path.is_file():
            raise VOSError(f"{path}: no such video file; check the path")
        self.threads = threads
        self._facts: VideoFacts | None = None
        self._size: tuple[int, int] | None = None
        self._stream: _OpenStream | None = None

    @property
    def names(self) -> list[str]:
        """`00000`, `00001`, ..."""
        return [f"{index:05d}" for index in range(len(self))]

    @property
    def fps(self) -> float:
        """Average frames per second; 25 where the file doesn't say."""
        return self._known().fps

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        if self._size is None:
            height, width, _ = self.read([0])[0].shape
            self._size = height, width
        return self._size

    def __len__(self) -> int:
        """Number of frames."""
        return self._known().num_frames

    def __iter__(self) -> Iterator[Frame]:
        """Stream all frames in order."""
        with self._open() as decoder:
            for _, frame in decoder.frames(range(len(decoder))):
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
            return self._stream.next_frame()
        finally:
            if self._stream.next_index >= len(self):
                self.close()

    def read(self, indices: Sequence[int], short_side: int | None = None) -> list[Frame]:
        """Read some frames, in the order asked for; see `FrameSource.read`."""
        with self._open() as decoder:
            positions = self._positions(indices)
            frames = {
                index: decoder.to_array(frame, short_side) for index, frame in decoder.frames(sorted(set(positions)))
            }
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

    def next_frame(self) -> Frame:
        """Decode one frame and stand before the next."""
        _, frame = next(self._frames)
        self.next_index += 1
        return self.decoder.to_array(frame)
