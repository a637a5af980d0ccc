"""Reading the frames of a clip as squares of one size, by the cheapest way their files allow."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vos_lightning.data.layouts.index import VideoRecord
from vos_lightning.errors import VOSError
from vos_lightning.io.frame_folder import FrameFolder, read_frame
from vos_lightning.io.frame_source import Frame, FrameSource
from vos_lightning.io.frames import open_frames
from vos_lightning.io.limits import opened_image
from vos_lightning.io.video import VideoFile

# a JPEG decodes at 1/2, 1/4 or 1/8 for less than it costs to shrink it: worth enlarging the result by a tenth
_ENOUGH = 0.9

# of EXIF; 1 is upright
_ORIENTATION_TAG = 0x0112

# what a remembered video costs beside its frames, counted in frames
_OVERHEAD = 100


class ReducedFolder(FrameFolder):
    """A folder of frames whose JPEGs are decoded at the smallest fraction of their size that is enough for a square."""

    def read(self, indices: Sequence[int], short_side: int | None = None) -> list[Frame]:
        """Read some frames; the short side comes out as at least nine tenths of the one asked for, or its own."""
        return [read_reduced(self.path / self._filenames[index], short_side) for index in self._positions(indices)]


def read_reduced(path: Path, short_side: int | None) -> Frame:
    """Read an image as RGB, a JPEG at 1, 1/2, 1/4 or 1/8 of its size.

    Raises:
        CorruptFileError: it can't be decoded.
    """
    if short_side is not None and path.suffix.lower() in (".jpg", ".jpeg"):
        with opened_image(path) as image:
            if image.mode == "RGB" and image.getexif().get(_ORIENTATION_TAG, 1) == 1:
                share = _ENOUGH * short_side / min(image.size)
                image.draft("RGB", (round(image.width * share), round(image.height * share)))
                return np.asarray(image)
    return read_frame(path)


def open_for_squares(path: str) -> FrameSource:
    """Open a video to cut squares out of its frames.

    Raises:
        VOSError: it can't be opened.
    """
    return ReducedFolder(path) if Path(path).is_dir() else open_frames(path)


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


class OpenedVideos:
    """The videos read last: where their frames are needn't be found again. No file stays open.

    Each process has its own: a copy by pickling is empty.

    Args:
        frames: videos with this many frames together are kept, at some 12 bytes a frame of a file; one of a folder
            counts for eight.
    """

    def __init__(self, frames: int = 4_000_000) -> None:
        """Begin with none."""
        self._budget = frames
        self._forget_all()

    def __len__(self) -> int:
        """Videos kept."""
        return len(self._videos)

    def get(self, video: VideoRecord) -> FrameSource:
        """The frames of a video.

        Raises:
            VOSError: it can't be opened.
        """
        if video.path in self._videos:
            self._videos.move_to_end(video.path)
            return self._videos[video.path][0]
        source = open_for_squares(video.path)
        cost = video.num_frames * (1 if isinstance(source, VideoFile) else 8) + _OVERHEAD
        self._videos[video.path] = source, cost
        self._cost += cost
        while self._cost > self._budget:
            self._cost -= self._videos.popitem(last=False)[1][1]
        return source

    def forget(self, video: VideoRecord) -> None:
        """Open a video anew next time, as it may have changed."""
        if video.path in self._videos:
            self._cost -= self._videos.pop(video.path)[1]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the videos behind."""
        return {"_budget": self._budget}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with none."""
        self.__dict__.update(state)
        self._forget_all()

    def _forget_all(self) -> None:
        self._videos: OrderedDict[str, tuple[FrameSource, int]] = OrderedDict()
        self._cost = 0
