"""Tags: one number in [0, 1] per pixel, alike within the cutout and apart from the rest (CT-VOS §3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.functional.draws import uniform_draws

# see `cutout._TAG`
_TAG = 3


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
    draws = uniform_draws(seeds, 2 * count, _TAG).to(tags.device).unflatten(1, (2, count))
    # the pixels of the cutout come first, those of the rest last
    order = lost.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
    number = lost.sum(1, keepdim=True)
    within = (draws[:, 0] * number).long()
    beyond = number + (draws[:, 1] * (lost.shape[1] - number)).long()
    return flat.gather(1, order.gather(1, within)), flat.gather(1, order.gather(1, beyond))


def tag_pull_loss(inside: Tensor) -> Tensor:
    """Variance of the tags of cutout pixels, mean over clips (L_cp; CT-VOS eqs. 4 and 5): (B, M) -> ()."""
    return (inside - inside.mean(1, keepdim=True)).square().mean()


def tag_push_loss(inside: Tensor, outside: Tensor, margin: float = 0.5) -> Tensor:
    """What the mean tags of the two groups lack to be a margin apart, mean over clips (L_rp; CT-VOS eq. 6).

    Args:
        inside: tags of cutout pixels, (B, M).
        outside: tags of other pixels, (B, M).
        margin: G; the paper doesn't tell its value.
    """
    return (margin - (outside.mean(1) - inside.mean(1)).abs()).clamp(min=0).mean()


def tag_bce_loss(inside: Tensor, outside: Tensor) -> Tensor:
    """Binary cross entropy with 0 in the cutout and 1 elsewhere, which the tag losses beat (CT-VOS Table 6).

    Args:
        inside: tags of cutout pixels, (B, M).
        outside: tags of other pixels, (B, M).
    """
    with torch.autocast(inside.device.type, enabled=False):
        tags = torch.cat([inside.float(), outside.float()], dim=1)
        target = torch.cat([torch.zeros_like(inside), torch.ones_like(outside)], dim=1)
        return F.binary_cross_entropy(tags, target.float())
