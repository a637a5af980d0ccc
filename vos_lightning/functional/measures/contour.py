"""Contour accuracy F: the F-measure of boundary pixels (Perazzi et al., CVPR 2016, section 4)."""

from __future__ import annotations

from functools import partial
from math import ceil, isfinite, sqrt
from typing import TYPE_CHECKING, cast, overload

import numpy as np
from numpy.typing import NDArray

from vos_lightning.functional.measures.bitmaps import WORD, Words, boundary, content, count, dilate
from vos_lightning.functional.measures.mask_pairs import check_masks, is_on_device, score_on_host

if TYPE_CHECKING:
    from torch import Tensor

    from vos_lightning.functional.measures.mask_pairs import Mask


@overload
def contour_accuracy(
    prediction: NDArray[np.bool_],
    target: NDArray[np.bool_],
    bound_th: float = 0.008,
    void: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]: ...
@overload
def contour_accuracy(
    prediction: Tensor, target: Tensor, bound_th: float = 0.008, void: Tensor | None = None
) -> Tensor: ...
def contour_accuracy(
    prediction: Mask, target: Mask, bound_th: float = 0.008, void: Mask | None = None
) -> NDArray[np.float64] | Tensor:
    """Harmonic mean of boundary precision and recall, within a tolerance.

    A boundary pixel counts as found if the other mask has one inside a disk around it. The image border is no boundary:
    a mask that fills the frame has none. Both boundaries empty: 1; one empty: 0. Equal to the official
    davis2017-evaluation. Tensors on an accelerator are scored there.

    Args:
        prediction: (..., H, W), bool, array or tensor.
        target: Like `prediction`.
        bound_th: Radius of the disk: below 1 a share of the image diagonal, rounded up, else whole pixels.
        void: Like `prediction`: pixels that belong to neither mask.

    Returns:
        (...,) in [0, 1], float64, of the same kind.

    Raises:
        TypeError: A mask is not bool, or arrays and tensors are mixed.
        ValueError: Shapes differ, or `bound_th` is negative, not finite or a broken number of pixels.

    Example:
        >>> import numpy as np
        >>> target = np.zeros((12, 12), dtype=bool)
        >>> target[3:8, 3:8] = True
        >>> float(contour_accuracy(np.roll(target, 1, axis=1), target, bound_th=1))
        1.0
        >>> float(contour_accuracy(np.roll(target, 1, axis=1), target, bound_th=0))
        0.5
    """
    check_masks(prediction, target, void)
    height, width = prediction.shape[-2:]
    radius = tolerance(height, width, bound_th)
    if is_on_device(prediction):
        from vos_lightning.functional.measures import device_masks

        return device_masks.contour_accuracy(prediction, cast("Tensor", target), radius, cast("Tensor | None", void))
    return score_on_host(partial(packed_contour_accuracy, width=width, radius=radius), prediction, target, void)


def tolerance(height: int, width: int, bound_th: float = 0.008) -> int:
    """Radius in pixels within which a boundary pixel counts as found, at most the diagonal.

    Raises:
        ValueError: `bound_th` is not what `check_bound` accepts.
    """
    check_bound(bound_th)
    diagonal = sqrt(height * height + width * width)
    return min(int(bound_th), ceil(diagonal)) if bound_th >= 1 else ceil(bound_th * diagonal)


def check_bound(bound_th: float) -> None:
    """Raises unless a tolerance is a share of the diagonal or a number of pixels.

    Raises:
        ValueError: It is negative, a broken number of pixels, infinite or no number.
    """
    if not isfinite(bound_th) or bound_th < 0 or (bound_th >= 1 and bound_th != int(bound_th)):
        raise ValueError(f"bound_th must be a share of the diagonal in [0, 1) or whole pixels, not {bound_th}")


def packed_contour_accuracy(pair: Words, width: int, radius: int) -> float:
    """Contour accuracy of a packed prediction and target.

    Args:
        pair: (2, ceil(W / 64), H).
        width: W, in pixels.
        radius: Tolerance, in pixels.
    """
    drawn = pair[0] | pair[1]
    if not drawn.any():
        return 1.0
    columns, rows = content(drawn)
    boundaries = boundary(pair[:, columns, rows], width - WORD * columns.start)
    predicted, given = count(boundaries[0]), count(boundaries[1])
    if not predicted or not given:
        return float(predicted == given)
    found = boundaries & dilate(boundaries, radius)[::-1]
    precision, recall = count(found[0]) / predicted, count(found[1]) / given
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
