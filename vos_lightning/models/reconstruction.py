"""The reconstruction model of SSVOS: an encoder whose features say which pixels of other frames to copy."""

import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.functional.attention import local_attention
from vos_lightning.models.resnet import BasicBlock, initialise, make_stage


class ReconstructionEncoder(nn.Module):
    """ResNet-18 with fewer channels and strides (SSVOS §4.1, MAST): features at 1/4 of the input.

    Args:
        width: multiplies the channels; 1.0 is the paper's 64-128-256-256, 0.5 a model for CPUs.
        feature_dim: D.
        normalize: scale each feature vector to length 1.
    """

    stride = 4
    # what it learns from has lost a chroma channel
    behind_bottleneck = True

    def __init__(self, width: float = 1.0, feature_dim: int = 64, normalize: bool = True) -> None:
        super().__init__()
        c64, c128, c256 = (max(8, int(channels * width)) for channels in (64, 128, 256))
        self.normalize = normalize
        self.stem = nn.Sequential(
            nn.Conv2d(3, c64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(c64),
            nn.ReLU(inplace=True),
        )
        self.stages = nn.Sequential(
            make_stage(BasicBlock, c64, c64, 2),
            make_stage(BasicBlock, c64, c128, 2, stride=2),
            make_stage(BasicBlock, c128, c256, 2),
            make_stage(BasicBlock, c256, c256, 2),
        )
        self.head = nn.Conv2d(c256, feature_dim, 3, padding=1)
        initialise(self)

    def forward(self, lab: Tensor) -> Tensor:
        """Lab in [-1, 1], (B, 3, H, W) with H and W multiples of 4, -> features (B, D, H / 4, W / 4)."""
        features: Tensor = self.head(self.stages(self.stem(lab.to(self.head.weight.dtype))))
        return F.normalize(features.float(), dim=1) if self.normalize else features


def downsample(images: Tensor, stride: int) -> Tensor:
    """Average over cells: (..., H, W) -> (..., H / stride, W / stride).

    The counterpart of bilinear upsampling without aligned corners: there and back shifts nothing.
    """
    cells: Tensor = images.unflatten(-1, (-1, stride)).unflatten(-3, (-1, stride))
    return cells.mean((-3, -1))


def reconstruct(
    query: Tensor,
    keys: Tensor,
    colours: Tensor,
    radius: int,
    temperature: float,
    stride: int = ReconstructionEncoder.stride,
) -> Tensor:
    """Copy the references' colours to where the features say (SSVOS eqs. 1 and 6).

    Args:
        query: features of the query frame, (B, D, h, w).
        keys: features of the reference frames, (B, R, D, h, w).
        colours: of the reference frames at full size, (B, R, C, H, W).
        radius: of the window, in feature positions.
        temperature: of the softmax.
        stride: H / h.

    Returns:
        The query frame's reconstruction at full size, (B, C, H, W).
    """
    readout = local_attention(query, keys, downsample(colours, stride), radius, temperature=temperature)
    return F.interpolate(readout, scale_factor=stride, mode="bilinear", align_corners=False)
