"""Which frames are tracked from where."""

import pytest

pytest.importorskip("starlette", reason="needs the studio extra")

from vos_lightning.studio.passes import Given, Passes

ONE, OTHER, BOTH, NONE = (Given(frozenset(ids), f"{sum(ids)}") for ids in ([1], [2], [1, 2], []))


def test_passes_lead_from_given_frames_to_the_next_ones():
    passes = Passes({3: ONE, 0: ONE, 6: NONE}, 8)
    assert passes.anchors == [0, 3]
    assert passes.keys == {"forward-00000-1-00003-1", "backward-00000-1-00003-1", "forward-00003-1-00000-1",
                           "backward-00003-1-00000-1"}  # fmt: skip
    assert passes.starting_at(3, "forward").frames == range(4, 8)
    assert passes.starting_at(0, "forward").frames == range(1, 3)
    assert passes.starting_at(3, "backward").frames == range(2, 0, -1)


def test_the_pass_forward_comes_first():
    passes = Passes({1: ONE, 5: BOTH}, 8)
    forward, backward = passes.starting_at(1, "forward").key, passes.starting_at(5, "backward").key
    assert [passes.keys_at(frame) for frame in (2, 4)] == [[forward, backward]] * 2
    assert passes.keys_at(0) == [passes.starting_at(1, "backward").key]
    assert passes.keys_at(7) == [passes.starting_at(5, "forward").key]
    one, other, last = (passes.starting_at(*way) for way in ((1, "forward"), (5, "backward"), (5, "forward")))
    assert passes.beside(one) == passes.beside(other) == [one, other]
    assert passes.beside(last) == [last]


def test_frames_that_share_no_object_know_nothing_of_one_another():
    passes = Passes({0: ONE, 4: OTHER}, 8)
    assert passes.starting_at(0, "forward").other is None
    assert passes.starting_at(0, "forward").frames == range(1, 4)  # all the way: 4 doesn't hold object 1
    assert passes.starting_at(0, "forward").key == Passes({0: ONE}, 8).starting_at(0, "forward").key
    assert passes.starting_at(0, "forward").key not in passes.keys_at(5)


def test_nothing_given_means_nothing_to_track():
    assert Passes({}, 5).keys_at(2) == []
    assert Passes({0: NONE}, 5).keys == frozenset()
