"""Region similarity and contour accuracy of tensors, on the device that holds them; the same numbers as on the host."""

import torch
from torch import Tensor

from vos_lightning.functional.measures.bitmaps import disk_rows, widening_steps


def region_similarity(prediction: Tensor, target: Tensor, void: Tensor | None = None) -> Tensor:
    """Intersection over union of bool masks (..., H, W) -> (...,)."""
    if void is not None:
        prediction, target = prediction & ~void, target & ~void
    intersection, union = _count(prediction & target), _count(prediction | target)
    return torch.where(union > 0, intersection / union.clamp(min=1), 1.0)


def contour_accuracy(prediction: Tensor, target: Tensor, radius: int, void: Tensor | None = None) -> Tensor:
    """F-measure of the boundaries of bool masks (..., H, W) -> (...,), `radius` in pixels."""
    if void is not None:
        prediction, target = prediction & ~void, target & ~void
    boundaries = boundary(torch.stack([prediction, target]))
    total = _count(boundaries)
    found = _count(boundaries & dilate(boundaries, radius).flip(0))
    precision, recall = found / total.clamp(min=1)
    both = 2 * precision * recall / torch.where(precision + recall > 0, precision + recall, 1.0)
    return torch.where((total == 0).all(dim=0), 1.0, both)


def boundary(mask: Tensor) -> Tensor:
    """Pixels that differ from their east, south or south-east neighbour; (..., H, W) -> (..., H, W)."""
    edges = torch.zeros_like(mask)
    edges[..., :, :-1] |= mask[..., :, :-1] ^ mask[..., :, 1:]
    edges[..., :-1, :] |= mask[..., :-1, :] ^ mask[..., 1:, :]
    edges[..., :-1, :-1] |= mask[..., :-1, :-1] ^ mask[..., 1:, 1:]
    return edges


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Dilates by the disk x² + y² ≤ radius²; see `bitmaps.dilate`."""
    height, width = mask.shape[-2:]
    dilated = torch.zeros_like(mask)
    widened, half_width = mask, 0
    for y, row_half_width in disk_rows(radius):
        for step in widening_steps(half_width, row_half_width):
            if step < width:
                widened = _widen(widened, step)
        half_width = row_half_width
        if y < height:
            dilated[..., y:, :] |= widened[..., : height - y, :]
            dilated[..., : height - y, :] |= widened[..., y:, :]
    return dilated


def _widen(mask: Tensor, step: int) -> Tensor:
    """Union of a mask with itself moved left and right by `step` pixels."""
    widened = mask.clone()
    widened[..., step:] |= mask[..., :-step]
    widened[..., :-step] |= mask[..., step:]
    return widened


def _count(mask: Tensor) -> Tensor:
    """Number of set pixels, in double precision where the device has it."""
    return mask.sum(dim=(-2, -1)).to(torch.float32 if mask.device.type == "mps" else torch.float64)
