"""Lab colours in [-1, 1], and the information bottleneck that makes matching features worth learning."""

import kornia.color
import torch
from torch import Tensor

# MAST's scaling: L in [0, 100], a and b in about [-127, 127].
_SHIFT = (50.0, 0.0, 0.0)
_SCALE = (50.0, 127.0, 127.0)


def _constants(like: Tensor) -> tuple[Tensor, Tensor]:
    shift, scale = (torch.tensor(c, device=like.device, dtype=like.dtype).view(3, 1, 1) for c in (_SHIFT, _SCALE))
    return shift, scale


def rgb_to_lab(frames: Tensor) -> Tensor:
    """RGB to Lab, each channel scaled to [-1, 1].

    In float32 whatever the autocast state: under bfloat16 the chroma would be off by up to 2.8 of its 255 steps.

    Args:
        frames: RGB in [0, 1], (..., 3, H, W).

    Returns:
        (L - 50) / 50, a / 127, b / 127 as float32, same shape.
    """
    with torch.autocast(frames.device.type, enabled=False):
        lab: Tensor = kornia.color.rgb_to_lab(frames.float())
        shift, scale = _constants(lab)
        return (lab - shift) / scale


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Inverse of `rgb_to_lab`, clamped to [0, 1]."""
    with torch.autocast(lab.device.type, enabled=False):
        shift, scale = _constants(lab.float())
        rgb: Tensor = kornia.color.lab_to_rgb(lab.float() * scale + shift)
        return rgb.clamp(0, 1)


def draw_dropped_chroma(seeds: Tensor) -> Tensor:
    """Which of a (1) and b (2) each clip loses, each with probability 0.5.

    Args:
        seeds: one per clip, (B,) int64: the draw belongs to the clip, whichever batch, rank or run it comes in.

    Returns:
        (B,) int64 on the CPU.
    """
    draws = [torch.randint(1, 3, (1,), generator=torch.Generator().manual_seed(seed)) for seed in seeds.tolist()]
    return torch.cat(draws)


def drop_chroma(lab: Tensor, dropped: Tensor) -> Tensor:
    """Set one chroma channel per clip to zero, in all of its frames alike, and scale the rest by 3/2.

    The bottleneck g of SSVOS eq. 1 as MAST's code has it: exactly one of a and b, never L. Without it the network would
    match colours rather than learn features.

    Args:
        lab: clips, (B, T, 3, H, W).
        dropped: index of the lost channel, (B,), 1 or 2.

    Returns:
        (B, T, 3, H, W).
    """
    kept = torch.full((len(dropped), 3), 1.5, dtype=lab.dtype)
    kept[torch.arange(len(dropped)), dropped.cpu()] = 0
    return lab * kept.to(lab.device).view(-1, 1, 3, 1, 1)


def take_channel(lab: Tensor, channel: Tensor) -> Tensor:
    """One channel per clip: (B, T, 3, H, W) and (B,) -> (B, T, 1, H, W)."""
    return lab[torch.arange(len(channel)), :, channel.cpu()].unsqueeze(2)
