"""Old references move with their objects."""

import pytest
import torch
import torch.nn.functional as F

from vos_lightning.inference.tracking import propagator as propagator_module
from vos_lightning.inference.tracking.motion import (
    OUT_OF_FRAME,
    STAY,
    Place,
    alike_in_size,
    distinct_shifts,
    move_references,
    places,
    reference_shifts,
    seen_last,
)
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.lab_patches import LabPatches


def test_places_are_those_of_the_pixels_an_object_holds():
    probs = torch.zeros(2, 4, 6, 8)
    probs[0, 1, 1:3, 2:6] = 0.9
    probs[0, 2, 5, 7] = 0.6
    probs[0, 3, 0, 0] = 0.5  # not seen: no majority
    assert places(probs[:, 1:]) == [[(1.5, 3.5, 8), (5.0, 7.0, 1), None], [None, None, None]]


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-1, 4), (5, 0), (0, -7), (6, 0), (-9, 9)])
def test_moved_references_against_a_loop(shift):
    keys, values = torch.rand(1, 2, 3, 5, 7), torch.rand(1, 2, 4, 5, 7)
    moved_keys, moved_values, bias = move_references(keys, values, [1, 0, 1], [shift, STAY, STAY])
    assert torch.equal(moved_keys[0, 1:], keys[0])
    assert torch.equal(moved_values[0, 1:], values[0])
    assert (bias[0, 1:] == 0).all()
    for y in range(5):
        for x in range(7):
            source = y - shift[0], x - shift[1]
            if 0 <= source[0] < 5 and 0 <= source[1] < 7:
                assert torch.equal(moved_keys[0, 0, :, y, x], keys[0, 1, :, *source])
                assert torch.equal(moved_values[0, 0, :, y, x], values[0, 1, :, *source])
                assert bias[0, 0, y, x] == 0
            else:
                assert (moved_values[0, 0, :, y, x] == 0).all()
                assert bias[0, 0, y, x] == OUT_OF_FRAME


def test_objects_that_move_together_share_a_shift():
    then = [at(0, 0), at(3, 3), at(1, 1), None, at(5, 5), at(9, 9)]
    now = [at(0.4, 0), at(4, 2), at(6, 1), at(1, 1), None, at(9, 18)]
    assert distinct_shifts(then, now, slack=2) == [(0, 0), (5, 0), (0, 9)]
    assert distinct_shifts([None], [at(1, 1)], slack=2) == [(0, 0)]


def test_what_came_from_outside_of_the_frame_is_never_matched():
    """Also with raw dot products, where zero would be a similarity like any other."""
    generator = torch.Generator().manual_seed(0)
    query, keys = torch.randn(8, 6, 6, generator=generator), torch.randn(1, 2, 8, 6, 6, generator=generator) - 1
    moved_keys, values, bias = move_references(keys, torch.ones(1, 2, 1, 6, 6), [0, 1], [(2, -3), STAY])
    similarity = torch.einsum("dij,rdij->rij", query, moved_keys[0]) + bias[0]
    outside = torch.zeros(6, 6, dtype=torch.bool)
    outside[:2] = outside[:, 3:] = True
    assert (similarity[0][outside] < 0.9 * OUT_OF_FRAME).all()
    torch.testing.assert_close(similarity[0][2:, :3], (query[:, 2:, :3] * keys[0, 0][:, :4, 3:]).sum(0))
    torch.testing.assert_close(similarity[1], (query * keys[0, 1]).sum(0))
    assert torch.equal(values[0, 0, 0] == 0, outside)


def at(row, column, area=9.0):
    return Place(row, column, area)


def test_what_is_not_seen_stays_where_it_was():
    assert seen_last([None, at(2, 2), at(0, 1)], [at(1, 1), at(3, 3)]) == [at(1, 1), at(2, 2), at(0, 1)]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([19], [4], True),  # 20 / 5
        ([20], [4], False),
        ([4], [19], True),
        ([4], [20], False),
        ([None], [2], True),  # 1 / 3
        ([None], [4], False),
        ([500, 10], [5, 11], True),  # one of them will do
        ([500, 10], [5, 90], False),
        ([500, None], [5, None], True),  # nowhere in both
    ],
)
def test_references_with_objects_of_other_sizes_are_told_from_the_rest(one, other, expected):
    frames = [[None if area is None else at(1, 1, area) for area in frame] for frame in (one, other)]
    assert alike_in_size(*frames, ratio=4.01) is expected


def test_given_frames_with_objects_of_another_size_are_passed_over(monkeypatch):
    """How many references are read says which were."""
    counts = []
    real = propagator_module.local_attention

    def spied(query, keys, *rest, **settings):
        counts.append(keys.shape[1])
        return real(query, keys, *rest, **settings)

    monkeypatch.setattr(propagator_module, "local_attention", spied)
    masks = []
    for side in (8, 48, 40):  # areas in positions: 4, 144, 100
        masks.append(torch.zeros(64, 64, dtype=torch.uint8))
        masks[-1][:side, :side] = 1
    frames = [(mask * 200).expand(3, -1, -1).contiguous() for mask in masks]
    for ratio, expected in ((None, [3, 4]), (4.0, [2, 3])):
        settings = TrackingSettings(
            None, 4, (1, 2), max_given=3, follow=False, colour_weight=0.0, size_ratio=ratio, edges=False
        )
        followed = ReconstructionPropagator(LabPatches(), settings=settings)
        followed.remember(frames[0], masks[0])
        followed.remember(frames[1], masks[1])
        followed.step(frames[2], masks[2])
        counts.clear()
        for _ in range(2):
            followed.step(frames[2])
        assert counts == expected


def test_given_frames_follow_every_group_and_recent_ones_a_group_each():
    then, now = [at(0, 0), at(5, 5)], [at(0, 9), at(5, 5)]
    rows, shifts = reference_shifts((30, 9, 3, 2, 1), (False, *4 * [True]), 5 * [then], now, slack=4)
    assert rows == [0, 0, 1, 2, 3, 4]
    assert shifts == [(0, 9), (0, 0), (0, 0), (0, 9), (0, 0), (0, 0)]


def settings_of(radius, offsets, follow=True):
    return TrackingSettings(radius, 10, offsets, follow=follow, colour_weight=0.0, mutual_weight=0.0)


def scene(steps, speed):
    """A textured box that moves right over a plain, slightly noisy ground: frames and their masks."""
    generator = torch.Generator().manual_seed(0)
    box = F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), scale_factor=4)[0] * 200 + 55
    frames, masks = [], []
    for t in range(steps):
        frame = torch.rand(3, 64, 192, generator=generator) * 20
        mask = torch.zeros(64, 192, dtype=torch.uint8)
        where = (slice(20, 44), slice(8 + t * speed, 32 + t * speed))
        frame[:, *where], mask[where] = box, 1
        frames.append(frame.to(torch.uint8))
        masks.append(mask)
    return frames, masks


@pytest.mark.parametrize("follow", [True, False])
def test_the_first_frame_alone_holds_an_object_far_beyond_its_window_if_it_follows(follow):
    frames, masks = scene(18, speed=8)
    settings = settings_of(4, (), follow)
    propagator = ReconstructionPropagator(LabPatches(), settings=settings)
    predicted = [propagator.step(frame, masks[0] if t == 0 else None) for t, frame in enumerate(frames)]
    overlap = ((predicted[-1] == 1) & (masks[-1] == 1)).sum() / ((predicted[-1] == 1) | (masks[-1] == 1)).sum()
    assert overlap > 0.9 if follow else overlap < 0.1


def test_an_object_that_is_out_of_sight_is_awaited_where_it_was_last():
    frames, masks = scene(12, speed=8)
    frames[6:10] = [torch.zeros_like(frames[0])] * 4
    settings = settings_of(10, (1,))
    propagator = ReconstructionPropagator(LabPatches(), settings=settings)
    predicted = [propagator.step(frame, masks[0] if t == 0 else None) for t, frame in enumerate(frames)]
    assert not any(p.any() for p in predicted[8:10])
    # out of the first frame's own window, 10 positions or 40 pixels, by then
    assert ((predicted[-1] == 1) & (masks[-1] == 1)).sum() / masks[-1].sum() > 0.6


def test_two_objects_that_part_are_both_followed():
    """One goes left, one goes right, each beyond the window of the only reference."""
    generator = torch.Generator().manual_seed(1)
    boxes = [F.interpolate(torch.rand(1, 3, 6, 6, generator=generator), scale_factor=4)[0] * 200 + 55 for _ in "ab"]
    frames, masks = [], []
    for t in range(9):
        frame, mask = torch.rand(3, 64, 256, generator=generator) * 20, torch.zeros(64, 256, dtype=torch.uint8)
        for i, x in enumerate((100 - 8 * t, 132 + 8 * t)):
            frame[:, 20:44, x : x + 24], mask[20:44, x : x + 24] = boxes[i], i + 1
        frames.append(frame.to(torch.uint8))
        masks.append(mask)
    settings = settings_of(4, ())
    propagator = ReconstructionPropagator(LabPatches(), settings=settings)
    predicted = [propagator.step(frame, masks[0] if t == 0 else None) for t, frame in enumerate(frames)]
    for i in (1, 2):
        assert ((predicted[-1] == i) & (masks[-1] == i)).sum() / ((predicted[-1] == i) | (masks[-1] == i)).sum() > 0.9
