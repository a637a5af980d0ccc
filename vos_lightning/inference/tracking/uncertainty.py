"""How sure a tracker is of its masks."""

from torch import Tensor


def expected_region_similarity(probs: Tensor) -> Tensor:
    """The region similarity J that masks would have if each position were the object's with its probability.

    The expected intersection of the mask (probabilities above 0.5) with the object over their expected union, as the
    ratio of the two expectations.

    Args:
        probs: of the objects, (K, h, w) in [0, 1].

    Returns:
        (K,) in [0, 1]; 0 for an object that is nowhere above 0.5.
    """
    inside = probs > 0.5
    intersection = (probs * inside).sum((1, 2))
    union = probs.masked_fill(inside, 1).sum((1, 2))
    return intersection / union.clamp(min=1e-6)
