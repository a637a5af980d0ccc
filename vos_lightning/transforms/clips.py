"""Random crop, flips and colour jitter of clips on the device: drawn once per clip, equal on all its frames."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vos_lightning.errors import VOSError
from vos_lightning.functional.random_streams import Stream, uniform_draws
from vos_lightning.transforms.photometric import jitter_colours


@dataclass(frozen=True)
class ClipAugmentation:
    """What is done to a training clip between the worker and the network.

    Args:
        crop_size: side of the square that comes out, in pixels.
        crop_scale: smallest and largest share of the frame's area that a crop covers.
        crop_ratio: smallest and largest width over height of a crop.
        horizontal_flip: probability that a clip is mirrored.
        temporal_flip: probability that a clip runs backwards.
        colour_jitter: probability that a clip's colours are changed.
        brightness: largest relative change of brightness.
        contrast: largest relative change of contrast.
        saturation: largest relative change of saturation.
        hue: largest rotation of hue, in turns.
    """

    crop_size: int = 256
    crop_scale: tuple[float, float] = (0.5, 1.0)
    crop_ratio: tuple[float, float] = (0.8, 1.25)
    horizontal_flip: float = 0.5
    temporal_flip: float = 0.0
    colour_jitter: float = 0.0
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    hue: float = 0.05

    def __post_init__(self) -> None:
        """Validate the ranges."""
        for name in ("crop_scale", "crop_ratio"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name == "crop_scale" and high > 1):
                raise VOSError(f"{name}={low, high}: need 0 < low <= high{' <= 1' if name == 'crop_scale' else ''}")
        for name in ("horizontal_flip", "temporal_flip", "colour_jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise VOSError(f"{name}={getattr(self, name)}: a probability lies in [0, 1]")
        if self.crop_size < 1:
            raise VOSError(f"crop_size={self.crop_size}: need at least one pixel")

    def __call__(self, frames: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
        """Transform clips; a clip's transform depends on its seed alone, not on its place in the batch or the device.

        Args:
            frames: uint8 RGB (B, T, 3, H, W), on any device.
            seeds: int64 (B,), on the CPU.

        Returns:
            float32 RGB in [0, 1], (B, T, 3, crop_size, crop_size), on the device of `frames`.
        """
        draws = uniform_draws(seeds, 11, Stream.AUGMENTATION)
        clips = torch.stack([self._geometry(clip, draw) for clip, draw in zip(frames, draws.tolist(), strict=True)])
        changed = draws[:, 6] < self.colour_jitter
        if not changed.any():
            return clips
        ranges = torch.tensor((self.brightness, self.contrast, self.saturation, self.hue))
        factors = (2 * draws[:, 7:11] - 1) * ranges * changed[:, None] + torch.tensor((1.0, 1.0, 1.0, 0.0))
        brightness, contrast, saturation, hue = factors.to(clips.device, non_blocking=True).unbind(1)
        return jitter_colours(clips, brightness, contrast, saturation, hue)

    def _geometry(self, clip: torch.Tensor, draw: list[float]) -> torch.Tensor:
        scale, ratio, down, right, mirror, reverse = draw[:6]
        height, width = clip.shape[-2:]
        low, high = self.crop_scale
        area = (low + scale * (high - low)) * height * width
        narrow, wide = self.crop_ratio
        aspect = math.exp(math.log(narrow) + ratio * (math.log(wide) - math.log(narrow)))
        crop_height = min(height, max(1, round(math.sqrt(area / aspect))))
        crop_width = min(width, max(1, round(math.sqrt(area * aspect))))
        top, left = int(down * (height - crop_height + 1)), int(right * (width - crop_width + 1))
        clip = clip[..., top : top + crop_height, left : left + crop_width].float() / 255
        if (crop_height, crop_width) != (self.crop_size, self.crop_size):
            size = (self.crop_size, self.crop_size)
            clip = F.interpolate(clip, size=size, mode="bilinear", antialias=True).clamp(0, 1)
        clip = clip.flip(-1) if mirror < self.horizontal_flip else clip
        return clip.flip(0) if reverse < self.temporal_flip else clip
