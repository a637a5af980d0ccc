"""Mean, recall and decay of per-frame scores, as in davis2017-evaluation (Perazzi et al., CVPR 2016, section 4)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Statistics(NamedTuple):
    """What a sequence's per-frame scores of one object come down to.

    Attributes:
        mean: Average over frames.
        recall: Share of frames that score above one half.
        decay: Average over the first quarter of frames less that over the last one: what is lost over time.
    """

    mean: float
    recall: float
    decay: float


def statistics(scores: ArrayLike) -> Statistics:
    """Mean, recall and decay of one object.

    Args:
        scores: (T,) per-frame J or F; NaN marks a frame without score, which counts as a miss in the recall.

    Raises:
        ValueError: There is no frame.

    Example:
        >>> [round(value, 3) for value in statistics([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])]
        [0.55, 0.5, 0.7]
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"expected the scores of at least one frame, (T,), not {values.shape}")
    return Statistics(_mean(values), recall(values), decay(values))


def recall(scores: ArrayLike, threshold: float = 0.5) -> float:
    """Share of frames (T,) that score strictly above `threshold`."""
    return float(np.mean(np.asarray(scores, dtype=np.float64) > threshold))


def decay(scores: ArrayLike, bins: int = 4) -> float:
    """Mean of the first of `bins` parts of the frames (T,) less that of the last.

    Neighbouring parts share their border frame. The official code keeps frame numbers in 8 bits and returns NaN from
    256 frames on; here any number of frames is right.
    """
    values = np.asarray(scores, dtype=np.float64)
    borders = np.round(np.linspace(1, values.size, bins + 1) + 1e-10).astype(np.int64) - 1
    return _mean(values[: borders[1] + 1]) - _mean(values[borders[-2] :])


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is not NaN; NaN if nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
