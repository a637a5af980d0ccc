"""Which frames are references, for how long, and what the memory hands out."""

import pytest
import torch

from vos_lightning.errors import VOSError
from vos_lightning.inference.tracking.memory_bank import MemoryBank, latest_given
from vos_lightning.inference.tracking.settings import TrackingSettings

FIRST = frozenset({1, 2})
LAST_FOUR = TrackingSettings(offsets=(1, 2, 3, 4))


def frame(index: int, channels: int = 3):
    return torch.full((4, 2, 3), float(index)), torch.full((channels, 2, 3), float(-index))


@pytest.mark.parametrize(
    ("t", "given", "expected"),
    [
        (1, [0], [0]),
        (3, [0], [0, 1, 2]),
        (10, [0], [0, 6, 7, 8, 9]),
        (10, [5], [5, 6, 7, 8, 9]),  # frames before the first mask hold nothing
        (10, [0, 4, 7], [0, 4, 6, 7, 8, 9]),
        (10, [0, 10, 12], [0, 6, 7, 8, 9]),
    ],
)
def test_references_are_given_and_recent_frames(t, given, expected):
    assert LAST_FOUR.reference_indices(t, given) == expected


def test_recent_frames_may_be_spread():
    policy = TrackingSettings(offsets=(1, 3, 9))
    assert policy.reference_indices(20) == [0, 11, 17, 19]
    assert policy.reference_indices(5) == [0, 2, 4]
    assert policy.horizon == 9


def test_no_recent_frames_leaves_the_first():
    assert TrackingSettings(offsets=()).reference_indices(50) == [0]


def test_a_radius_of_its_own_for_given_frames_once_they_are_not_recent():
    settings = TrackingSettings(12, offsets=(1, 2), given_radius=30)
    assert settings.radii(10, [0, 8, 9]) == [30, 12, 12]
    assert settings.radii(2, [0, 1]) == [12, 12]
    assert TrackingSettings(7).radii(10, [0, 8, 9]) == [7, 7, 7]
    assert TrackingSettings(None).radii(10, [0]) == [None]


def test_the_latest_given_masks_of_each_object_stay():
    given = {0: FIRST, 3: frozenset({1}), 5: frozenset({2, 7}), 6: frozenset({1})}
    assert list(latest_given(given, 1)) == [5, 6]
    assert list(latest_given(given, 2)) == [0, 3, 5, 6]
    assert list(latest_given({0: FIRST, 5: frozenset({7})}, 1)) == [0, 5]
    assert latest_given({}, 3) == {}


@pytest.mark.parametrize(
    "option",
    [
        {"offsets": (0,)},
        {"offsets": (1, -2)},
        {"given_radius": -1},
        {"radius": -1},
        {"topk": 0},
        {"max_given": 0},
        {"colour_weight": 1.0},
        {"colour_weight": float("nan")},
        {"mutual_weight": -0.1},
        {"mutual_weight": float("inf")},
        {"max_size": 0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(option):
    with pytest.raises(VOSError, match=f"tracking: {next(iter(option))} is"):
        TrackingSettings(**option)


def test_every_reference_asked_for_is_still_there():
    settings = TrackingSettings(offsets=(2, 5), max_given=1)
    bank = MemoryBank(settings)
    for t in range(40):
        if t:
            indices = settings.reference_indices(t, bank.given)
            keys, values = bank.read(indices)
            assert keys[0, :, 0, 0, 0].tolist() == indices
            assert values[0, :, 0, 0, 0].tolist() == [-i for i in indices]
        given = {0: FIRST, 7: FIRST, 20: frozenset({5}), 25: frozenset({1})}.get(t, frozenset())
        bank.write(t, *frame(t), given)
    assert bank.given == [7, 20, 25]
    assert len(bank) == 5 + 3


def test_memory_is_bounded_however_many_masks_are_given():
    bank = MemoryBank(TrackingSettings(offsets=(1, 2, 3, 4), max_given=3))
    for t in range(200):
        bank.write(t, *frame(t), frozenset({1 + t % 2}))
        assert len(bank) <= 2 * 3
    assert bank.given == list(range(194, 200))


def test_new_channels_are_zero_in_the_frames_before():
    bank = MemoryBank(LAST_FOUR)
    bank.write(0, *frame(1), FIRST)
    bank.add_channels(2)
    values = bank.read([0])[1]
    assert values.shape == (1, 1, 5, 2, 3)
    assert (values[0, 0, :3] == -1).all()
    assert (values[0, 0, 3:] == 0).all()


def test_a_forgotten_frame_is_an_error():
    bank = MemoryBank(TrackingSettings(offsets=(1,)))
    for t in range(3):
        bank.write(t, *frame(t))
    with pytest.raises(KeyError):
        bank.read([0])
