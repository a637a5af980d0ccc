"""Where the frames of a video file are: their time stamps and key frames, from its packets, without decoding."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from av.container import InputContainer
from av.video.stream import VideoStream


@dataclass(frozen=True)
class KeyFrame:
    """A packet from which decoding can start."""

    position: int  # in decoding order
    pts: int
    dts: int | None


@dataclass(frozen=True)
class Timeline:
    """Frame number ↔ time stamp ↔ position in decoding order. B-frames make the last two differ.

    Attributes:
        pts: Presentation time stamps in display order, in units of the stream's time base.
        positions: Position of each frame's packet in decoding order.
        key_frames: In decoding order; the first one starts the first frame.
    """

    pts: list[int]
    positions: list[int]
    key_frames: list[KeyFrame]
    _key_stamps: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Keep the key frames' stamps for searching."""
        object.__setattr__(self, "_key_stamps", [key.pts for key in self.key_frames])

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pts)

    @cached_property
    def index_of(self) -> dict[int, int]:
        """Frame number of a time stamp."""
        return {pts: index for index, pts in enumerate(self.pts)}

    def key_frame_before(self, index: int) -> KeyFrame:
        """Latest key frame from which frame `index` can be decoded."""
        latest = bisect_right(self._key_stamps, self.pts[index]) - 1
        while self.key_frames[latest].position > self.positions[index]:
            latest -= 1
        return self.key_frames[latest]


def read_timeline(container: InputContainer, stream: VideoStream) -> Timeline | None:
    """Read all packets of a video stream that stands at its start.

    Frames that a player drops aren't counted: those cut off by an edit list, and those before the first key frame.

    Returns:
        `None` where time stamps are missing, repeated or jump back, so that only decoding tells the frames.

    Raises:
        EOFError: The file ends within a packet.
    """
    if container.format.name == "avi" and stream.codec_context.has_b_frames:
        return None  # AVI stores no time stamps, what FFmpeg makes up is in decoding order
    stamps: list[tuple[int, int]] = []
    keys: list[KeyFrame] = []
    packets = (packet for packet in container.demux(stream) if packet.size)
    for position, packet in enumerate(packets):
        if packet.is_corrupt:
            raise EOFError("the file is cut short")
        if packet.pts is None:
            return None
        if packet.is_keyframe:
            keys.append(KeyFrame(position, packet.pts, packet.dts))
        if not packet.is_discard and keys:
            stamps.append((packet.pts, position))
    stamps = sorted(stamp for stamp in stamps if stamp[0] >= keys[0].pts)
    jumps = any(later.pts <= earlier.pts for earlier, later in pairwise(keys))
    repeated = any(later[0] == earlier[0] for earlier, later in pairwise(stamps))
    if jumps or repeated:
        return None
    return Timeline([pts for pts, _ in stamps], [position for _, position in stamps], keys)
