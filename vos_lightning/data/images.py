"""Training clips from still images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vos_lightning.data.clips import ClipDataset
from vos_lightning.data.image_motion import moving_image
from vos_lightning.data.index import VideoRecord
from vos_lightning.data.names import video_names
from vos_lightning.data.sampling import ClipKey, ClipSampling, clip_generator
from vos_lightning.data.squares import read_reduced
from vos_lightning.errors import DatasetNotFoundError
from vos_lightning.io.files import natural_key
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES

# an image lasts for ever; this is long enough for any clip
_DURATION = 10_000

# the view covers no more than this share of the picture, so it is read this much larger
_VIEW = 0.7


class ImageClips(ClipDataset):
    """Clips filmed from still images; items as those of `ClipDataset`.

    Args:
        images: picture files.
        root: names are relative to this.
        sampling: length and gaps; a gap makes for more motion.
        size: side of the square frames, in pixels.
        clips_per_image: clips of each image per epoch.
        seed: of all draws.
        motion: strength of the motion per frame, see `image_motion.camera_path`.
    """

    def __init__(
        self,
        images: Sequence[Path],
        root: Path,
        sampling: ClipSampling,
        size: int = 256,
        clips_per_image: int = 1,
        seed: int = 0,
        motion: float = 0.05,
    ) -> None:
        """Keep the list; nothing is read yet."""
        videos = [
            VideoRecord(str(path), name, _DURATION, 24.0)
            for path, name in zip(images, video_names(images, root), strict=True)
        ]
        super().__init__(videos, sampling, size, clips_per_image, seed)
        self.motion = motion

    def _draw(self, key: ClipKey, video: VideoRecord) -> dict[str, Any]:
        generator = clip_generator(self.seed, key)
        steps = self.sampling.indices(video.num_frames, video.fps, generator)
        image = read_reduced(Path(video.path), round(self.size / _VIEW))
        return {
            "frames": moving_image(image, steps, self.size, self.motion, generator),
            "sequence": video.name,
            "seed": int(torch.randint(2**62, (), generator=generator)),
        }


def find_images(root: str | Path) -> list[Path]:
    """Pictures below `root`, at any depth, in natural order; hidden ones are passed over.

    Raises:
        DatasetNotFoundError: no such folder, or no picture in it.
    """
    root = Path(root)
    found = [
        path
        for path in root.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not found:
        raise DatasetNotFoundError(f"{root}: no picture ({', '.join(sorted(IMAGE_SUFFIXES))}) in it or below it")
    return sorted(found, key=lambda path: natural_key(str(path)))
