"""Training clips from still images: a camera that drifts, turns, tilts and zooms over them, under changing light.

The 100-image study of SSVOS (Table 3) turns images into clips "by random homographies"; here the corners of the view
move on straight lines, so the motion is smooth and a clip of any length has a constant direction.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from vos_lightning.batches import ClipItem
from vos_lightning.data.clips.dataset import ClipDataset
from vos_lightning.data.clips.reading import read_reduced
from vos_lightning.data.clips.sampling import ClipKey, ClipSampling, clip_generator
from vos_lightning.data.layouts.index import VideoRecord
from vos_lightning.data.layouts.names import video_names
from vos_lightning.functional.homography import CORNERS, homography, sampling_grid

# frames of an image's video, enough for any clip
_DURATION = 10_000

# the view covers no more than this share of the picture, so it is read this much larger
_VIEW = 0.7

# largest motion of a whole clip, as a share of half the picture
_LONGEST = 0.5


class ImageClips(ClipDataset):
    """Clips filmed from still images; items as those of `ClipDataset`.

    Args:
        images: picture files.
        root: names are relative to this.
        sampling: length and gaps; a gap makes for more motion.
        size: side of the square frames, in pixels.
        clips_per_image: clips of each image per epoch.
        seed: of all draws.
        motion: strength of the motion per frame, see `camera_path`.
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

    def _draw(self, key: ClipKey, video: VideoRecord) -> ClipItem:
        generator = clip_generator(self.seed, key)
        steps = self.sampling.indices(video.num_frames, video.fps, generator)
        image = read_reduced(Path(video.path), round(self.size / _VIEW))
        return {
            "frames": moving_image(image, steps, self.size, self.motion, generator),
            "sequence": video.name,
            "seed": int(torch.randint(2**62, (), generator=generator)),
        }


def camera_path(times: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Corners of the view over time, in coordinates of the picture (-1 to 1).

    Args:
        times: of the frames, (T,), in frames, 0 first.
        strength: largest shift, turn (in radians) and growth per frame, as a share of half the picture; 0 stands still.
            Long clips move more slowly, so that they stay in the picture.
        generator: source of the path.

    Returns:
        Corners (T, 4, 2) in the order of a unit square, float64.
    """
    draws = 2 * torch.rand(23, generator=generator, dtype=torch.float64) - 1
    zoom, turn, growth, place, shift = draws[0], draws[1], draws[2], draws[3:5], draws[5:7]
    tilt, bend = draws[7:15].view(4, 2), draws[15:23].view(4, 2)
    reach = 0.7 + 0.15 * zoom
    times = times.double()
    pace = strength * min(1.0, _LONGEST / max(1e-9, strength * float(times.max())))
    angle = (pace * turn * times)[:, None]
    x, y = CORNERS.T * reach
    turned = torch.stack((angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y), -1)
    moved = (shift + 0.3 * bend) * pace * times[:, None, None]
    return 0.6 * (1 - reach) * place + turned * (1 + pace * growth * times[:, None, None]) + 2 * strength * tilt + moved


def moving_image(
    image: npt.NDArray[np.uint8], steps: Sequence[int], size: int, strength: float, generator: torch.Generator
) -> torch.Tensor:
    """Film a still image.

    Args:
        image: RGB (H, W, 3).
        steps: times of the clip's frames, in frames, increasing.
        size: side of the frames that come out, in pixels.
        strength: motion per frame, see `camera_path`.
        generator: source of the path and of the light.

    Returns:
        uint8 (T, 3, size, size).
    """
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    height, width = picture.shape[1:]
    times = torch.tensor([step - steps[0] for step in steps], dtype=torch.float64)
    corners = camera_path(times, strength, generator)
    # a square view of the shorter side, anywhere along the longer one: pixels stay square
    share = torch.tensor([min(1.0, height / width), min(1.0, width / height)], dtype=torch.float64)
    corners = corners * share + (1 - share) * (2 * torch.rand(2, generator=generator, dtype=torch.float64) - 1)
    matrices = homography(CORNERS, corners)
    where = sampling_grid(matrices, (size, size)).float()
    frames = F.grid_sample(
        picture.expand(len(steps), -1, -1, -1), where, padding_mode="reflection", align_corners=False
    )
    light = 2 * torch.rand(4, generator=generator, dtype=torch.float64) - 1
    gains = 1 + times[:, None] * (0.02 * light[0] + 0.01 * light[1:])
    frames = frames * gains.clamp(0.6, 1.6).float()[:, :, None, None]
    return frames.clamp(0, 255).round().to(torch.uint8)
