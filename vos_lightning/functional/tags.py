"""Tags: one number in [0, 1] per pixel, alike within the cutout and apart from the rest (CT-VOS §3.2)."""

import torch
from torch import Tensor

from vos_lightning.functional.random_streams import Stream, uniform_draws


def sample_tags(tags: Tensor, cutouts: Tensor, seeds: Tensor, count: int = 256) -> tuple[Tensor, Tensor]:
    """Tags of random pixels in the cutout and out of it, drawn with repetition.

    Args:
        tags: in [0, 1], (B, 1, H, W).
        cutouts: True in the cutout, (B, H, W); neither group of any clip may be empty.
        seeds: one per clip, (B,) int64: the draw belongs to the clip.
        count: pixels of each group, M; the paper doesn't tell its number.

    Returns:
        Tags in the cutout and tags of the rest, float32 (B, M) each.
    """
    flat, lost = tags.float().flatten(1), cutouts.flatten(1)
    draws = uniform_draws(seeds, 2 * count, Stream.TAGS).to(tags.device).unflatten(1, (2, count))
    # the pixels of the cutout come first, those of the rest last
    order = lost.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    number = lost.sum(1, keepdim=True)
    within = (draws[:, 0] * number).long()
    beyond = number + (draws[:, 1] * (lost.shape[1] - number)).long()
    return flat.gather(1, order.gather(1, within)), flat.gather(1, order.gather(1, beyond))
