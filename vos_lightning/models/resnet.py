"""Residual blocks and stages (He et al., CVPR 2016), shared by all networks of the project."""

from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3×3 convolution without bias, for use before a normalisation."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
        nn.BatchNorm2d(out_channels),
    )


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; (B, in_channels, H, W) -> (B, channels, H / stride, W / stride).

    Args:
        in_channels: of the input.
        channels: of the output.
        stride: of the first convolution.
        dilation: of the first and of the second convolution.
    """

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dilation: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv3x3(in_channels, channels, stride, dilation[0]),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv3x3(channels, channels, dilation=dilation[1]),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = _shortcut(in_channels, channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return out


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut, for deep networks; four times `channels` come out.

    Args:
        in_channels: of the input.
        channels: of the 3×3 convolution.
        stride: of the 3×3 convolution.
        dilation: of the 3×3 convolution, the first number; the second one is `BasicBlock`'s.
    """

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1, dilation: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.branch = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            conv3x3(channels, channels, stride, dilation[0]),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.relu(self.branch(x) + self.shortcut(x))
        return out


Block = type[BasicBlock] | type[Bottleneck]


def make_stage(
    block: Block, in_channels: int, channels: int, blocks: int, stride: int = 1, dilation: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """A residual stage; its first block strides and changes the number of channels.

    Args:
        block: what it is made of.
        in_channels: of the input.
        channels: of the blocks.
        blocks: how many.
        stride: of the first block.
        dilation: before and after the place of the stride: (1, 2) with stride 1 gives the features of stride 2 at
            every position rather than at every other one.
    """
    out_channels = channels * block.expansion
    rest = (block(out_channels, channels, 1, (dilation[1], dilation[1])) for _ in range(blocks - 1))
    return nn.Sequential(block(in_channels, channels, stride, dilation), *rest)


class ResNetTrunk(nn.Module):
    """ResNet-18 or ResNet-50 from the stem to res4, without the last stage.

    Args:
        depth: 18 or 50.
        width: multiplies the channels.
        output_stride: 16; 8 and 4 dilate res4 (and res3) instead of striding, which gives the same features at more
            positions.

    Attributes:
        channels: of the features.

    Raises:
        ValueError: another depth or stride.
    """

    def __init__(self, depth: int = 18, width: float = 1.0, output_stride: int = 16) -> None:
        super().__init__()
        if depth not in _TRUNKS:
            raise ValueError(f"depth is {depth}, expected one of {sorted(_TRUNKS)}")
        if output_stride not in (4, 8, 16):
            raise ValueError(f"output_stride is {output_stride}, expected 4, 8 or 16")
        block, blocks = _TRUNKS[depth]
        channels = [max(8, int(count * width)) for count in (64, 128, 256)]
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        stages, inner, stride, dilation = [], channels[0], 4, 1
        for stage, count in enumerate(blocks):
            before, step = dilation, 1
            if stage > 0 and stride < output_stride:
                stride, step = stride * 2, 2
            elif stage > 0:
                dilation *= 2
            stages.append(make_stage(block, inner, channels[stage], count, step, (before, dilation)))
            inner = channels[stage] * block.expansion
        self.stages = nn.Sequential(*stages)
        self.channels = inner

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) with H and W multiples of 16 -> (B, channels, H / output_stride, W / output_stride)."""
        out: Tensor = self.stages(self.stem(x))
        return out


_TRUNKS: dict[int, tuple[Block, tuple[int, int, int]]] = {18: (BasicBlock, (2, 2, 2)), 50: (Bottleneck, (3, 4, 6))}


def initialise(module: nn.Module) -> None:
    """He initialisation of the convolutions below `module`; normalisations start as the identity."""
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
            if child.bias is not None:
                nn.init.zeros_(child.bias)
