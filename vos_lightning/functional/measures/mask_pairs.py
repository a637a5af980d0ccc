"""What region similarity and contour accuracy share: checked pairs of masks, scored one by one on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

from vos_lightning.functional.measures.bitmaps import Words, pack

if TYPE_CHECKING:
    from torch import Tensor

    Mask: TypeAlias = NDArray[Any] | Tensor


def check_masks(prediction: Mask, target: Mask, void: Mask | None = None) -> None:
    """Raises unless all masks are bool, of one kind and of one shape (..., H, W) with at least one pixel.

    Raises:
        TypeError: A mask is not bool, or arrays and tensors are mixed.
        ValueError: Shapes differ, or a mask has no pixel.
    """
    for name, mask in (("prediction", prediction), ("target", target), ("void", void)):
        if mask is None:
            continue
        if str(getattr(mask, "dtype", "")).removeprefix("torch.") != "bool":
            raise TypeError(f"{name} must be a bool array or tensor; compare an id mask with the object's id first")
        if isinstance(mask, np.ndarray) != isinstance(prediction, np.ndarray):
            raise TypeError("prediction, target and void must be all arrays or all tensors")
        if tuple(mask.shape) != tuple(prediction.shape):
            raise ValueError(f"{name} has shape {tuple(mask.shape)}, prediction has {tuple(prediction.shape)}")
    if len(prediction.shape) < 2 or 0 in prediction.shape[-2:]:
        raise ValueError(f"masks must be (..., H, W) with at least one pixel, not {tuple(prediction.shape)}")


def is_on_device(mask: Mask) -> TypeGuard[Tensor]:
    """Whether a mask is a tensor on an accelerator."""
    return not isinstance(mask, np.ndarray) and mask.device.type != "cpu"


def score_on_host(
    score: Callable[[Words], float], prediction: Mask, target: Mask, void: Mask | None = None
) -> NDArray[np.float64] | Tensor:
    """Scores every pair of packed masks.

    Args:
        score: From a packed prediction and target, (2, ceil(W / 64), H), to one number.
        prediction: (..., H, W), bool, array or CPU tensor.
        target: Like `prediction`.
        void: Like `prediction`; these pixels are removed from both masks.

    Returns:
        (...,) float64, of the same kind as the masks.
    """
    kept = None if void is None else ~_flat(void)
    flat_prediction, flat_target = _flat(prediction), _flat(target)
    scores = np.empty(len(flat_prediction))
    for index, (one, other) in enumerate(zip(flat_prediction, flat_target, strict=True)):
        if kept is not None:
            one, other = one & kept[index], other & kept[index]
        scores[index] = score(pack(np.stack([one, other])))
    scores = scores.reshape(tuple(prediction.shape[:-2]))
    return scores[()] if isinstance(prediction, np.ndarray) else _tensor(scores)  # [()]: a scalar for one pair


def _flat(mask: Mask) -> NDArray[np.bool_]:
    return np.asarray(mask).reshape(-1, *mask.shape[-2:])


def _tensor(scores: NDArray[np.float64]) -> Tensor:
    import torch  # here, so that scoring arrays doesn't pay for the import

    return torch.from_numpy(scores)
