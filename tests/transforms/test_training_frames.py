"""The frames that an adapter is trained on: bounded, evenly spread, reproducible."""

import numpy as np
import pytest
import torch

from vos_lightning.transforms.training_frames import TrainingFrames


def filled(count, batch_size=4, limit=100, given=(), **options):
    """Frame t is of colour t; its mask is object 7, or 7 and 3 in every second frame."""
    frames = TrainingFrames(4, batch_size, limit, **options)
    for t in range(count):
        ids = np.full((8, 8), 7, np.uint8)
        ids[4:] = 3 if t % 2 else 7
        frames.add(np.full((8, 8, 3), t % 256, np.uint8), ids, t in given)
    return frames


@pytest.fixture
def plain(monkeypatch):
    """Frames without augmentation."""
    monkeypatch.setattr("vos_lightning.transforms.images.ImageAugmentation.__call__", lambda _, *pair: pair)


def test_long_videos_keep_an_even_share_and_all_given_frames():
    kept = [frame.index for frame in filled(1000, limit=16, given=(0, 777))]
    others = [t for t in kept if t not in (0, 777)]
    assert {0, 777} <= set(kept)
    assert 8 <= len(others) <= 16
    assert np.ptp(np.diff(others)) <= 1
    assert others[-1] >= 1000 - 128


@pytest.mark.usefixtures("plain")
def test_batches_hold_what_belongs_together():
    for batch in filled(9, given=(2,)).batches(5):
        colour = batch["frames"][:, 0, 0, 0].long()
        assert batch["frames"].shape == (4, 3, 4, 4)
        assert len(set(colour.tolist())) == 4
        assert torch.equal(batch["t"], torch.where(colour == 2, 0, colour))  # a given mask counts as the first
        assert torch.equal(batch["num_classes"], 2 + (colour > 0).long())
        assert torch.equal(batch["labels"][:, 0, 0], torch.ones(4).long())
        assert torch.equal(batch["labels"][:, 3, 0], 1 + colour % 2)


@pytest.mark.usefixtures("plain")
def test_fewer_frames_than_a_batch_are_drawn_more_than_once():
    (batch,) = filled(2, batch_size=6).batches(1)
    assert len(batch["frames"]) == 6
    assert set(batch["frames"][:, 0, 0, 0].tolist()) <= {0, 1}


def test_frames_before_the_first_object_are_left_out_and_time_starts_with_it():
    frames = TrainingFrames(4, 2)
    for t in range(5):
        frames.add(np.zeros((8, 8, 3), np.uint8), np.full((8, 8), 9 * (t > 1), np.uint8))
    assert [(frame.index, frame.t) for frame in frames] == [(2, 0), (3, 1), (4, 2)]
    assert frames.object_ids == [9]


def test_batches_depend_on_seed_and_name_alone():
    def drawn(**options):
        torch.rand(3)
        return [batch["frames"] for batch in filled(20, **options).batches(3)]

    first = drawn(seed=1, sequence="a")
    assert all(map(torch.equal, first, drawn(seed=1, sequence="a")))
    assert not all(map(torch.equal, first, drawn(seed=2, sequence="a")))
    assert not all(map(torch.equal, first, drawn(seed=1, sequence="b")))
