"""The network of CT-VOS: reconstructs a frame, cutout included, out of what it reads from earlier ones."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vos_lightning.functional.attention import local_attention
from vos_lightning.models.reconstruction import ReconstructionEncoder, downsample
from vos_lightning.models.resnet import BasicBlock, ResNetTrunk, initialise, make_stage

# pixels: the ResNet strides four times, whatever the stride of its output
INPUT_MULTIPLE = 16


@dataclass(frozen=True)
class MatchingSettings:
    """How the current frame is compared with past ones.

    Args:
        encoder: of queries and keys: "resnet", as that of values, or "mast", MAST's, which has features
            at 1/4 without dilation.
        width: multiplies the channels of MAST's encoder.
        shared: one encoder for queries and keys, as in SSVOS; the paper has one for each, which find each other late.
        normalize: scale queries and keys to length 1; the paper has raw dot products.
        temperature: divides the similarities, in training and inference; 1.0 with raw dot products.
        radius: of the window in training, in feature positions; None is the whole frame, as in the paper.
        topk: similar positions that take part in training; None for all, as in the paper.
        bottleneck: compare frames that have lost a chroma channel in training, see `drop_chroma`.
        learning_rate: of these encoders; None is that of the rest, 0 freezes them, statistics included.
    """

    encoder: Literal["resnet", "mast"] = "resnet"
    width: float = 0.5
    shared: bool = False
    normalize: bool = True
    temperature: float = 0.05
    radius: int | None = None
    topk: int | None = None
    bottleneck: bool = False
    learning_rate: float | None = None


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
        self.stride, self.normalize = output_stride, normalize
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
        silent: start with an image of zeros.
    """

    def __init__(self, in_channels: int, stride: int, width: float, silent: bool = False) -> None:
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
        last = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.head = nn.Sequential(last, nn.PixelShuffle(2))
        initialise(self)
        if silent:
            nn.init.zeros_(last.weight[:12])

    def forward(self, readout: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, h, w) -> image (N, 3, H, W) and tags in [0, 1] (N, 1, H, W), float32."""
        output = self.head(self.stages(readout.to(next(self.parameters()).dtype))).float()
        return output[:, :3], output[:, 3:].sigmoid()


class CutoutTagging(nn.Module):
    """Enc_cur, Enc_key, Enc_val and the decoder of CT-VOS (Fig. 2).

    Args:
        depth: of the ResNets, 18 or 50.
        width: multiplies their channels and the decoder's; 1.0 is the paper's.
        output_stride: of the features; 16 is the paper's.
        key_dim: of queries and keys.
        value_dim: of values.
        matching: how queries and keys come about and are compared.
        copy: read the values' own channels, averaged over the cells of the features, beside their features, and let the
            decoder add to them; in the paper it paints all by itself.

    Raises:
        ValueError: a depth or stride that there is no ResNet of, or MAST's encoder at another stride than 4.
    """

    def __init__(
        self,
        depth: int = 18,
        width: float = 1.0,
        output_stride: int = 16,
        key_dim: int = 128,
        value_dim: int = 256,
        matching: MatchingSettings = MatchingSettings(),
        copy: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.copy = output_stride, copy
        self.temperature, self.radius, self.topk = matching.temperature, matching.radius, matching.topk

        def encoder() -> nn.Module:
            if matching.encoder == "mast":
                return ReconstructionEncoder(matching.width, key_dim, matching.normalize)
            return FeatureEncoder(key_dim, depth, width, output_stride, matching.normalize)

        if matching.encoder == "mast" and output_stride != ReconstructionEncoder.stride:
            raise ValueError(f"output_stride is {output_stride}; MAST's encoder has {ReconstructionEncoder.stride}")
        self.query_encoder = encoder()
        self.key_encoder = self.query_encoder if matching.shared else encoder()
        # equal at first: what looks alike then is alike, and the read-out finds something from the first step on
        self.key_encoder.load_state_dict(self.query_encoder.state_dict())
        self.value_encoder = FeatureEncoder(value_dim, depth, width, output_stride)
        self.decoder = Decoder(value_dim + 3 * copy, output_stride, width, silent=copy)

    def forward(
        self, current: Tensor, past: Tensor, values: Tensor, detach_tags: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct the current frame as the values show it.

        Args:
            current: Lab in [-1, 1], (B, 3, H, W) with H and W multiples of 16.
            past: frames that it is compared with, (B, R, 3, H, W).
            values: the same frames as they are to be copied: with a cutout in training, masks in inference,
                (B, R, 3, H, W).
            detach_tags: let no gradient of the tags reach the encoders of queries and keys.

        Returns:
            Reconstruction (B, 3, H, W) and tags in [0, 1] (B, 1, H, W), float32.
        """
        batch = current.shape[0]
        query = self.query_encoder(current)
        keys = self.key_encoder(past.flatten(0, 1)).unflatten(0, (batch, -1))
        stored = self.stored(values.flatten(0, 1)).unflatten(0, (batch, -1))
        reconstruction, tags = self.decode(self._read(query, keys, stored))
        if detach_tags and query.requires_grad:
            _, tags = self.decode(self._read(query.detach(), keys.detach(), stored))
        return reconstruction, tags

    def stored(self, values: Tensor) -> Tensor:
        """What can be read of values (N, 3, H, W): (N, C, h, w), float32, with `copy` their own three channels last."""
        features: Tensor = self.value_encoder(values).float()
        return torch.cat([features, downsample(values, self.stride).float()], dim=1) if self.copy else features

    def decode(self, read: Tensor) -> tuple[Tensor, Tensor]:
        """What was read (N, C, h, w) -> image (N, 3, H, W) and tags in [0, 1] (N, 1, H, W), float32."""
        image, tags = self.decoder(read)
        if not self.copy:
            return image, tags
        copied = F.interpolate(read[:, -3:], scale_factor=self.stride, mode="bilinear", align_corners=False)
        return image + copied, tags

    def _read(self, query: Tensor, keys: Tensor, stored: Tensor) -> Tensor:
        return local_attention(query, keys, stored, self.radius, topk=self.topk, temperature=self.temperature)
