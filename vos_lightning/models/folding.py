"""Copies of networks for inference: fewer operations, the same results but for rounding."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def inference_copy(network: Network, device: torch.device, dtype: torch.dtype) -> Network:
    """A copy in evaluation mode, channels last, whose batch norms are part of the convolutions before them.

    Args:
        network: stays as it is.
        device: of the copy.
        dtype: of the copy's weights.
    """
    copied = deepcopy(network).eval().requires_grad_(False)
    for layers in copied.modules():
        if isinstance(layers, nn.Sequential):
            for i in range(len(layers) - 1, 0, -1):
                convolution, norm = layers[i - 1], layers[i]
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    layers[i - 1] = fuse_conv_bn_eval(convolution, norm)
                    del layers[i]
    moved: Network = copied.to(device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
