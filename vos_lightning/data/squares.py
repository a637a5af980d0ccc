"""Reading the frames of a clip as squares of one size, by the cheapest way their files allow."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vos_lightning.errors import VOSError
from vos_lightning.io.frame_folder import FrameFolder
from vos_lightning.io.frame_source import FrameSource
from vos_lightning.io.frames import open_frames

# a JPEG decodes at 1/2, 1/4 or 1/8 for less than it costs to shrink it: worth enlarging the result by a tenth
_ENOUGH = 0.9


def open_for_squares(path: str, size: int) -> tuple[FrameSource, int | None]:
    """Open a video and choose the short side to read it at; None is its own.

    A video file is resized by its colour conversion, which costs nothing more. Images are read as they are, or at the
    fraction a JPEG can be decoded at, and the square is resized after it is cut.

    Args:
        path: a video file or a folder of frames.
        size: of the squares, in pixels.

    Raises:
        VOSError: it can't be opened.
    """
    return _open_folder(path, size) if Path(path).is_dir() else (open_frames(path), size)


# listing a folder takes as long as decoding a frame of it
@lru_cache(maxsize=4096)
def _open_folder(path: str, size: int) -> tuple[FrameSource, int | None]:
    source = FrameFolder(path)
    if not any(file.suffix.lower() in (".jpg", ".jpeg") for file in source.path.iterdir()):
        return source, None
    short_side = min(source.size)
    fractions = (short_side / part for part in (8, 4, 2))
    return source, next((int(side) for side in fractions if side.is_integer() and side >= _ENOUGH * size), None)


def random_square(frames: Sequence[npt.NDArray[np.uint8]], size: int, generator: torch.Generator) -> torch.Tensor:
    """Cut the same random square out of every frame, as large as the frames allow, and resize it.

    Args:
        frames: T arrays (H, W, 3), all of one size.
        size: side of the squares that come out, in pixels.
        generator: source of the draw.

    Returns:
        uint8 (T, 3, size, size).

    Raises:
        VOSError: frames of different sizes.
    """
    if len({frame.shape for frame in frames}) > 1:
        raise VOSError(f"frames of different sizes: {sorted({frame.shape[:2] for frame in frames})}")
    height, width = frames[0].shape[:2]
    side = min(height, width)
    down, right = torch.rand(2, generator=generator).tolist()
    top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
    clip = np.stack([frame[top : top + side, left : left + side] for frame in frames])
    squares = torch.from_numpy(clip).permute(0, 3, 1, 2)
    if side != size:
        # bytes with the channels last have a fast path
        squares = F.interpolate(squares, size=(size, size), mode="bilinear", antialias=True)
    return squares.contiguous()
