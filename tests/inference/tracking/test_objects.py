"""Ids in order of arrival, in groups that were given together."""

import torch

from vos_lightning.inference.tracking.objects import Objects


def test_objects_that_were_given_in_the_same_frames_make_a_group():
    objects = Objects(max_given=2)
    assert objects.give(frozenset({7, 3}), t=0) == 2
    assert objects.give(frozenset({200}), t=4) == 1
    assert objects.ids == [3, 7, 200]
    assert objects.groups() == [((0,), [0, 1]), ((4,), [2])]
    assert objects.give(frozenset({7, 5}), t=4) == 1
    assert objects.ids == [3, 7, 200, 5]
    assert objects.groups() == [((0,), [0]), ((4,), [2, 3]), ((0, 4), [1])]
    objects.give(frozenset({7}), t=6)
    assert objects.groups() == [((0,), [0]), ((4,), [2, 3]), ((4, 6), [1])]


def test_objects_out_of_sight_stay_where_they_were_seen_last():
    objects = Objects(max_given=1)
    objects.give(frozenset({1, 2}), t=0)
    masks = torch.zeros(2, 4, 4)
    masks[0, 1, 1] = masks[1, 2, 3] = 1
    objects.see(masks, t=0)
    masks[1] = 0
    masks[0] = masks[0].roll(1, 0)
    objects.see(masks, t=1)
    assert objects.seen_at == [(2.0, 1.0, 1.0), (2.0, 3.0, 1.0)]


def test_of_given_frames_those_count_whose_objects_are_alike_in_size_to_the_latest():
    objects = Objects(max_given=3)
    sides = [(8, 1), (3, 2), (2, 8), (1, 1)]  # of two squares, frame by frame; the last frame is not given
    for t, pair in enumerate(sides):
        if t < 3:
            objects.give(frozenset({1, 2}), t)
        masks = torch.zeros(2, 10, 10)
        for mask, side in zip(masks, pair, strict=True):
            mask[:side, :side] = 1
        objects.see(masks, t)
    assert objects.like_the_latest((0, 1, 2), [0], ratio=4) == (1, 2)
    assert objects.like_the_latest((0, 1, 2), [1], ratio=4) == (2,)
    assert objects.like_the_latest((0, 1, 2), [0, 1], ratio=4) == (1, 2)
    assert objects.like_the_latest((0, 1), [0, 1], ratio=20) == (0, 1)
