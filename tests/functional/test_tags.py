"""Tags are drawn from the cutout and from the rest, by the clip's seed."""

import torch

from vos_lightning.functional.cutout import cutout_masks
from vos_lightning.functional.tags import sample_tags

SEEDS = torch.tensor([11, 12, 13])


def test_samples_come_from_their_group_and_from_all_of_it():
    """Tags that name the pixel: what was drawn can be looked up."""
    cutouts = cutout_masks(SEEDS, (8, 12), "rectangle")
    names = torch.arange(96.0).view(1, 1, 8, 12).expand(3, -1, -1, -1)
    inside, outside = sample_tags(names, cutouts, SEEDS, 2000)
    assert inside.shape == outside.shape == (3, 2000)
    for clip in range(3):
        lost = cutouts[clip].flatten()
        assert set(inside[clip].int().tolist()) == set(lost.nonzero().flatten().tolist())
        assert set(outside[clip].int().tolist()) == set((~lost).nonzero().flatten().tolist())
        counts = torch.bincount(inside[clip].long(), minlength=96)[lost]
        expected = 2000 / lost.sum()
        assert (counts - expected).abs().max() < 6 * expected.sqrt()


def test_samples_of_a_clip_are_the_same_in_any_batch():
    tags, cutouts = torch.rand(3, 1, 16, 16), cutout_masks(SEEDS, (16, 16))
    together = sample_tags(tags, cutouts, SEEDS, 10)
    alone = sample_tags(tags[1:2], cutouts[1:2], SEEDS[1:2], 10)
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a[1:2], b)
    assert not torch.equal(sample_tags(tags, cutouts, SEEDS + 7, 10)[0], together[0])


def test_gradients_reach_the_drawn_pixels_only():
    tags = torch.rand(1, 1, 16, 16, requires_grad=True)
    cutouts = cutout_masks(SEEDS[:1], (16, 16))
    inside, outside = sample_tags(tags, cutouts, SEEDS[:1], 4)
    inside.sum().backward()
    assert 0 < (tags.grad != 0).sum() <= 4
    assert not (tags.grad[0, 0] != 0)[~cutouts[0]].any()
    assert outside.requires_grad
