"""Whether a packet that a file marks as a key frame really is one: whole pictures can be decoded from there.

Files also mark the recovery points of gradual refresh (x264's ``intra-refresh``), after which a picture becomes right
only bit by bit, and some mark every packet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from av.packet import Packet
from av.video.stream import VideoStream

_START_CODE = re.compile(b"\0\0\1")

# of ITU-T H.264, table 7-1: slices, of other pictures and of those that reset the decoder
_H264_SLICES = (1, 5)
# of table 7-6: I and SI; from 5 on the same, of all slices of the picture
_H264_INTRA = (2, 4)

# of ITU-T H.265, table 7-1: all slices, and those of intra random access points
_HEVC_SLICES = range(32)
_HEVC_INTRA = range(16, 24)


def is_key_frame(packet: Packet[VideoStream], stream: VideoStream) -> bool:
    """Whether a packet is marked as a key frame and, in H.264 and HEVC, has only intra-coded slices."""
    codec = stream.codec_context.name
    if not packet.is_keyframe or codec not in ("h264", "hevc"):
        return packet.is_keyframe
    units = _units(bytes(packet), stream.codec_context.extradata or b"", codec)
    if codec == "hevc":
        return all(kind in _HEVC_INTRA for unit in units if (kind := unit[0] >> 1 & 63) in _HEVC_SLICES)
    return all(_h264_slice_type(unit) in _H264_INTRA for unit in units if unit[0] & 31 in _H264_SLICES)


def _units(data: bytes, extradata: bytes, codec: str) -> Iterator[bytes]:
    """The beginnings of a packet's NAL units, at most 32 bytes of each."""
    if extradata[:1] != b"\1":  # Annex B: start codes between units
        for found in _START_CODE.finditer(data):
            if unit := data[found.end() : found.end() + 32]:
                yield unit
        return
    # avcC and hvcC: each unit after its length
    place = 4 if codec == "h264" else 21
    width = 1 + (extradata[place] & 3) if len(extradata) > place else 4
    start = 0
    while start + width < len(data):
        length = int.from_bytes(data[start : start + width], "big")
        start += width
        if length:
            yield data[start : min(start + length, start + 32)]
        start += length


def _h264_slice_type(unit: bytes) -> int:
    """Type of a slice modulo 5, the second number of its header (7.3.3)."""
    payload = unit[1:].replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in payload)
    value = -1
    for _ in range(2):  # Exp-Golomb codes (9.1): as many zeros as there are bits after the first one
        zeros = len(bits) - len(bits.lstrip("0"))
        value = int(bits[zeros : 2 * zeros + 1] or "0", 2) - 1
        bits = bits[2 * zeros + 1 :]
    return value % 5
