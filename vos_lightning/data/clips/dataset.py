"""Training clips: a few frames of one video, decoded as uint8, cut to one size so that clips collate."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset, get_worker_info

from vos_lightning.batches import ClipBatch, ClipItem, SkippedClip
from vos_lightning.data.clips.reading import OpenedVideos, random_square
from vos_lightning.data.clips.sampling import ClipKey, ClipSampling, clip_generator
from vos_lightning.data.layouts.folders import first_file_size
from vos_lightning.data.layouts.index import VideoRecord
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io.frame_source import FrameSource

# videos tried in the place of a batch without a readable clip
_REPLACEMENTS = 100


class ClipDataset(Dataset[ClipItem]):
    """Random clips of a list of videos.

    Items depend on (seed, epoch, draw) alone.

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

    def listing(self) -> dict[str, str]:
        """The videos, by name, with what tells another version of them apart."""
        return {video.name: f"{video.num_frames} frames, {first_file_size(video.path)} bytes" for video in self.videos}

    def __len__(self) -> int:
        """Clips per epoch."""
        return len(self.videos) * self.clips_per_video

    def __getitem__(self, key: ClipKey | int) -> ClipItem:
        """Decode one clip.

        Raises:
            VOSError: the video can't be read.
        """
        epoch, index = key if isinstance(key, tuple) else (0, key)
        if not isinstance(key, tuple) and not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        return self._draw(ClipKey(epoch, index), self.videos[index % len(self.videos)])

    def __getitems__(self, keys: Sequence[ClipKey | int]) -> list[ClipItem | SkippedClip]:
        """Decode a batch; clips that can't be read come back as `SkippedClip`.

        A batch without a readable clip gets one of the next readable video: an empty batch would stop training.

        Raises:
            VOSError: a hundred videos in a row can't be read.
        """
        items = [self._try(key, shift=0) for key in keys]
        shift = 1
        while len(skipped := skipped_clips(items)) == len(items):
            if shift > _REPLACEMENTS:
                raise VOSError(f"{skipped[-1].sequence}: {skipped[-1].reason}; {shift} videos in a row can't be read")
            items.append(self._try(keys[0], shift))
            shift += 1
        return items

    def _try(self, key: ClipKey | int, shift: int) -> ClipItem | SkippedClip:
        key = key if isinstance(key, tuple) else ClipKey(0, key)
        video = self.videos[(key.draw + shift) % len(self.videos)]
        try:
            return self._draw(key, video)
        except ExhaustedError:
            raise
        except VOSError as error:
            return SkippedClip(video.name, str(error))

    def open(self, video: VideoRecord) -> FrameSource:
        """The frames of a video, in the process that reads them."""
        return self._opened.get(video)

    def _draw(self, key: ClipKey, video: VideoRecord) -> ClipItem:
        try:
            return clip_item(self.open(video), video, self.sampling, self.size, self.seed, key)
        except VOSError:
            self._opened.forget(video)
            raise


def clip_item(
    source: FrameSource, video: VideoRecord, sampling: ClipSampling, size: int, seed: int, key: ClipKey
) -> ClipItem:
    """Draw and decode one clip.

    Args:
        source: the frames of the video.
        video: its name, length and frame rate.
        sampling: how frames are chosen.
        size: side of the square, in pixels.
        seed: of all draws.
        key: which draw this is.

    Raises:
        VOSError: the video can't be read.
    """
    generator = clip_generator(seed, key)
    try:
        frames = source.read(sampling.indices(video.num_frames, video.fps, generator), short_side=size)
    except IndexError as error:
        raise VOSError(f"{error}; it had {video.num_frames} when it was indexed: start again to index it") from error
    return {
        "frames": random_square(frames, size, generator),
        "sequence": video.name,
        "seed": int(torch.randint(2**62, (), generator=generator)),
    }


def skipped_clips(items: Sequence[ClipItem | SkippedClip]) -> list[SkippedClip]:
    """Those that can't be decoded."""
    return [item for item in items if isinstance(item, SkippedClip)]


def collate_clips(items: Sequence[ClipItem | SkippedClip]) -> ClipBatch:
    """Stack clips; at least one must be readable."""
    clips = [item for item in items if not isinstance(item, SkippedClip)]
    frames = torch.stack([clip["frames"] for clip in clips])
    seeds = torch.tensor([clip["seed"] for clip in clips])
    if get_worker_info() is not None:
        # here, a lack of shared memory is an error; in the thread that sends the batch it would be a hang
        frames.share_memory_()
        seeds.share_memory_()
    return {
        "frames": frames,
        "sequence": [clip["sequence"] for clip in clips],
        "seed": seeds,
        "skipped": skipped_clips(items),
    }
