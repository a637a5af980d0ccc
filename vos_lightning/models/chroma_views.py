"""Features of a frame as its encoder has learned to see it: without one of its chroma channels, each in turn."""

import torch
from torch import Tensor, nn

# Lab as `drop_chroma` leaves it, without a and without b.
_VIEWS = ((1.5, 0.0, 1.5), (1.5, 1.5, 0.0))


class ChromaViews(nn.Module):
    """An encoder's features of a frame without a, beside those of the frame without b.

    Behind the bottleneck of SSVOS eq. 1 an encoder never sees all of Lab while it learns. Similarities of these
    features are the mean of those of the two views.

    Args:
        encoder: Lab frames (B, 3, H, W) -> features (B, D, H / stride, W / stride), with attributes `stride` and
            `normalize`.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.stride, self.normalize = encoder.stride, encoder.normalize

    def forward(self, lab: Tensor) -> Tensor:
        """Lab in [-1, 1], (B, 3, H, W) -> features (B, 2 D, H / stride, W / stride)."""
        views = (lab.new_tensor(_VIEWS)[:, None, :, None, None] * lab).flatten(0, 1)
        features: Tensor = self.encoder(views.contiguous(memory_format=torch.channels_last))
        both: Tensor = torch.cat(features.chunk(2), dim=1) * 0.5**0.5
        return both
