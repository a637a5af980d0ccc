"""Masks between two given frames: tracked forward from the earlier, backward from the later, and put together."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint8]


def halves(before: int, after: int) -> tuple[range, range]:
    """Which frames between two given ones are nearer to which, in the order in which they are tracked.

    Args:
        before: index of the earlier given frame.
        after: index of the later one.

    Returns:
        Frames to track forward from `before`, the middle one among them, and backward from `after`.

    >>> halves(0, 5)
    (range(1, 3), range(4, 2, -1))
    """
    middle = (before + after) // 2
    return range(before + 1, middle + 1), range(after - 1, middle, -1)


def merge_directions(nearer: Ids, farther: Ids, only_farther: Collection[int] = ()) -> Ids:
    """The mask of a frame that was tracked from two sides: that of the nearer given frame.

    Objects that only the farther one holds are taken from there, where the nearer shows background.

    Args:
        nearer: (H, W) ids tracked from the nearer given frame.
        farther: (H, W) ids tracked from the farther one.
        only_farther: ids of the objects that were not given in the nearer frame.
    """
    if not only_farther:
        return nearer
    return np.where((nearer == 0) & np.isin(farther, list(only_farther)), farther, nearer)
