"""Learned features side by side with colours: they fail in different places."""

import torch
from torch import Tensor, nn

from vos_lightning.models.lab_patches import LabPatches

# Lab is scaled by its range, and chroma seldom fills its own: /50 like L tracks better than /127 (measured).
CHROMA_GAIN = 127 / 50


class ColourMix(nn.Module):
    """An encoder's features of length 1, joined with Lab patches of length 1, so that similarities mix.

    Args:
        encoder: Lab frames (B, 3, H, W) -> features (B, D, H / 4, W / 4), each of length 1.
        weight: of the colours' similarity in the sum, in [0, 1); the encoder's is the rest.
    """

    stride = LabPatches.stride

    def __init__(self, encoder: nn.Module, weight: float) -> None:
        super().__init__()
        self.encoder, self.weight = encoder, weight
        self.patches = LabPatches()

    def forward(self, lab: Tensor) -> Tensor:
        """Lab in [-1, 1], (B, 3, H, W) -> features (B, D + 27, H / 4, W / 4)."""
        gain = torch.tensor([1.0, CHROMA_GAIN, CHROMA_GAIN], device=lab.device).view(3, 1, 1)
        colours: Tensor = self.patches(lab * gain)
        features: Tensor = self.encoder(lab)
        return torch.cat([features.float() * (1 - self.weight) ** 0.5, colours * self.weight**0.5], dim=1)
