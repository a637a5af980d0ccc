"""The sound of a video, taken along without being encoded again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet

from vos_lightning.io.terminal import printable

_log = logging.getLogger(__name__)
_CODECS_OF_MP4 = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac"})


class Soundtrack:
    """Copies the first audio stream of a file into an mp4; one that mp4 can't hold is left out with a warning.

    Args:
        path: of the video.
        start: time of its first frame in seconds, which becomes 0.
    """

    def __init__(self, path: Path, start: float) -> None:
        """Open the file."""
        self._start = start
        self._input = av.open(str(path.absolute()))
        self._source = next(iter(self._input.streams.audio), None)
        if self._source is not None and self._source.codec_context.name not in _CODECS_OF_MP4:
            codec = self._source.codec_context.name
            _log.warning("%s: its sound is left out, for mp4 holds no %s", printable(str(path)), codec)
            self._source = None
        self._waiting: Packet[Any] | None = None

    def join(self, output: OutputContainer) -> None:
        """Become a stream of a file whose first packet is yet to come."""
        if self._source is not None:
            self._output, self._target = output, output.add_stream_from_template(self._source)
            self._packets = self._shifted()

    def copy_until(self, seconds: float) -> None:
        """Write what sounds before a time of the output; infinity for the rest."""
        while self._source is not None:
            packet = self._waiting or next(self._packets, None)
            self._waiting = packet
            if packet is None or float((packet.pts or 0) * packet.time_base) >= seconds:
                return
            self._waiting = None
            packet.stream = self._target
            self._output.mux(packet)

    def close(self) -> None:
        """Close the file."""
        self._input.close()

    def _shifted(self) -> Iterator[Packet[Any]]:
        """Packets from `start` on, in time of the output; none after the first that can't be read."""
        try:
            for packet in self._input.demux(self._source):
                if packet.pts is None or packet.dts is None or packet.time_base is None:
                    continue
                shift = round(self._start / packet.time_base)
                packet.pts -= shift
                packet.dts -= shift
                if packet.dts + (packet.duration or 0) >= 0:  # decoders need the packet before
                    yield packet
        except FFmpegError as error:
            _log.warning("%s: its sound breaks off (%s)", printable(self._input.name), error.strerror)
