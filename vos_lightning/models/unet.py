"""The appearance model of online adaptation: a U-Net on ResNet-18 (Ronneberger et al., MICCAI 2015; SSVOS §4.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.models.resnet import BasicBlock, conv3x3, initialise, make_stage


class UNet(nn.Module):
    """ResNet-18 as encoder, a decoder with skips, K + 1 outputs at full size.

    Args:
        num_classes: K + 1, background first.
        width: multiplies the channels; 1.0 is ResNet-18's 64-128-256-512.
    """

    stride = 32

    def __init__(self, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        c16, c32, c64, c128, c256, c512 = (max(8, int(width * channels)) for channels in (16, 32, 64, 128, 256, 512))
        self.stem = nn.Sequential(
            nn.Conv2d(3, c64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(c64), nn.ReLU(inplace=True)
        )
        first = nn.Sequential(nn.MaxPool2d(3, 2, padding=1), make_stage(BasicBlock, c64, c64, 2))
        steps = ((c64, c128), (c128, c256), (c256, c512))
        deeper = (make_stage(BasicBlock, *channels, 2, stride=2) for channels in steps)
        self.stages = nn.ModuleList([first, *deeper])
        ups = ((c512, c256, c256), (c256, c128, c128), (c128, c64, c64), (c64, c64, c32), (c32, 0, c16))
        self.decoder = nn.ModuleList(UpBlock(*channels) for channels in ups)
        self.head = nn.Conv2d(c16, num_classes, 3, padding=1)
        initialise(self)

    def forward(self, frames: Tensor) -> Tensor:
        """RGB in [-1, 1], (B, 3, H, W) with H and W multiples of 32, -> logits (B, K + 1, H, W)."""
        x = self.stem(frames)
        skips = [x]
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        skips.pop()
        for block in self.decoder:
            x = block(x, skips.pop() if skips else None)
        logits: Tensor = self.head(x)
        return logits

    def add_classes(self, count: int) -> None:
        """Append outputs for objects that enter later; what was learned stays."""
        old = self.head
        head = nn.Conv2d(old.in_channels, old.out_channels + count, 3, padding=1)
        initialise(head)
        head.to(old.weight.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            head.weight[: old.out_channels] = old.weight
            if old.bias is not None and head.bias is not None:
                head.bias[: old.out_channels] = old.bias
        self.head = head


class UpBlock(nn.Module):
    """Twice the size by nearest neighbour, the skip beside it, two 3×3 convolutions.

    Args:
        in_channels: of what comes from below.
        skip_channels: of the encoder's features at the doubled size, 0 where there are none.
        channels: that come out.
    """

    def __init__(self, in_channels: int, skip_channels: int, channels: int) -> None:
        super().__init__()
        layers = [
            (conv3x3(given, channels), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
            for given in (in_channels + skip_channels, channels)
        ]
        self.convolutions = nn.Sequential(*layers[0], *layers[1])

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """(B, in_channels, H, W) and (B, skip_channels, 2H, 2W) -> (B, channels, 2H, 2W)."""
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        out: Tensor = self.convolutions(x if skip is None else torch.cat([x, skip], dim=1))
        return out
