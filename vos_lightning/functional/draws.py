"""Random numbers that belong to a clip: the same in any batch, on any rank, before and after a resume."""

import torch
from torch import Tensor


def uniform_draws(seeds: Tensor, count: int, tag: int = 0) -> Tensor:
    """Uniform numbers in [0, 1) of each clip.

    Args:
        seeds: one per clip, (B,) int64, non-negative.
        count: numbers per clip.
        tag: another tag gives other numbers from the same seed.

    Returns:
        float32 (B, count), on the CPU.
    """
    generator = torch.Generator()
    return torch.stack([torch.rand(count, generator=generator.manual_seed(seed ^ tag)) for seed in seeds.tolist()])
