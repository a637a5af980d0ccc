"""Decoding chosen frames of a video file, and no more of it than they need."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vos_lightning.errors import CorruptFileError, VOSError, read_error
from vos_lightning.io.frame_source import Frame, scaled_size
from vos_lightning.io.limits import check_pixels, check_regular, pixel_limit
from vos_lightning.io.sample_tables import check_sample_tables
from vos_lightning.io.timeline import KeyFrame, Timeline, read_timeline

_SWSCALE_MATRICES = {1: 1, 4: 4, 7: 7, 9: 9, 10: 9}
"""libswscale's number of a frame's colour matrix (BT.709, FCC, SMPTE 240M, BT.2020); all others are BT.601, 5."""
_BT601 = 5
_LIMITED, _FULL = 1, 2

_SKIPPING = frozenset({"h264", "hevc", "mpeg4", "mpeg2video"})
"""Decoders that may be told, packet by packet, to pass over frames that no other frame refers to."""

# from 17 on PyAV scales on all cores unless told otherwise, which costs more than it brings at these sizes
_SERIAL: dict[str, Any] = {"threads": 1} if int(av.__version__.split(".")[0]) >= 17 else {}

_LISTS = {"concat", "dash", "hls", "image2", "imf", "rtsp", "sdp", "webm_dash_manifest"}
_FORMATS = ",".join(sorted(av.formats_available - _LISTS))
"""What a video may be: not a list of other files, which FFmpeg would open, whatever its name ends in."""


class VideoFacts(NamedTuple):
    """What opening a video file tells of it, so that opening it again needn't read all its packets."""

    num_frames: int
    fps: float
    timeline: Timeline | None
    time_base: Fraction
    """Unit of the time stamps, in seconds."""
    pixel_aspect: Fraction
    """Width of a pixel by its height, as the frames are stored."""
    stamp: tuple[int, int]
    """Size and time of change of the file that this is true of."""


@dataclass
class _Run:
    """Frames that one seek serves."""

    key: KeyFrame
    last: int  # position in decoding order of the last packet they need
    indices: list[int]


class VideoDecoder:
    """An open video file.

    Args:
        path: The file.
        threads: Decoding threads; 0 lets FFmpeg choose.
        facts: Those of an earlier decoder of this file; `None` reads all packets.

    Raises:
        CorruptFileError: This isn't a video file, or it is cut short.
        VOSError: The file holds sound only, a video without a frame, or frames that are too large; it is gone, may not
            be read, or is not the one of `facts`.
    """

    def __init__(self, path: Path, threads: int = 1, facts: VideoFacts | None = None) -> None:
        """Open the file; get to know it unless it is known."""
        self.path = path
        self.threads = threads
        self._reformatter = VideoReformatter()
        check_regular(path)
        stamp = _stamp(path)
        if facts is not None and facts.stamp != stamp:
            raise VOSError(f"{path}: this file changed after it was first opened; open it anew")
        if facts is None:
            check_sample_tables(path)
        self._open()
        context = self._stream.codec_context
        self._size = (context.height, context.width)
        check_pixels(path, *self._size)
        self.facts = facts or self._learn(stamp)
        self.timeline = self.facts.timeline

    def __len__(self) -> int:
        """Number of frames."""
        return self.facts.num_frames

    def __enter__(self) -> Self:
        """Give the decoder."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, indices: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode frames.

        Args:
            indices: Frame numbers, increasing.

        Returns:
            Pairs (frame number, frame) in that order.

        Raises:
            CorruptFileError: One of the frames can't be decoded.
        """
        produced = 0
        try:
            for index, frame in self._by_seeking(indices) if self.timeline is not None else self._by_counting(indices):
                if index != indices[produced]:
                    break
                produced += 1
                yield index, frame
        except FFmpegError as error:
            raise self._unreadable(error) from error
        if produced < len(indices):
            raise self._corrupt(f"frame {indices[produced]} of {len(self)} is damaged")

    def to_array(self, frame: VideoFrame, short_side: int | None = None) -> Frame:
        """Convert a decoded frame to RGB, resized and turned upright on the way.

        All frames of a file come out in one size, even if the stream changes it on the way.

        Raises:
            VOSError: The resized frame would be too large.
        """
        height, width = scaled_size(self._size[0] or frame.height, self._size[1] or frame.width, short_side)
        check_pixels(self.path, height, width)
        return to_rgb(frame, height, width, self._reformatter)

    def _learn(self, stamp: tuple[int, int]) -> VideoFacts:
        try:
            timeline = read_timeline(self._container, self._stream)
            count = sum(1 for _ in self._all_frames()) if timeline is None else len(timeline)
        except (FFmpegError, EOFError) as error:
            self.close()
            raise self._unreadable(error) from error
        if not count:
            self.close()
            raise VOSError(f"{self.path}: this video has no frame; give one that plays")
        fps = float(self._stream.average_rate or self._stream.guessed_rate or 25)
        aspect = self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio or Fraction(1)
        return VideoFacts(count, fps, timeline, self._stream.time_base or Fraction(1), aspect, stamp)

    def _open(self) -> None:
        try:
            # an absolute path can't be taken for a protocol, as "take:2.mp4" would be
            self._container: InputContainer = av.open(str(self.path.absolute()), options={"format_whitelist": _FORMATS})
        except (FFmpegError, OSError, ValueError) as error:
            raise self._unreadable(error) from error
        streams = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if not streams and len(self._container.streams):
            self._container.close()
            raise VOSError(f"{self.path}: there is no video in this file, only sound or text; give a video")
        if not streams or streams[0].codec_context is None:
            self._container.close()
            raise self._corrupt("no stream of a known codec")
        self._stream: VideoStream = streams[0]
        limit = pixel_limit()
        if limit is not None:  # of frames that are larger than the file's header says
            self._stream.codec_context.options = {"max_pixels": str(limit)}
        self._stream.thread_count = self.threads
        self._stream.thread_type = "NONE" if self.threads == 1 else "AUTO"

    def _by_seeking(self, indices: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        assert self.timeline is not None
        for run in _runs(self.timeline, indices):
            missing = deque(run.indices)
            for key in (run.key, self.timeline.start):
                # from a key frame that turns out to be none, a decoder holds frames back
                for index, frame in self._decode(key, run.last, set(self.timeline.pts[list(missing)].tolist())):
                    if not missing or index != missing[0]:
                        break
                    missing.popleft()
                    yield index, frame
                if not missing:
                    break

    def _decode(self, key: KeyFrame, last: int, wanted: set[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode from a key frame to the packet at position `last`; give the frames with the wanted time stamps."""
        assert self.timeline is not None
        for position, packet in enumerate(self._packets_from(key), start=key.position):
            context = self._stream.codec_context
            if context.name in _SKIPPING:
                context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
            # draining gives the last frames without decoding what follows them
            for frame in [*packet.decode(), *(self._stream.decode(None) if position == last else [])]:
                if frame.pts in wanted:
                    yield self.timeline.index_of(frame.pts), frame
            if position == last:
                break

    def _packets_from(self, key: KeyFrame) -> Iterator[Packet[Any]]:
        """Packets in decoding order, the first one being the key frame's."""
        for stamp in (key.pts, key.dts, None):
            packets = self._packets_after(stamp)
            first = _find(key, packets)
            if first is not None:
                return chain([first], packets)
        return iter(())

    def _packets_after(self, stamp: int | None) -> Iterator[Packet[Any]]:
        """Go to the key frame at or before a time stamp, or to the start, and read on."""
        if stamp is None:
            self._container.close()
            self._open()
        else:
            self._container.seek(stamp, stream=self._stream)
        yield from (packet for packet in self._container.demux(self._stream) if packet.size)

    def _by_counting(self, indices: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        wanted = set(indices)
        return ((index, frame) for index, frame in enumerate(self._all_frames()) if index in wanted)

    def _all_frames(self) -> Iterator[VideoFrame]:
        self._container.close()
        self._open()
        yield from self._container.decode(self._stream)

    def _unreadable(self, error: Exception) -> VOSError:
        return read_error(self.path, error, self._corrupt(getattr(error, "strerror", None) or error))

    def _corrupt(self, reason: object) -> CorruptFileError:
        return CorruptFileError(f"{self.path}: this video cannot be decoded ({reason}); replace it or encode it again")


def to_rgb(frame: VideoFrame, height: int, width: int, reformatter: VideoReformatter) -> Frame:
    """Scale a decoded frame, convert it to RGB by its own colour matrix, and turn it upright."""
    rgb = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=_SWSCALE_MATRICES.get(frame.colorspace, _BT601),
        dst_colorspace=_BT601,
        src_color_range=_FULL if frame.color_range == _FULL else _LIMITED,
        dst_color_range=_FULL,
        interpolation="BILINEAR",
        **_SERIAL,
    )
    array = cast(Frame, rgb.to_ndarray())
    turns = quarter_turns(frame)
    return np.ascontiguousarray(np.rot90(array, turns)) if turns else array


def quarter_turns(frame: VideoFrame) -> int:
    """How often a stored frame is turned left by 90 degrees to be upright, 0 to 3."""
    return round(frame.rotation / 90) % 4


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise VOSError(f"{path}: this video is gone ({error.strerror}); put it back") from error
    return status.st_size, status.st_mtime_ns


def _is_cover(stream: VideoStream) -> bool:
    """Tell whether a stream is a still picture that comes with the file, such as an album cover."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def _find(key: KeyFrame, packets: Iterator[Packet[Any]]) -> Packet[Any] | None:
    """Advance to a key frame's packet; `None` if a seek went too far or isn't possible in this container."""
    try:
        for packet in packets:
            if packet.is_keyframe and packet.pts is not None and packet.pts >= key.pts:
                return packet if packet.pts == key.pts else None
    except FFmpegError:
        return None
    return None


def _runs(timeline: Timeline, indices: Sequence[int]) -> Iterator[_Run]:
    """Group frames so that seeking between groups, and only there, leaves packets out."""
    run: _Run | None = None
    for index in indices:
        key, position = timeline.key_frame_before(index), int(timeline.positions[index])
        if run is not None and key.position <= run.last + 1:
            run.last = max(run.last, position)
            run.indices.append(index)
            continue
        if run is not None:
            yield run
        run = _Run(key, position, [index])
    if run is not None:
        yield run
