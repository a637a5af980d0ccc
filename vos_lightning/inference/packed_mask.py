"""Masks of a whole video in little memory."""

import zlib

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint8]


class PackedMask:
    """Ids of one frame, compressed without loss: a few kilobytes instead of one byte per pixel.

    Args:
        ids: (H, W) uint8.

    >>> PackedMask(np.eye(2, dtype=np.uint8)).ids()
    array([[1, 0], [0, 1]], dtype=uint8)
    """

    def __init__(self, ids: Ids) -> None:
        self._shape = ids.shape
        self._data = zlib.compress(ids.tobytes(), 1)

    def ids(self) -> Ids:
        """(H, W) uint8."""
        return np.frombuffer(zlib.decompress(self._data), np.uint8).reshape(self._shape).copy()
