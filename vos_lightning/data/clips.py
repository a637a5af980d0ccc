"""Training clips: a few frames of one video, decoded as uint8, cut to one size so that clips collate."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, get_worker_info

from vos_lightning.data.index import VideoRecord
from vos_lightning.data.opened import OpenedVideos
from vos_lightning.data.sampling import ClipKey, ClipSampling, clip_generator
from vos_lightning.data.squares import random_square
from vos_lightning.errors import VOSError
from vos_lightning.io.frame_source import FrameSource

# how many videos a batch that lost every clip tries before giving up
_REPLACEMENTS = 100


class SkippedClip(NamedTuple):
    """A clip that could not be decoded: it is left out of its batch and reported by the datamodule."""

    sequence: str
    reason: str


class ClipDataset(Dataset[dict[str, Any]]):
    """Random clips of a list of videos.

    An item is a dict: `frames` uint8 (T, 3, size, size) RGB, `sequence` the video's name, `seed` an int64 of the clip
    for whatever is drawn later (device transforms). Items depend on (seed, epoch, draw) alone.

    Args:
        videos: readable videos with at least ``sampling.length`` frames.
        sampling: how frames are chosen.
        size: side of the square that is cut out of the frames, resized so that it is their short side, in pixels; its
            place is random and shared by the clip.
        clips_per_video: clips drawn from each video per epoch; ``len(dataset)`` is this times the number of videos.
        seed: of all draws.
    """

    def __init__(
        self,
        videos: Sequence[VideoRecord],
        sampling: ClipSampling,
        size: int = 256,
        clips_per_video: int = 1,
        seed: int = 0,
    ) -> None:
        """Keep the list; files are opened by the process that reads them."""
        self.videos = list(videos)
        self.sampling = sampling
        self.size = size
        self.clips_per_video = clips_per_video
        self.seed = seed
        self._opened = OpenedVideos()

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self.videos) * self.clips_per_video

    def __getitem__(self, key: ClipKey | int) -> dict[str, Any]:
        """Decode one clip.

        Raises:
            VOSError: the video can't be read.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not isinstance(key, tuple) and not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return self._draw(ClipKey(epoch, index), self.videos[index % len(self.videos)])

    def __getitems__(self, keys: Sequence[ClipKey | int]) -> list[dict[str, Any] | SkippedClip]:
        """Decode a batch; clips that can't be read come back as `SkippedClip`, and at least one clip is a clip.

        A batch that lost every clip gets one from the next readable video: an empty batch would stop training.

        Raises:
            VOSError: a hundred videos in a row can't be read.
        """
        items = [self._try(key, shift=0) for key in keys]
        shift = 1
        while not any(isinstance(item, dict) for item in items):
            if shift > _REPLACEMENTS:
                raise VOSError(f"{items[-1].sequence}: {items[-1].reason}; {shift} videos in a row can't be read")  # type: ignore[union-attr]
            items.append(self._try(keys[0], shift))
            shift += 1
        return items

    def _try(self, key: ClipKey | int, shift: int) -> dict[str, Any] | SkippedClip:
        key = key if isinstance(key, tuple) else ClipKey(0, key)
        video = self.videos[(key.draw + shift) % len(self.videos)]
        try:
            return self._draw(key, video)
        except VOSError as error:
            return SkippedClip(video.name, str(error))

    def open(self, video: VideoRecord) -> FrameSource:
        """The frames of a video, in the process that reads them."""
        return self._opened.get(video)

    def _draw(self, key: ClipKey, video: VideoRecord) -> dict[str, Any]:
        try:
            source = self.open(video)
            return clip_item(source, video.name, video.num_frames, video.fps, self.sampling, self.size, self.seed, key)
        except VOSError:
            self._opened.forget(video)
            raise


def clip_item(
    source: FrameSource,
    name: str,
    num_frames: int,
    fps: float,
    sampling: ClipSampling,
    size: int,
    seed: int,
    key: ClipKey,
) -> dict[str, Any]:
    """Draw and decode one clip of an opened video.

    Args:
        source: the video.
        name: of the video.
        num_frames: its length.
        fps: its frame rate.
        sampling: how frames are chosen.
        size: side of the square, in pixels.
        seed: of all draws.
        key: which draw this is.

    Returns:
        An item as of `ClipDataset`.

    Raises:
        VOSError: the video can't be read.
    """
    generator = clip_generator(seed, key)
    try:
        frames = source.read(sampling.indices(num_frames, fps, generator), short_side=size)
    except IndexError as error:
        raise VOSError(f"{error}; it had {num_frames} when it was indexed: start again to index it anew") from error
    return {
        "frames": random_square(frames, size, generator),
        "sequence": name,
        "seed": int(torch.randint(2**62, (), generator=generator)),
    }


def collate_clips(items: Sequence[dict[str, Any] | SkippedClip]) -> dict[str, Any]:
    """Stack clips.

    Returns:
        `frames` uint8 (B, T, 3, size, size), `sequence` B names, `seed` int64 (B,), and `skipped`, the clips left out.
    """
    clips = [item for item in items if isinstance(item, dict)]
    frames = torch.stack([clip["frames"] for clip in clips])
    seeds = torch.tensor([clip["seed"] for clip in clips])
    if get_worker_info() is not None:
        # Sending would do it, in a thread where a lack of memory is a batch that never comes instead of an error.
        frames.share_memory_()
        seeds.share_memory_()
    return {
        "frames": frames,
        "sequence": [clip["sequence"] for clip in clips],
        "seed": seeds,
        "skipped": [item for item in items if isinstance(item, SkippedClip)],
    }
