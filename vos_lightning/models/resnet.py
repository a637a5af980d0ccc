"""Residual blocks and stages (He et al., CVPR 2016), shared by all networks of the project."""

from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution without bias, for use before a normalisation."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; (B, in_channels, H, W) -> (B, channels, H / stride, W / stride)."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv3x3(in_channels, channels, stride),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv3x3(channels, channels),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = _shortcut(in_channels, channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return out


def make_stage(block: type[BasicBlock], in_channels: int, channels: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """A residual stage; its first block strides and changes the number of channels."""
    out_channels = channels * block.expansion
    rest = (block(out_channels, channels) for _ in range(blocks - 1))
    return nn.Sequential(block(in_channels, channels, stride), *rest)


def initialise(module: nn.Module) -> None:
    """He initialisation of the convolutions below `module`; normalisations start as the identity."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
            if child.bias is not None:
                nn.init.zeros_(child.bias)
