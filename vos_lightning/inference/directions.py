"""Frames between two given ones: tracked forward from the earlier, backward from the later, and put together."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vos_lightning.functional import region_similarity
from vos_lightning.ids import present_ids
from vos_lightning.inference.tracking.drawing import resized

Ids = NDArray[np.uint8]

# Of differences in what is expected of the sides, which the logistic function makes shares of.
TRUST = 4.0


class Side(NamedTuple):
    """A frame as it is seen from one of the given ones.

    Attributes:
        probabilities: by id, (h, w) in [0, 1], of any size; see `Track.probabilities`.
        arrival: by id, how well the given mask at the other end was met there; see `arrival`.
    """

    probabilities: Mapping[int, Tensor]
    arrival: Mapping[int, float]


def arrival(ids: Ids, given: Ids) -> dict[int, float]:
    """Region similarity of the objects of a given mask with what was tracked up to there, by id.

    Args:
        ids: tracked from another given frame, (H, W).
        given: for this frame, (H, W).
    """
    return {i: float(region_similarity(ids == i, given == i)) for i in present_ids(given)}


def merge_directions(forward: Side, backward: Side, way: float) -> dict[int, Tensor]:
    """The probabilities of a frame that was tracked from two sides: a mean that trusts the better side more.

    What is expected of a side falls from 1 at the given frame that it comes from to what it has reached at the other.
    Objects that one side doesn't know are taken from the other.

    Args:
        forward: from the earlier of the given frames.
        backward: from the later one.
        way: of the frames between the two, the share that lies behind this one, in [0, 1].

    Returns:
        By id, (h, w) in [0, 1], all of the size of the side forward if it knows any object; see `Track.draw`.
    """
    sizes = [probs.shape for side in (forward, backward) for probs in side.probabilities.values()]
    others = {number: resized(probs, sizes[0]) for number, probs in backward.probabilities.items()}
    merged = {**forward.probabilities, **others}
    for number in forward.probabilities.keys() & backward.probabilities.keys():
        better = (1 - way) * (1 - backward.arrival[number]) - way * (1 - forward.arrival[number])
        here, there = forward.probabilities[number], merged[number]
        merged[number] = there + (here - there) / (1 + math.exp(-TRUST * better))
    return merged
