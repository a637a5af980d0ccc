"""Matches that hold in both directions count for more than those of one side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vos_lightning.functional.attention import largest_similarity


def prefer_mutual(query: Tensor, keys: Tensor, radii: Sequence[int | None], weight: float) -> tuple[Tensor, Tensor]:
    """Keys and their bias with which similarities fall where a key finds a better partner in the query frame.

    The similarity s(i, j) becomes s(i, j) - weight · (max over i' of s(i', j) - s(i, j)): nothing changes for partners
    that prefer one another (forward-backward consistency, softly). What has changed its looks is then given to what
    nothing else looks like, rather than to something that the frame shows unchanged.

    Args:
        query: of the query frame, (1, D, h, w).
        keys: of the references, (1, R, D, h, w).
        radii: of the window in each reference.
        weight: 0 or more; 0 leaves similarities as they are.

    Returns:
        Keys, (1, R, D, h, w), and what to add to their similarities, (1, R, h, w).
    """
    best = torch.empty_like(keys[0, :, 0])
    for radius in set(radii):
        rows = [r for r, other in enumerate(radii) if other == radius]
        best[rows] = largest_similarity(keys[0, rows], query[:, None].expand(len(rows), -1, -1, -1, -1), radius)
    return keys * (1 + weight), -weight * best[None]
