"""The frames an adapter learns from: bounded, fair, reproducible."""

import numpy as np
import torch

from vos_lightning.inference.adaptation_frames import Seen, TrainingFrame, TrainingFrames
from vos_lightning.inference.adaptation_masks import PackedMask, put_over

EMPTY = PackedMask(np.zeros((2, 2), np.uint8))


def keep(image, labels):
    return image, labels


def frame(t, given=False):
    image = np.full((4, 4, 3), t % 256, np.uint8)
    labels = np.full((4, 4), int(t % 2), np.uint8)
    return TrainingFrame(image, labels, Seen(t, EMPTY, 2, EMPTY if given else None), 1 / (1 + t))


def filled(count, limit=100, given=()):
    frames = TrainingFrames(limit)
    for t in range(count):
        frames.add(frame(t, t in given))
    return frames


def test_long_videos_keep_an_even_share_and_all_given_frames():
    kept = [one.seen.t for one in filled(1000, limit=16, given=(0, 777))]
    others = [t for t in kept if t not in (0, 777)]
    assert {0, 777} <= set(kept)
    assert 8 <= len(others) <= 16
    assert np.ptp(np.diff(others)) <= 1
    assert others[-1] >= 1000 - 128


def test_batches_hold_what_belongs_together():
    for batch in filled(9).batches(5, 4, 3, keep, torch.Generator().manual_seed(0)):
        t = batch.frames[:, 0, 0, 0]
        assert batch.frames.shape == (4, 3, 4, 4)
        assert len(set(t.tolist())) == 4
        assert torch.equal(batch.labels[:, 0, 0], t.long() % 2)
        assert torch.allclose(batch.weights, 1 / (1 + t.float()))
        assert batch.known.tolist() == [[True, True, False]] * 4


def test_fewer_frames_than_a_batch_are_drawn_more_than_once():
    (batch,) = filled(2).batches(1, 6, 2, keep, torch.Generator().manual_seed(0))
    assert len(batch.frames) == 6
    assert set(batch.frames[:, 0, 0, 0].tolist()) <= {0, 1}


def test_packed_masks_come_back_as_they_were():
    ids = np.random.default_rng(0).integers(0, 256, (31, 17)).astype(np.uint8)
    assert np.array_equal(PackedMask(ids).ids(), ids)
    assert np.array_equal(PackedMask(ids[:, ::2]).ids(), ids[:, ::2])


def test_a_given_mask_replaces_the_objects_it_holds_and_no_others():
    ids, given = np.array([[1, 1, 2, 0]], np.uint8), np.array([[0, 1, 0, 0]], np.uint8)
    assert put_over(ids, given).tolist() == [[0, 1, 2, 0]]
