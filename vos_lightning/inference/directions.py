"""Frames between two given ones: tracked forward from the earlier, backward from the later, and put together."""

import math
from collections.abc import Mapping

from torch import Tensor

from vos_lightning.inference.tracking.uncertainty import expected_region_similarity

# Of differences between the sides, which the logistic function makes shares of: nearness runs from 0 to 1 on the way.
NEARNESS = 10.0
CERTAINTY = 10.0


def merge_directions(forward: Mapping[int, Tensor], backward: Mapping[int, Tensor], way: float) -> dict[int, Tensor]:
    """The probabilities of a frame that was tracked from two sides: a mean that trusts the nearer and surer side more.

    How sure a side is of an object is the region similarity that it expects of its mask. Objects that one side doesn't
    know are taken from the other.

    Args:
        forward: by id, tracked from the earlier of the given frames, (h, w) in [0, 1]; see `Track.probabilities`.
        backward: tracked from the later one.
        way: of the frames between the two, the share that lies behind this one, in [0, 1].

    Returns:
        By id, (h, w) in [0, 1]; see `Track.draw`.
    """
    merged = {**forward, **backward}
    for number in forward.keys() & backward.keys():
        here, there = forward[number], backward[number]
        nearer = NEARNESS * (0.5 - way)
        surer = CERTAINTY * (_certainty(here) - _certainty(there))
        merged[number] = there + (here - there) / (1 + math.exp(-nearer - surer))
    return merged


def _certainty(probs: Tensor) -> float:
    return float(expected_region_similarity(probs[None]))
