"""Coarse probabilities redrawn at full size along the contours of the frame."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Lab in [-1, 1] as `colour.rgb_to_lab` scales it, to hundredths of L, a and b.
_GUIDE_SCALE = (0.5, 1.27, 1.27)


class GuidedUpsampler:
    """The guided filter of one frame (He, Sun, Tang, TPAMI 2013, eqs. 5, 6, 8 and 19), fitted on a coarse grid.

    Around each cell of the grid the probabilities are taken for a linear function of the frame's colours; these
    functions, interpolated, are then applied to the colours at full size. What takes three channels of colours is
    prepared once and serves all objects of the frame.

    Args:
        lab: the frame, Lab in [-1, 1], (1, 3, H, W) with H and W multiples of the stride.
        stride: H / h.
        radius: of the boxes in which functions are fitted, in cells.
        eps: regularises the fit; variances of colours below it count as flat, in squares of hundredths of Lab's unit.
    """

    def __init__(self, lab: Tensor, stride: int, radius: int = 2, eps: float = 3e-4) -> None:
        self._radius, self._stride = radius, stride
        self._full = lab[0] * lab.new_tensor(_GUIDE_SCALE).view(3, 1, 1)
        self._guide = F.avg_pool2d(self._full[None], stride)[0]
        self._mean = self._box(self._guide)
        products = self._guide[:, None] * self._guide  # (3, 3, h, w)
        covariance = self._box(products.flatten(0, 1)).view_as(products) - self._mean[:, None] * self._mean
        covariance.diagonal().add_(eps)
        self._inverse = torch.linalg.inv(covariance.permute(2, 3, 0, 1))  # (h, w, 3, 3)

    def __call__(self, probs: Tensor) -> Tensor:
        """Probabilities at the grid's size -> at the frame's.

        Args:
            probs: (K, h, w).

        Returns:
            (K, H, W); may leave [0, 1] slightly.
        """
        mean = self._box(probs)
        products = (self._guide[None] * probs[:, None]).flatten(0, 1)
        covariance = self._box(products).unflatten(0, (-1, 3)) - self._mean * mean[:, None]  # (K, 3, h, w)
        slope = torch.einsum("hwij,kjhw->kihw", self._inverse, covariance)
        offset = mean - (slope * self._mean).sum(1)
        smooth = self._box(torch.cat([slope, offset[:, None]], dim=1).flatten(0, 1))
        full = F.interpolate(smooth[None], scale_factor=self._stride, mode="bilinear", align_corners=False)
        coefficients = full[0].unflatten(0, (-1, 4))
        upsampled: Tensor = (coefficients[:, :3] * self._full).sum(1) + coefficients[:, 3]
        return upsampled

    def _box(self, maps: Tensor) -> Tensor:
        """Mean over the boxes, of what lies in the frame: (C, h, w) -> (C, h, w)."""
        side = 2 * self._radius + 1
        mean: Tensor = F.avg_pool2d(maps[None], side, 1, self._radius, count_include_pad=False)[0]
        return mean
