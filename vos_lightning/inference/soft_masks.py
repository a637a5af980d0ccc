"""Soft masks of one frame: how much of each position belongs to which object, and what two directions say together."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SoftMask:
    """What a tracker believes about one frame, at its own resolution.

    Args:
        object_ids: of the K objects.
        shares: of the objects, (K, h, w), 0…1; what is missing to 1 is background.
    """

    object_ids: tuple[int, ...]
    shares: Tensor

    def full(self) -> Tensor:
        """Probabilities with the background first, (K + 1, h, w)."""
        background = (1 - self.shares.sum(0, keepdim=True)).clamp(min=0)
        return torch.cat([background, self.shares])

    def uncertainty(self) -> dict[int, float]:
        """By id, 0…1: how much of each object's mask its probabilities doubt, see `expected_region_similarity`."""
        inside = self.shares > 0.5
        intersection = (self.shares * inside).sum((1, 2))
        union = inside.sum((1, 2)) + (self.shares * ~inside).sum((1, 2))
        expected = (intersection / union.clamp(min=1e-6)).tolist()
        return {i: 1 - score for i, score in zip(self.object_ids, expected, strict=True)}


def merge(before: SoftMask, after: SoftMask, position: float) -> SoftMask:
    """What tracking forward from a given frame and backward from a later one say together about a frame between them.

    Each direction counts the more, the nearer the frame it comes from. An object that one of them doesn't know, since
    it is given on one side only, is left to the other.

    Args:
        before: what the frames before say.
        after: what the frames after say; of the same resolution.
        position: of the frame between the two given ones, 0 at the earlier, 1 at the later.
    """
    object_ids = tuple(sorted({*before.object_ids, *after.object_ids}))
    weighted = []
    for object_id in object_ids:
        shares, weights = [], []
        for mask, weight in ((before, 1 - position), (after, position)):
            if object_id in mask.object_ids:
                shares.append(mask.shares[mask.object_ids.index(object_id)] * weight)
                weights.append(weight)
        weighted.append(sum(shares, torch.zeros_like(shares[0])) / sum(weights))
    stacked = torch.stack(weighted) if weighted else before.shares
    return SoftMask(object_ids, stacked / stacked.sum(0, keepdim=True).clamp(min=1))
