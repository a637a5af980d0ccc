"""Random numbers that belong to a clip."""

import torch


def uniform_draws(seeds: torch.Tensor, count: int, tag: int = 0) -> torch.Tensor:
    """Uniform numbers in [0, 1) of each clip.

    Args:
        seeds: int64 (B,), non-negative, on the CPU.
        count: numbers per clip.
        tag: another tag gives other numbers from the same seed.

    Returns:
        float32 (B, count), on the CPU.
    """
    generator = torch.Generator()
    return torch.stack([torch.rand(count, generator=generator.manual_seed(seed ^ tag)) for seed in seeds.tolist()])
