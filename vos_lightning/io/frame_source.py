"""What every source of frames offers, whether it's a folder or a video file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""An RGB frame, (H, W, 3), 0..255."""


class FrameSource(ABC):
    """The frames of one video, read when asked for.

    Holds a path, not pixels, and no open file until the first frame is asked for: it can be pickled to a worker.
    Iterating streams the frames in order, one at a time.

    Args:
        path: The folder or the file.
    """

    def __init__(self, path: str | Path) -> None:
        """Keep the path."""
        self.path = Path(path)

    @property
    def names(self) -> list[str]:
        """One name per frame, as mask files are called, without suffix: `00000`, `00001`, ... where there are none."""
        return [f"{index:05d}" for index in range(len(self))]

    @property
    @abstractmethod
    def fps(self) -> float:
        """Frames per second."""

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """Height and width of the first frame, in pixels."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of frames."""

    def __iter__(self) -> Iterator[Frame]:
        """Stream all frames in order; nothing is kept."""
        return (self[index] for index in range(len(self)))

    def intact(self) -> Iterator[Frame]:
        """Stream all frames in order, up to the first that is damaged.

        Raises:
            CorruptFileError: This frame is damaged, or can't be decoded at all.
        """
        return iter(self)

    def __getitem__(self, index: int) -> Frame:
        """Read one frame; negative indices count from the end."""
        return self.read([index])[0]

    @abstractmethod
    def read(self, indices: Sequence[int], short_side: int | None = None) -> list[Frame]:
        """Read some frames, in the order asked for.

        Args:
            indices: Positions, repeated or unordered as you like; negative ones count from the end.
            short_side: Resize so that the shorter side has this many pixels, keeping the aspect ratio (bilinear,
                filtered when shrinking); `None` keeps the size.

        Returns:
            One frame (H, W, 3) per index.

        Raises:
            IndexError: There is no such frame.
            CorruptFileError: A frame can't be decoded.
        """

    def __repr__(self) -> str:
        """Name the kind and the path."""
        return f"{type(self).__name__}({str(self.path)!r})"

    def _positions(self, indices: Sequence[int]) -> list[int]:
        """Count negative indices from the end and check them all."""
        count = len(self)
        for index in indices:
            if not -count <= index < count:
                raise IndexError(f"{self.path} has {count} frames, there is no frame {index}")
        return [int(index) % count for index in indices]


def scaled_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Height and width after resizing the shorter side to `short_side` pixels.

    >>> scaled_size(480, 854, 256)
    (256, 455)
    """
    if short_side is None:
        return height, width
    if short_side < 1:
        raise ValueError(f"short_side is a number of pixels, not {short_side}")
    shorter = min(height, width)
    return round(height * short_side / shorter), round(width * short_side / shorter)
