"""Scores of one frame whose masks hold the ids of several objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from vos_lightning.functional.measures.bitmaps import pack
from vos_lightning.functional.measures.contour import contour_accuracy, packed_contour_accuracy, tolerance
from vos_lightning.functional.measures.mask_pairs import is_on_device
from vos_lightning.functional.measures.region import packed_region_similarity, region_similarity

if TYPE_CHECKING:
    from torch import Tensor

    from vos_lightning.functional.measures.mask_pairs import Mask


class FrameScores(NamedTuple):
    """One frame, K objects.

    Attributes:
        J: (K,) region similarity.
        F: (K,) contour accuracy.
        predicted: (K,) whether the object is in the prediction.
        given: (K,) whether the object is in the target.
    """

    J: NDArray[np.float64]
    F: NDArray[np.float64]
    predicted: NDArray[np.bool_]
    given: NDArray[np.bool_]


def score_frame(
    prediction: Mask, target: Mask, ids: Sequence[int], bound_th: float = 0.008, void: Mask | None = None
) -> FrameScores:
    """Region similarity and contour accuracy of every object of a frame.

    Args:
        prediction: (H, W) ids, array or tensor; a tensor on an accelerator is scored there.
        target: Like `prediction`.
        ids: The K objects; any other id counts as background.
        bound_th: See `contour_accuracy`.
        void: (H, W) bool: pixels that belong to no object.

    Raises:
        TypeError: Masks hold no integers.
        ValueError: Shapes differ.
    """
    for name, mask in (("prediction", prediction), ("target", target)):
        if not _holds_ids(mask):
            raise TypeError(f"{name} must hold integer ids, not {mask.dtype}; convert it, or take the argmax first")
    if tuple(prediction.shape) != tuple(target.shape) or len(target.shape) != 2:
        raise ValueError(
            f"prediction is {tuple(prediction.shape)}, target is {tuple(target.shape)}; expected equal (H, W)"
        )
    if is_on_device(prediction) and is_on_device(target):
        return _score_on_device(prediction, target, ids, bound_th, void)
    return _score_on_host(np.asarray(prediction), np.asarray(target), ids, bound_th, void)


def _holds_ids(mask: Mask) -> bool:
    if isinstance(mask, np.ndarray):
        return mask.dtype.kind in "biu"
    return not (mask.is_floating_point() or mask.is_complex())


def _score_on_host(
    prediction: NDArray[Any], target: NDArray[Any], ids: Sequence[int], bound_th: float, void: Mask | None
) -> FrameScores:
    height, width = target.shape
    radius = tolerance(height, width, bound_th)
    if void is not None:
        kept = ~np.asarray(void)
        prediction, target = prediction * kept, target * kept
    scores = FrameScores(
        np.empty(len(ids)), np.empty(len(ids)), np.empty(len(ids), dtype=bool), np.empty(len(ids), dtype=bool)
    )
    masks = np.empty((2, height, width), dtype=bool)
    for k, object_id in enumerate(ids):
        np.equal(prediction, object_id, out=masks[0])
        np.equal(target, object_id, out=masks[1])
        pair = pack(masks)
        scores.J[k] = packed_region_similarity(pair)
        scores.F[k] = packed_contour_accuracy(pair, width, radius)
        scores.predicted[k], scores.given[k] = pair[0].any(), pair[1].any()
    return scores


def _score_on_device(
    prediction: Tensor, target: Tensor, ids: Sequence[int], bound_th: float, void: Mask | None
) -> FrameScores:
    import torch  # here, so that scoring arrays doesn't pay for the import

    ids_there = torch.tensor(list(ids), dtype=torch.int32, device=target.device)[:, None, None]
    predicted, given = prediction == ids_there, target == ids_there
    if void is not None:
        kept = ~cast("Tensor", void)
        predicted, given = predicted & kept, given & kept
    scores = [region_similarity(predicted, given), contour_accuracy(predicted, given, bound_th)]
    present = [predicted.any(dim=(-2, -1)), given.any(dim=(-2, -1))]
    found = torch.stack([*scores, *(flags.to(scores[0]) for flags in present)])
    J, F, in_prediction, in_target = found.cpu().double().numpy()  # one transfer for everything
    return FrameScores(J, F, in_prediction > 0, in_target > 0)
