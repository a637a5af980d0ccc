"""Tag losses against loops over pixels, clips and equations."""

import math

import pytest
import torch

from vos_lightning.functional.cutout import cutout_masks
from vos_lightning.functional.tags import sample_tags, tag_bce_loss, tag_pull_loss, tag_push_loss

SEEDS = torch.tensor([11, 12, 13])


@pytest.fixture
def groups():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 40, generator=generator), torch.rand(3, 40, generator=generator)


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


def test_pull_is_the_variance_of_equations_4_and_5(groups):
    inside, _ = groups
    expected = []
    for tags in inside.tolist():
        mean = sum(tags) / len(tags)
        expected.append(sum((h - mean) ** 2 for h in tags) / len(tags))
    assert tag_pull_loss(inside).item() == pytest.approx(sum(expected) / 3, rel=1e-5)
    assert tag_pull_loss(torch.full((2, 5), 0.3)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.5, 1.0])
def test_push_is_what_equation_6_says(groups, margin):
    inside, outside = groups
    expected = []
    for cut, rest in zip(inside.tolist(), outside.tolist(), strict=True):
        expected.append(max(0, margin - abs(sum(rest) / len(rest) - sum(cut) / len(cut))))
    assert tag_push_loss(inside, outside, margin).item() == pytest.approx(sum(expected) / 3, rel=1e-4, abs=1e-9)


def test_push_stops_at_the_margin_on_either_side():
    low, high = torch.full((1, 4), 0.2), torch.full((1, 4), 0.9)
    assert tag_push_loss(low, high, 0.5) == 0
    assert tag_push_loss(high, low, 0.5) == 0
    assert tag_push_loss(low, high, 0.8).item() == pytest.approx(0.1)


@pytest.mark.parametrize("autocast", [False, True])
def test_bce_takes_the_cutout_for_zero_and_the_rest_for_one(groups, autocast):
    inside, outside = groups
    terms = [-math.log(1 - h) for h in inside.flatten().tolist()] + [-math.log(h) for h in outside.flatten().tolist()]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert tag_bce_loss(inside, outside).item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)
