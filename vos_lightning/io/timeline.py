"""Where the frames of a video file are: their time stamps and key frames, from its packets, without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vos_lightning.io.key_frames import is_key_frame


class KeyFrame(NamedTuple):
    """A packet from which decoding can start."""

    position: int  # in decoding order
    pts: int
    dts: int  # pts where the file doesn't say


@dataclass(frozen=True, eq=False)
class Timeline:
    """Frame number ↔ time stamp ↔ position in decoding order. B-frames make the last two differ.

    Small enough to be kept for thousands of videos: 12 bytes per frame and 24 per key frame.

    Attributes:
        pts: Presentation time stamps in display order, in units of the stream's time base, (N,).
        positions: Position of each frame's packet in decoding order, (N,).
        key_frames: One `KeyFrame` per row, in decoding order, (K, 3); the first one starts the first frame.
    """

    pts: NDArray[np.int64]
    positions: NDArray[np.int32]
    key_frames: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.pts)

    @property
    def start(self) -> KeyFrame:
        """The first key frame."""
        return self._key_frame(0)

    def index_of(self, pts: int) -> int:
        """Frame number of a time stamp that some frame has."""
        return int(self.pts.searchsorted(pts))

    def key_frame_before(self, index: int) -> KeyFrame:
        """Latest key frame from which frame `index` can be decoded."""
        latest = int(self.key_frames[:, 1].searchsorted(self.pts[index], side="right")) - 1
        while self.key_frames[latest, 0] > self.positions[index]:
            latest -= 1
        return self._key_frame(latest)

    def _key_frame(self, place: int) -> KeyFrame:
        return KeyFrame(*self.key_frames[place].tolist())


def read_timeline(container: InputContainer, stream: VideoStream) -> Timeline | None:
    """Read all packets of a video stream that stands at its start.

    A container's own index would be quicker, but has no presentation time stamps: it can't tell the order of frames.
    Frames that a player drops aren't counted: those cut off by an edit list, and those before the first key frame.

    Returns:
        `None` where time stamps are missing, repeated or jump back, or the first key frame is missing or none that can
        be decoded from, so that only decoding tells the frames.

    Raises:
        EOFError: The file ends within a packet.
    """
    if container.format.name == "avi" and stream.codec_context.has_b_frames:
        return None  # AVI stores no time stamps, what FFmpeg makes up is in decoding order
    stamps: list[int] = []
    positions: list[int] = []
    keys: list[KeyFrame] = []
    packets = (packet for packet in container.demux(stream) if packet.size)
    for position, packet in enumerate(packets):
        if packet.is_corrupt:
            raise EOFError("the file is cut short")
        pts = packet.pts
        if pts is None:
            return None
        if is_key_frame(packet, stream):
            keys.append(KeyFrame(position, pts, pts if packet.dts is None else packet.dts))
        elif packet.is_keyframe and not keys:
            return None
        if keys and pts >= keys[0].pts and not packet.is_discard:
            stamps.append(pts)
            positions.append(position)
    if not stamps:
        return None
    key_frames = np.array(keys, np.int64)
    order = np.argsort(stamps, kind="stable")
    pts_in_order = np.array(stamps, np.int64)[order]
    if (np.diff(key_frames[:, 1]) <= 0).any() or (np.diff(pts_in_order) == 0).any():
        return None
    return Timeline(pts_in_order, np.array(positions, np.int32)[order], key_frames)
