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
    objects.see(masks)
    masks[1] = 0
    masks[0] = masks[0].roll(1, 0)
    objects.see(masks)
    assert objects.seen_at == [(2.0, 1.0, 1.0), (2.0, 3.0, 1.0)]
