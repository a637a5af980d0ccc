"""The network of CT-VOS: reconstructs a frame, cutout included, out of what it reads from earlier ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.functional.attention import local_attention
from vos_lightning.models.resnet import BasicBlock, ResNetTrunk, initialise, make_stage

# pixels: the ResNet strides four times, whatever the stride of its output
INPUT_MULTIPLE = 16


class FeatureEncoder(nn.Module):
    """A ResNet up to res4 and a 3×3 convolution to the wanted dimension (CT-VOS §3.1).

    Args:
        channels: of the features.
        depth: of the ResNet, 18 or 50.
        width: multiplies its channels.
        output_stride: of the features, 16, 8 or 4.
        normalize: scale each feature vector to length 1.
    """

    def __init__(self, channels: int, depth: int, width: float, output_stride: int, normalize: bool = False) -> None:
        super().__init__()
        self.normalize = normalize
        self.trunk = ResNetTrunk(depth, width, output_stride)
        self.head = nn.Conv2d(self.trunk.channels, channels, 3, padding=1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) with H and W multiples of 16 -> (N, channels, H / output_stride, W / output_stride)."""
        images = images.to(dtype=self.head.weight.dtype, memory_format=torch.channels_last)
        features: Tensor = self.head(self.trunk(images))
        return F.normalize(features.float(), dim=1) if self.normalize else features


class Decoder(nn.Module):
    """Read-out -> image of three channels and tags; sees nothing but the read-out.

    Any other path from the current frame would leak what is to be reconstructed, and paint colours instead of masks in
    inference; so there are no skip connections.

    Args:
        in_channels: of the read-out.
        stride: of the read-out, 16, 8 or 4.
        width: multiplies the channels, which are 256 at 1/16 and halve as the resolution doubles.
    """

    def __init__(self, in_channels: int, stride: int, width: float) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        while stride > 1:
            channels = max(16, int(16 * stride * width))
            stages += [make_stage(BasicBlock, in_channels, channels, 1)]
            stride //= 2
            if stride > 1:
                stages += [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)]
            in_channels = channels
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.Conv2d(in_channels, 16, 3, padding=1), nn.PixelShuffle(2))
        initialise(self)

    def forward(self, readout: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, h, w) -> reconstruction (N, 3, H, W) and tags in [0, 1] (N, 1, H, W), float32."""
        output = self.head(self.stages(readout.to(next(self.parameters()).dtype))).float()
        return output[:, :3], output[:, 3:].sigmoid()


class CutoutTagging(nn.Module):
    """Enc_cur, Enc_key, Enc_val and the decoder of CT-VOS (Fig. 2).

    Args:
        depth: of the three ResNets, 18 or 50.
        width: multiplies their channels and the decoder's; 1.0 is the paper's.
        output_stride: of the features; 16 is the paper's.
        key_dim: of queries and keys.
        value_dim: of values.
        normalize: scale queries and keys to length 1; the paper has raw dot products.
        temperature: divides the similarities.
    """

    def __init__(
        self,
        depth: int = 18,
        width: float = 1.0,
        output_stride: int = 16,
        key_dim: int = 128,
        value_dim: int = 256,
        normalize: bool = True,
        temperature: float = 0.05,
    ) -> None:
        super().__init__()
        self.stride = output_stride
        self.temperature = temperature
        self.query_encoder = FeatureEncoder(key_dim, depth, width, output_stride, normalize)
        self.key_encoder = FeatureEncoder(key_dim, depth, width, output_stride, normalize)
        # equal at first: what looks alike then is alike, and the read-out finds something from the first step on
        self.key_encoder.load_state_dict(self.query_encoder.state_dict())
        self.value_encoder = FeatureEncoder(value_dim, depth, width, output_stride)
        self.decoder = Decoder(value_dim, output_stride, width)

    def forward(self, current: Tensor, past: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruct the current frame as the values show it.

        Args:
            current: Lab in [-1, 1], (B, 3, H, W) with H and W multiples of 16.
            past: frames that it is compared with, (B, R, 3, H, W).
            values: the same frames as they are to be copied: with a cutout in training, masks in inference,
                (B, R, 3, H, W).

        Returns:
            Reconstruction (B, 3, H, W) and tags in [0, 1] (B, 1, H, W), float32.
        """
        batch = current.shape[0]
        query = self.query_encoder(current)
        keys = self.key_encoder(past.flatten(0, 1)).unflatten(0, (batch, -1))
        copied = self.value_encoder(values.flatten(0, 1)).unflatten(0, (batch, -1)).float()
        read = local_attention(query, keys, copied, radius=None, temperature=self.temperature)
        reconstruction, tags = self.decoder(read)
        return reconstruction, tags
