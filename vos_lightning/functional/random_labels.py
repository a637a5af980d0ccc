"""Two-valued images made of a clip's own colours: labels to follow for a network that has seen no label."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.functional.random_streams import Stream, uniform_draws

# side of the blur in pixels, and how far from the mean the plane may lie, in standard deviations
_BLUR = 5
_EXTREME = 0.8


def label_some(lab: Tensor, seeds: Tensor, share: float) -> Tensor:
    """Replace the colours of some clips by -1 and 1: which side of a random plane in colour space a pixel lies on.

    CT-VOS reads values of -1 and 1 in inference, which colours never are. A network that has learned to copy such
    images too copies masks better. Frames are blurred first, since objects are larger than their texture.

    Args:
        lab: clips, (B, T, 3, H, W).
        seeds: one per clip, (B,) int64: the draw belongs to the clip.
        share: probability that a clip is replaced.

    Returns:
        Clips, (B, T, 3, H, W); the replaced ones have three equal channels.
    """
    draws = uniform_draws(seeds, 5, Stream.LABELS)
    replaced = (draws[:, 0] < share).nonzero().flatten()
    if not len(replaced):
        return lab
    clips, chosen = lab[replaced.to(lab.device)], draws[replaced].to(lab)
    smooth = F.avg_pool2d(clips.flatten(0, 1), _BLUR, 1, _BLUR // 2, count_include_pad=False).view_as(clips)
    centred = smooth - smooth.mean((1, 3, 4), keepdim=True)
    spread = centred.square().mean((1, 3, 4), keepdim=True).sqrt().clamp(min=1e-3)
    height = (centred / spread * (2 * chosen[:, 1:4] - 1)[:, None, :, None, None]).sum(2, keepdim=True)
    deviation = height.square().mean((1, 2, 3, 4)).sqrt()
    level = (2 * chosen[:, 4] - 1) * _EXTREME * deviation
    sides = torch.where(height > level.view(-1, 1, 1, 1, 1), 1.0, -1.0).to(lab.dtype)
    return lab.index_copy(0, replaced.to(lab.device), sides.expand_as(clips))
