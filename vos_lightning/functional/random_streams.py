"""Random numbers that belong to a clip: the same in any batch, on any rank, before and after a resume."""

from enum import IntEnum

import torch
from torch import Tensor


class Stream(IntEnum):
    """What numbers are drawn for: the streams of one seed differ from one another.

    The values are part of every result that has a seed, and must not change.
    """

    AUGMENTATION = 0
    ZOOM = 1
    CUTOUT = 2
    TAGS = 3
    LABELS = 4


def uniform_draws(seeds: Tensor, count: int, stream: Stream) -> Tensor:
    """Uniform numbers in [0, 1) of each clip.

    Args:
        seeds: one per clip, (B,) int64, non-negative.
        count: numbers per clip.
        stream: what they are for.

    Returns:
        float32 (B, count), on the CPU.
    """
    generator = torch.Generator()
    return torch.stack([torch.rand(count, generator=generator.manual_seed(seed ^ stream)) for seed in seeds.tolist()])
