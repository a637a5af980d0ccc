"""The video as the page sees it: JPEGs of frames, and small ones for the timeline."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError
from vos_lightning.io.frames import open_frames

_QUALITY = 90
_LONGEST = 1920
"""Pixels of the longer side: larger frames are shown smaller; masks keep their size."""
_KEPT_BYTES = 64 * 2**20
_BEHIND = 8
"""Frames that are decoded at once when the video is scrubbed backward."""


class Pictures:
    """JPEGs of a video's frames, a bounded number of which is kept.

    Args:
        path: of the video.
        short_side: in pixels, for small ones; None for the frames' own size.
    """

    def __init__(self, path: Path, short_side: int | None = None) -> None:
        self._source = open_frames(path)
        self._short_side = short_side
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._latest = -1
        self._lock = threading.Lock()

    def __getitem__(self, frame: int) -> bytes:
        """The JPEG of a frame.

        Raises:
            VOSError: no such frame, or it can't be decoded.
        """
        with self._lock:
            if not 0 <= frame < len(self._source):
                raise VOSError(f"there is no frame {frame}; the video has {len(self._source)}")
            if frame not in self._kept:
                backward = self._short_side is None and 0 < self._latest - frame <= 2 * _BEHIND
                for index in range(max(0, frame - _BEHIND + 1) if backward else frame, frame + 1):
                    self._keep(index)
            self._latest = frame
            self._kept.move_to_end(frame)
            return self._kept[frame]

    def _keep(self, frame: int) -> None:
        if self._short_side is None:
            picture = self._source[frame]
            scale = min(1.0, _LONGEST / max(picture.shape[:2]))
            if scale < 1:
                size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        else:
            picture = self._source.read([frame], self._short_side)[0]
        self._bytes -= len(self._kept.pop(frame, b""))
        self._kept[frame] = as_jpeg(picture)
        self._bytes += len(self._kept[frame])
        while self._bytes > _KEPT_BYTES and len(self._kept) > _BEHIND:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def as_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """An RGB picture (H, W, 3) as a JPEG."""
    _, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(encoded)
