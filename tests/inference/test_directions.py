"""What is tracked from two sides is put together object by object."""

import math

import numpy as np
import pytest
import torch

from vos_lightning import VideoSegmenter
from vos_lightning.inference.directions import TRUST, Side, arrival, merge_directions
from vos_lightning.inference.tracking.settings import TrackingSettings

ONE, OTHER = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.6, 0.6, 0.2]])


def test_the_arrival_is_the_region_similarity_of_what_was_given():
    ids, given = np.zeros((2, 4, 4), np.uint8)
    ids[0], given[0:2] = 7, 7  # half of it
    ids[3], given[3, :3] = 9, 255
    assert arrival(ids, given) == {7: 0.5, 255: 0.0}


@pytest.mark.parametrize("way", [0.0, 0.3, 0.5, 1.0])
def test_the_side_of_which_more_is_expected_weighs_more(way):
    merged = merge_directions(Side({7: ONE}, {7: 0.9}), Side({7: OTHER}, {7: 0.4}), way)
    expected = 1 - 0.1 * way, 1 - 0.6 * (1 - way)
    share = 1 / (1 + math.exp(-TRUST * (expected[0] - expected[1])))
    assert torch.allclose(merged[7], share * ONE + (1 - share) * OTHER)
    swapped = merge_directions(Side({7: OTHER}, {7: 0.4}), Side({7: ONE}, {7: 0.9}), 1 - way)
    assert torch.allclose(swapped[7], merged[7])


def test_sides_that_arrive_well_weigh_the_same_wherever_the_frame_lies():
    merged = merge_directions(Side({1: ONE}, {1: 1.0}), Side({1: ONE.flip(1)}, {1: 1.0}), 0.1)
    assert torch.allclose(merged[1], torch.full((1, 4), 0.5))


def test_objects_that_one_side_does_not_know_are_taken_from_the_other():
    forward = Side({1: ONE, 9: OTHER}, {1: 1.0, 4: 0.0})  # 4 was given at the other end only
    merged = merge_directions(forward, Side({4: OTHER, 1: ONE}, {1: 1.0, 9: 0.0}), 0.9)
    assert set(merged) == {1, 4, 9}
    assert torch.equal(merged[4], OTHER)
    assert torch.equal(merged[9], OTHER)
    assert torch.equal(merged[1], ONE)


def test_an_object_that_a_side_has_lost_is_left_to_the_other():
    merged = merge_directions(Side({3: torch.zeros(1, 4)}, {3: 0.0}), Side({3: ONE}, {3: 0.8}), 0.8)
    assert ((merged[3] > 0.5) == (ONE > 0.5)).all()


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


def test_sides_of_other_sizes_are_put_together_and_drawn(moving_square):
    frames, masks = moving_square
    sides = []
    for size in (None, 50):
        track = VideoSegmenter("lab", max_size=size).tracker()
        track.step(frames[0], masks[0])
        track.step(frames[1])
        sides.append(Side(track.probabilities, {9: 0.9}))
    assert sides[0].probabilities[9].shape != sides[1].probabilities[9].shape
    for forward, backward in (sides, sides[::-1]):
        merged = merge_directions(forward, backward, 0.5)
        assert merged[9].shape == forward.probabilities[9].shape
        for size in (None, 30):
            ids = VideoSegmenter("lab", max_size=size).tracker().draw(frames[1], merged)
            assert np.mean(ids != masks[1]) < 0.05


def test_an_object_of_one_side_takes_the_size_of_the_others():
    merged = merge_directions(Side({1: ONE}, {1: 1.0}), Side({1: torch.ones(2, 8), 2: torch.ones(2, 8)}, {1: 1.0}), 0.5)
    assert {number: probs.shape for number, probs in merged.items()} == {1: ONE.shape, 2: ONE.shape}
    assert torch.equal(merged[2], torch.ones(1, 4))
    assert torch.equal(merge_directions(Side({}, {}), Side({1: ONE}, {1: 1.0}), 0.5)[1], ONE)
    assert merge_directions(Side({}, {}), Side({}, {}), 0.5) == {}


def test_given_masks_on_both_sides_of_a_gap_meet_in_it(moving_square):
    frames, masks = moving_square
    segmenter = VideoSegmenter("lab")
    forward, backward = segmenter.tracker(), segmenter.tracker()
    forward.step(frames[0], masks[0])
    backward.step(frames[5], np.where(masks[5] > 0, 4, 0))  # another object of the same place
    forward.step(frames[1])
    for t in (4, 3, 2, 1):
        backward.step(frames[t])
    merged = merge_directions(Side(forward.probabilities, {}), Side(backward.probabilities, {}), 0.2)
    assert set(merged) == {4, 9}
    ids = segmenter.tracker().draw(frames[1], merged)
    assert np.mean((ids > 0) != (masks[1] > 0)) < 0.05
