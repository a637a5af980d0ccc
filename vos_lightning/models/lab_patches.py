"""The tracker that learned nothing: 3×3 patches of Lab colours as features. Training must beat it."""

import torch.nn.functional as F
from torch import Tensor, nn


class LabPatches(nn.Module):
    """An encoder without parameters: each position's 3×3 neighbourhood at 1/4 of the size, scaled to length 1."""

    stride = 4

    def forward(self, lab: Tensor) -> Tensor:
        """Lab in [-1, 1], (B, 3, H, W) with H and W multiples of 4, -> features (B, 27, H / 4, W / 4)."""
        small = F.avg_pool2d(lab, self.stride)
        padded = F.pad(small, (1, 1, 1, 1), mode="replicate")
        patches = F.unfold(padded, 3).view(len(lab), 27, *small.shape[-2:])
        return F.normalize(patches, dim=1)
