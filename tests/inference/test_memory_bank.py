"""Which frames are references, for how long, and what the memory hands out."""

import pytest
import torch

from vos_lightning.inference.memory_bank import MemoryBank, ReferencePolicy

FIRST = frozenset({1, 2})


def frame(index: int, channels: int = 3):
    return torch.full((4, 2, 3), float(index)), torch.full((channels, 2, 3), float(-index))


@pytest.mark.parametrize(
    ("t", "anchors", "expected"),
    [
        (1, [0], [0]),
        (3, [0], [0, 1, 2]),
        (10, [0], [0, 6, 7, 8, 9]),
        (10, [5], [5, 6, 7, 8, 9]),  # frames before the first mask hold nothing
        (10, [0, 4, 7], [0, 4, 6, 7, 8, 9]),
        (10, [0, 10, 12], [0, 6, 7, 8, 9]),
    ],
)
def test_references_are_anchors_and_recent_frames(t, anchors, expected):
    assert ReferencePolicy().reference_indices(t, anchors) == expected


def test_recent_frames_may_be_spread():
    policy = ReferencePolicy((1, 3, 9))
    assert policy.reference_indices(20) == [0, 11, 17, 19]
    assert policy.reference_indices(5) == [0, 2, 4]
    assert policy.horizon == 9


def test_no_recent_frames_leaves_the_first():
    assert ReferencePolicy(()).reference_indices(50) == [0]


def test_a_radius_of_its_own_for_given_frames_once_they_are_not_recent():
    policy = ReferencePolicy((1, 2), given_radius=30)
    assert policy.radii(10, [0, 8, 9], 12) == (30, 12, 12)
    assert policy.radii(2, [0, 1], 12) == (12, 12)
    assert ReferencePolicy().radii(10, [0, 8, 9], 12) == (12, 12, 12)


def test_the_latest_given_mask_of_each_object_stays():
    given = {0: FIRST, 3: frozenset({1}), 5: frozenset({2, 7}), 6: frozenset({1})}
    assert ReferencePolicy().anchors(given) == [5, 6]
    assert ReferencePolicy().anchors({0: FIRST, 5: frozenset({7})}) == [0, 5]
    assert ReferencePolicy().anchors({}) == []


@pytest.mark.parametrize("arguments", [{"offsets": (0,)}, {"offsets": (1, -2)}, {"given_radius": -1}])
def test_nonsense_policies_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        ReferencePolicy(**arguments)


def test_every_reference_asked_for_is_still_there():
    policy = ReferencePolicy((2, 5))
    bank = MemoryBank(policy)
    for t in range(40):
        if t:
            indices = policy.reference_indices(t, bank.anchors)
            keys, values = bank.read(indices)
            assert keys[0, :, 0, 0, 0].tolist() == indices
            assert values[0, :, 0, 0, 0].tolist() == [-i for i in indices]
        given = {0: FIRST, 7: FIRST, 20: frozenset({5}), 25: frozenset({1})}.get(t, frozenset())
        bank.write(t, *frame(t), given)
    assert bank.anchors == [7, 20, 25]
    assert len(bank) == 5 + 3


def test_memory_is_bounded_however_many_masks_are_given():
    bank = MemoryBank(ReferencePolicy())
    for t in range(200):
        bank.write(t, *frame(t), frozenset({1 + t % 2}))
        assert len(bank) <= 4 + 2
    assert bank.anchors == [198, 199]


def test_new_channels_are_zero_in_the_frames_before():
    bank = MemoryBank(ReferencePolicy())
    bank.write(0, *frame(1), FIRST)
    bank.add_channels(2)
    values = bank.read([0])[1]
    assert values.shape == (1, 1, 5, 2, 3)
    assert (values[0, 0, :3] == -1).all()
    assert (values[0, 0, 3:] == 0).all()


def test_a_forgotten_frame_is_an_error():
    bank = MemoryBank(ReferencePolicy((1,)))
    for t in range(3):
        bank.write(t, *frame(t))
    with pytest.raises(KeyError):
        bank.read([0])
