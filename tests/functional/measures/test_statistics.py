import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vos_lightning.functional.measures.statistics import decay, recall, statistics


def official_decay(values):
    """The official formula, frame numbers kept in 8 bits included."""
    borders = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(np.uint8)
    bins = [values[borders[i] : borders[i + 1] + 1] for i in range(4)]
    return np.mean(bins[0]) - np.mean(bins[3])


def test_falling_scores():
    assert statistics(np.arange(10, 0, -1) / 10) == pytest.approx((0.55, 0.5, 0.7))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=255))
def test_equals_the_official_formulas_below_256_frames(values):
    found = statistics(values)
    assert found.mean == pytest.approx(np.nanmean(values), abs=1e-12)
    assert found.recall == np.mean(np.array(values) > 0.5)
    assert found.decay == pytest.approx(official_decay(np.array(values)), abs=1e-12)


@pytest.mark.parametrize("frames", [256, 257, 300, 1000, 70_000])
def test_decay_is_right_from_256_frames_on(frames):
    scores = np.concatenate([np.ones(frames // 2), np.zeros(frames - frames // 2)])
    assert decay(scores) == 1.0


def test_recall_is_strict_and_a_missing_score_is_a_miss():
    assert recall([0.5, 0.51, math.nan, 1.0]) == 0.5
    assert recall([0.5, 0.51], threshold=0.4) == 1.0


def test_missing_scores_stay_out_of_mean_and_decay():
    assert statistics([0.4, math.nan, 0.8]).mean == pytest.approx(0.6)
    assert math.isnan(statistics([math.nan, math.nan]).mean)
    assert decay([1.0, math.nan, 1.0, 0.0, math.nan, 0.0]) == 1.0


@pytest.mark.parametrize("scores", [[0.3], [0.3, 0.3]])
def test_one_or_two_frames(scores):
    assert statistics(scores) == pytest.approx((0.3, 0.0, 0.0))


@pytest.mark.parametrize("scores", [[], [[0.1, 0.2]], 0.5])
def test_anything_but_a_row_of_scores_is_refused(scores):
    with pytest.raises(ValueError, match="at least one frame"):
        statistics(scores)
