"""The share of true matches against loops over positions."""

import pytest
import torch

from vos_lightning.functional.homography import random_homography, sampling_grid
from vos_lightning.functional.matches import true_matches


def reference(query, key, truth, tolerance):
    """The definition, position by position."""
    _, height, width = key.shape
    right = []
    for y in range(query.shape[1]):
        for x in range(query.shape[2]):
            u, v = truth[y, x].tolist()
            if not (-1 < u < 1 and -1 < v < 1):
                continue
            similarity = [[float(query[:, y, x] @ key[:, i, j]) for j in range(width)] for i in range(height)]
            i, j = max(((i, j) for i in range(height) for j in range(width)), key=lambda at: similarity[at[0]][at[1]])
            expected = (u + 1) / 2 * width - 0.5, (v + 1) / 2 * height - 0.5
            right.append(abs(j - expected[0]) <= tolerance and abs(i - expected[1]) <= tolerance)
    return sum(right) / len(right)


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.5])
def test_equals_the_definition(tolerance):
    generator = torch.Generator().manual_seed(1)
    query, key = (torch.randn(2, *size, generator=generator) for size in ((6, 7), (5, 9)))
    truth = sampling_grid(random_homography(0.5, generator), (6, 7))
    expected = reference(query, key, truth, tolerance)
    assert 0 < expected < 1
    assert true_matches(query, key, truth, tolerance).item() == pytest.approx(expected)


def test_features_that_name_their_place_match_whatever_moved_them():
    key = torch.eye(48).reshape(48, 6, 8)
    truth = sampling_grid(torch.eye(3), (6, 8)).roll(2, dims=1)
    assert true_matches(key.roll(2, dims=2), key, truth, 0.1) == 1
    assert true_matches(key, key, truth, 0.1) == 0


def test_nothing_to_match_is_nan():
    assert true_matches(torch.rand(3, 2, 2), torch.rand(3, 2, 2), torch.full((2, 2, 2), 1.5)).isnan()
