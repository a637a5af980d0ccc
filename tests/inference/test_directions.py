"""What is tracked from two sides is put together object by object."""

import math

import numpy as np
import pytest
import torch

from vos_lightning import VideoSegmenter
from vos_lightning.inference.directions import CERTAINTY, NEARNESS, merge_directions
from vos_lightning.inference.tracking.settings import TrackingSettings

SURE, UNSURE = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.6, 0.6, 0.2]])


def share(way: float, certainty: float) -> float:
    """Of the side forward, as the formula says."""
    return 1 / (1 + math.exp(-NEARNESS * (0.5 - way) - CERTAINTY * certainty))


@pytest.mark.parametrize("way", [0.0, 0.3, 0.5, 0.8])
def test_the_nearer_and_surer_side_weighs_more(way):
    merged = merge_directions({7: SURE}, {7: UNSURE}, way)
    certainty = 1 - 1.2 / 2.2
    assert torch.allclose(merged[7], share(way, certainty) * SURE + (1 - share(way, certainty)) * UNSURE, atol=1e-6)
    swapped = merge_directions({7: UNSURE}, {7: SURE}, 1 - way)
    assert torch.allclose(swapped[7], merged[7], atol=1e-6)


def test_half_way_sides_that_are_as_sure_weigh_the_same():
    merged = merge_directions({1: SURE}, {1: SURE.flip(1)}, 0.5)
    assert torch.allclose(merged[1], torch.full((1, 4), 0.5))


def test_objects_that_one_side_does_not_know_are_taken_from_the_other():
    merged = merge_directions({1: SURE, 9: UNSURE}, {4: UNSURE, 1: SURE}, 0.9)
    assert set(merged) == {1, 4, 9}
    assert torch.equal(merged[4], UNSURE)
    assert torch.equal(merged[9], UNSURE)
    assert torch.equal(merged[1], SURE)


def test_an_object_that_a_side_has_lost_is_left_to_the_other():
    merged = merge_directions({3: torch.zeros(1, 4)}, {3: SURE}, 0.2)
    assert ((merged[3] > 0.5) == (SURE > 0.5)).all()


def test_what_a_track_drew_is_drawn_again_from_its_probabilities(moving_square):
    frames, masks = moving_square
    segmenter = VideoSegmenter("lab", tracking=TrackingSettings(edges=True, max_size=64))
    track = segmenter.tracker()
    both = np.where(np.arange(90) < 30, masks[0], masks[0] // 3)  # of ids 9 and 3
    track.step(frames[0], both)
    for frame in frames[1:4]:
        ids = track.step(frame)
        assert set(np.unique(ids)) == {0, 3, 9}
        assert np.array_equal(segmenter.tracker().draw(frame, track.probabilities), ids)


def test_given_masks_on_both_sides_of_a_gap_meet_in_it(moving_square):
    frames, masks = moving_square
    segmenter = VideoSegmenter("lab")
    forward, backward = segmenter.tracker(), segmenter.tracker()
    forward.step(frames[0], masks[0])
    backward.step(frames[5], np.where(masks[5] > 0, 4, 0))  # another object of the same place
    forward.step(frames[1])
    for t in (4, 3, 2, 1):
        backward.step(frames[t])
    merged = merge_directions(forward.probabilities, backward.probabilities, 0.2)
    assert set(merged) == {4, 9}
    ids = segmenter.tracker().draw(frames[1], merged)
    assert np.mean((ids > 0) != (masks[1] > 0)) < 0.05
