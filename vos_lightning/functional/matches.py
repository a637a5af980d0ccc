"""How many positions find their true partner: what features are worth before anything is tracked with them."""

import torch
from torch import Tensor


def true_matches(query: Tensor, key: Tensor, truth: Tensor, tolerance: float = 1.0) -> Tensor:
    """Share of positions whose most similar position of the key, over the whole frame, is the right one.

    Args:
        query: features (D, h, w); similarities are dot products.
        key: features (D, h', w').
        truth: where each query position lies in the key, (h, w, 2) as (x, y) from -1 to 1, see
            `homography.sampling_grid`; positions that lie out of the frame don't count.
        tolerance: how far off a match may be in x and in y, in positions.

    Returns:
        A scalar in [0, 1]; NaN where no position counts.
    """
    size = torch.tensor([key.shape[2], key.shape[1]], device=key.device)
    visible = (truth.abs() < 1).all(-1)
    expected = (truth[visible] + 1) / 2 * size - 0.5
    best = (query[:, visible].float().T @ key.float().flatten(1)).argmax(1)
    found = torch.stack([best % size[0], best // size[0]], dim=-1)
    return ((found - expected).abs() <= tolerance).all(-1).float().mean()
