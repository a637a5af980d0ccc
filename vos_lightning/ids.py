"""Object ids in masks: which there are, what is void, what is scored. Takes arrays and tensors, imports no torch.

A mask holds an id per pixel: 0 is the background, 1 to 254 are objects. 255 is void beside other ids, a region that
belongs to no object. As the only id it is one object: masks of a single object are often saved in black and white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

AnyMask = TypeVar("AnyMask", NDArray[Any], "Tensor")

VOID = 255


def present_ids(mask: NDArray[Any] | Tensor) -> list[int]:
    """Ids of 0 to 255 in a mask of any shape, ascending, the background left out; 255 is taken like any other."""
    if isinstance(mask, np.ndarray):
        found = np.flatnonzero(np.bincount(mask.ravel(), minlength=VOID + 1)).tolist()
    else:
        found = mask.unique().tolist()
    return [int(one) for one in found if one]


def without_void(mask: AnyMask) -> AnyMask:
    """The mask of a data set in which 255 is always void: 255 becomes background."""
    objects: AnyMask = mask * (mask != VOID)
    return objects


def given_objects(mask: AnyMask) -> AnyMask:
    """The mask of a user's own video: 255 becomes background, unless it is the only id.

    Example:
        >>> given_objects(np.array([0, 1, 255], np.uint8)), given_objects(np.array([0, 255], np.uint8))
        (array([0, 1, 0], dtype=uint8), array([  0, 255], dtype=uint8))
    """
    objects = without_void(mask)
    return objects if objects.any() else mask


def merged_objects(mask: NDArray[Any], object_id: int = VOID) -> NDArray[np.uint8]:
    """All ids, 255 as well, as one object (DAVIS 2016)."""
    return np.multiply(mask > 0, np.uint8(object_id), dtype=np.uint8)


def scored_ids(first_target: NDArray[Any] | Tensor) -> list[int]:
    """Ids of the objects to score: 1 to the largest id of the first mask, as the official code takes them.

    255 is void beside other ids, and the one object where it is the only id. Ids that no later mask holds either are
    gaps in the numbering; who scores a sequence leaves them out at its end.

    Args:
        first_target: (H, W).
    """
    largest = int((first_target * (first_target != VOID)).max())
    if largest == 0 and int(first_target.max()) == VOID:
        return [VOID]
    return list(range(1, largest + 1))
