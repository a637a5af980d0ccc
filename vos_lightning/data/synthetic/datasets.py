"""Synthetic videos in the two dataset shapes, and as a DAVIS tree on disk."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch.utils.data import Dataset

from vos_lightning.batches import EvaluationItem
from vos_lightning.data.clips.dataset import ClipDataset
from vos_lightning.data.clips.sampling import ClipSampling
from vos_lightning.data.layouts.index import VideoRecord
from vos_lightning.data.synthetic.videos import SyntheticVideo
from vos_lightning.errors import VOSError
from vos_lightning.ids import merged_objects, present_ids
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frame_source import Frame, FrameSource, scaled_size
from vos_lightning.io.masks import write_mask
from vos_lightning.io.palette import DAVIS_PALETTE


@dataclass(frozen=True)
class SyntheticSpec:
    """What all videos of a synthetic dataset have in common; see `SyntheticVideo`."""

    num_frames: int = 48
    size: tuple[int, int] = (128, 224)
    num_objects: int | None = None
    fps: float = 12.0

    def __post_init__(self) -> None:
        """Validate the options."""
        if self.num_frames < 1 or min(self.size) < 1:
            raise VOSError(f"num_frames={self.num_frames}, size={self.size}: need at least 1 of each")

    def video(self, seed: int) -> SyntheticVideo:
        """The video of a seed; recent ones are kept, their textures cost more than a frame."""
        return _video(self, seed)


@lru_cache(maxsize=64)
def _video(spec: SyntheticSpec, seed: int) -> SyntheticVideo:
    return SyntheticVideo(seed, spec.num_frames, spec.size, spec.num_objects, spec.fps)


class SyntheticFrames(FrameSource):
    """Frames of a synthetic video, rendered when asked for."""

    def __init__(self, spec: SyntheticSpec, seed: int) -> None:
        """Keep the recipe."""
        super().__init__(Path(synthetic_name(seed)))
        self.spec, self.seed = spec, seed

    @property
    def fps(self) -> float:
        """Nominal frames per second."""
        return self.spec.fps

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.spec.size

    def __len__(self) -> int:
        """Frames."""
        return self.spec.num_frames

    def read(self, indices: Sequence[int], short_side: int | None = None) -> list[Frame]:
        """Render some frames; see `FrameSource.read`."""
        video = self.spec.video(self.seed)
        frames = [video.frame(index) for index in self._positions(indices)]
        height, width = scaled_size(*self.size, short_side)
        if (height, width) == self.size:
            return frames
        pictures = (Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR) for frame in frames)
        return [np.asarray(picture) for picture in pictures]


class SyntheticMasks:
    """Masks of a synthetic video, drawn when asked for."""

    def __init__(self, spec: SyntheticSpec, seed: int) -> None:
        """Keep the recipe."""
        self.spec, self.seed = spec, seed

    def __len__(self) -> int:
        """Frames."""
        return self.spec.num_frames

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Those of all frames, in order."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """Ids of one frame, (H, W)."""
        return self.spec.video(self.seed).mask(index)


class SyntheticClips(ClipDataset):
    """Training clips of synthetic videos; see `ClipDataset`.

    Args:
        spec: of the videos.
        seeds: one per video.
        sampling: as for `ClipDataset`, like all that follow.
        size: short side and square, in pixels.
        clips_per_video: per epoch.
        seed: of the draws, not of the videos.
    """

    def __init__(
        self,
        spec: SyntheticSpec,
        seeds: Sequence[int],
        sampling: ClipSampling,
        size: int = 128,
        clips_per_video: int = 1,
        seed: int = 0,
    ) -> None:
        """List the videos; nothing is rendered yet."""
        videos = [VideoRecord(str(video), synthetic_name(video), spec.num_frames, spec.fps) for video in seeds]
        super().__init__(videos, sampling, size, clips_per_video, seed)
        self.spec = spec

    def open(self, video: VideoRecord) -> FrameSource:
        """Frames of one video."""
        return SyntheticFrames(self.spec, int(video.path))


class SyntheticSequences(Dataset[EvaluationItem]):
    """Evaluation sequences of synthetic videos.

    Args:
        spec: of the videos.
        seeds: one per video.
    """

    def __init__(self, spec: SyntheticSpec, seeds: Sequence[int]) -> None:
        """Keep the recipe."""
        self.spec, self.seeds = spec, list(seeds)

    @property
    def names(self) -> list[str]:
        """Of the sequences."""
        return [synthetic_name(seed) for seed in self.seeds]

    def __len__(self) -> int:
        """Sequences."""
        return len(self.seeds)

    def __getitem__(self, index: int) -> EvaluationItem:
        """One sequence; only its first mask is drawn."""
        seed = self.seeds[index]
        masks = SyntheticMasks(self.spec, seed)
        return {
            "sequence": synthetic_name(seed),
            "frames": SyntheticFrames(self.spec, seed),
            "prompts": {0: masks[0]},
            "targets": masks,
            "object_ids": present_ids(masks[0]),
            "palette": DAVIS_PALETTE,
            "required": None,
            "categories": None,
        }


def synthetic_name(seed: int) -> str:
    """Name of the video of a seed."""
    return f"synthetic-{seed:05d}"


def write_davis_tree(
    root: str | Path,
    train: Sequence[int] = range(4),
    val: Sequence[int] = range(1000, 1002),
    spec: SyntheticSpec | None = None,
    year: str = "2017",
    resolution: str = "480p",
) -> None:
    """Write synthetic videos in the layout of DAVIS; videos that are there already are kept.

    Args:
        root: folder to write ``JPEGImages``, ``Annotations`` and ``ImageSets`` to; made if missing.
        train: seeds of the training videos.
        val: seeds of the validation videos.
        spec: of the videos.
        year: "2017" writes ids, "2016" one object as 255.
        resolution: name of the resolution's folder.

    Raises:
        VOSError: `root` has lists of other sequences.
        UnwritableError: it can't be written to.
    """
    root, spec = Path(root), spec or SyntheticSpec()
    sets = root / "ImageSets" / year
    lists = {sets / f"{split}.txt": seeds for split, seeds in (("train", train), ("val", val)) if seeds}
    for path in lists:
        _check_synthetic(path)
    for seed in (*train, *val):
        frames, masks = (root / kind / resolution / synthetic_name(seed) for kind in ("JPEGImages", "Annotations"))
        frames.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        video = spec.video(seed)
        for index in range(spec.num_frames):
            # the mask is written last: where it is, its frame is whole
            if (masks / f"{index:05d}.png").exists():
                continue
            with atomic_path(frames / f"{index:05d}.jpg") as temporary:
                Image.fromarray(video.frame(index)).save(temporary, format="JPEG", quality=95)
            mask = video.mask(index)
            write_mask(masks / f"{index:05d}.png", merged_objects(mask) if year == "2016" else mask)
    sets.mkdir(parents=True, exist_ok=True)
    for path, seeds in lists.items():
        with atomic_path(path) as temporary:
            temporary.write_text("".join(f"{synthetic_name(seed)}\n" for seed in seeds), encoding="utf-8")


def _check_synthetic(path: Path) -> None:
    """Raise if a list is of anything but synthetic videos."""
    names = path.read_text(encoding="utf-8", errors="replace").split() if path.exists() else []
    if others := [name for name in names if not re.fullmatch("synthetic-[0-9]{5,}", name)]:
        raise VOSError(
            f"{path}: lists other sequences, such as {others[0]}; choose another folder for synthetic videos"
        )
