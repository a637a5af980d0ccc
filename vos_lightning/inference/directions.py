"""Masks between two given frames: tracked forward from the earlier, backward from the later, and put together."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint8]

# What a difference in certainty weighs, as shares of the way from one given frame to the other.
CERTAINTY = 2.0


class Seen(NamedTuple):
    """A frame as one of the directions sees it.

    Attributes:
        ids: (H, W).
        uncertainty: of each object that was followed, in [0, 1], by id; see `Track.uncertainty`.
    """

    ids: Ids
    uncertainty: Mapping[int, float]


def merge_directions(forward: Seen, backward: Seen, way: float) -> Seen:
    """The mask of a frame that was tracked from two sides, each object from the side that is to be trusted more.

    That is the one whose nearness and certainty, which counts twice, make the larger sum. Objects that one side doesn't
    know are taken from the other. Where objects meet, the one that is trusted more lies above.

    Args:
        forward: tracked from the earlier of the given frames.
        backward: tracked from the later one.
        way: of the frames between the two, the share that lies behind this one, in [0, 1].
    """
    trusted: dict[int, tuple[float, Seen]] = {}
    for side, nearness in ((forward, 1 - way), (backward, way)):
        for number, doubt in side.uncertainty.items():
            trust = nearness - CERTAINTY * doubt
            if number not in trusted or trust > trusted[number][0]:
                trusted[number] = trust, side
    ids = np.zeros_like(forward.ids)
    for number, (_, side) in sorted(trusted.items(), key=lambda item: item[1][0]):
        ids[side.ids == number] = number
    return Seen(ids, {number: side.uncertainty[number] for number, (_, side) in trusted.items()})
