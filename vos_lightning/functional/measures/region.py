"""Region similarity J: intersection over union (Perazzi et al., CVPR 2016, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, overload

import numpy as np
from numpy.typing import NDArray

from vos_lightning.functional.measures.bitmaps import Words, count
from vos_lightning.functional.measures.mask_pairs import check_masks, is_on_device, score_on_host

if TYPE_CHECKING:
    from torch import Tensor

    from vos_lightning.functional.measures.mask_pairs import Mask


@overload
def region_similarity(
    prediction: NDArray[np.bool_], target: NDArray[np.bool_], void: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]: ...
@overload
def region_similarity(prediction: Tensor, target: Tensor, void: Tensor | None = None) -> Tensor: ...
def region_similarity(prediction: Mask, target: Mask, void: Mask | None = None) -> NDArray[np.float64] | Tensor:
    """Intersection over union of two masks; 1 where both are empty.

    Equal to the official davis2017-evaluation. Tensors on an accelerator are scored there.

    Args:
        prediction: (..., H, W), bool, array or tensor.
        target: Like `prediction`.
        void: Like `prediction`: pixels that belong to neither mask.

    Returns:
        (...,) in [0, 1], float64, of the same kind.

    Raises:
        TypeError: A mask is not bool, or arrays and tensors are mixed.
        ValueError: Shapes differ.

    Example:
        >>> import numpy as np
        >>> prediction = np.array([[True, True, False]])
        >>> target = np.array([[False, True, True]])
        >>> round(float(region_similarity(prediction, target)), 4)
        0.3333
    """
    check_masks(prediction, target, void)
    if is_on_device(prediction):
        from vos_lightning.functional.measures import device_masks

        return device_masks.region_similarity(prediction, cast("Tensor", target), cast("Tensor | None", void))
    return score_on_host(packed_region_similarity, prediction, target, void)


def packed_region_similarity(pair: Words) -> float:
    """Intersection over union of a packed prediction and target, (2, ceil(W / 64), H)."""
    union = count(pair[0] | pair[1])
    return count(pair[0] & pair[1]) / union if union else 1.0
