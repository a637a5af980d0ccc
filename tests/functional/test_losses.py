"""The losses against loops over pixels, clips and the papers' equations."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vos_lightning.functional.losses import (
    adapter_loss,
    cutout_reconstruction_loss,
    dice_loss,
    merge_unknown,
    reconstruction_loss,
    tag_bce_loss,
    tag_pull_loss,
    tag_push_loss,
)


def test_the_reconstruction_loss_is_smooth_l1_of_twenty_times_the_colours():
    reconstruction, target = torch.tensor([0.0, 0.0]), torch.tensor([0.01, 0.5])
    # 20 · 0.01 = 0.2 is in the quadratic part, 20 · 0.5 = 10 in the linear one
    assert reconstruction_loss(reconstruction, target).item() == pytest.approx((0.5 * 0.2**2 + (10 - 0.5)) / 2)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_cutout_loss_is_that_of_equations_2_and_3(autocast):
    reconstruction, target = 3 * torch.randn(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    total = 0.0
    for prediction, truth in zip(reconstruction.flatten().tolist(), target.flatten().tolist(), strict=True):
        gap = abs(prediction - truth)
        total += 0.5 * gap**2 if gap < 1 else gap - 0.5
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = cutout_reconstruction_loss(reconstruction, target)
    assert loss.item() == pytest.approx(total / target.numel(), rel=1e-5)


@pytest.fixture
def groups():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, 40, generator=generator), torch.rand(3, 40, generator=generator)


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


def reference(logits, labels, weights, known):
    """Cross entropy and Dice of each frame by loops."""
    total = 0.0
    B, C, H, W = logits.shape
    for b in range(B):
        told = [k for k in range(C) if known[b][k]]
        probs = torch.zeros(C, H, W)
        entropy = 0.0
        for y in range(H):
            for x in range(W):
                e = [math.exp(logits[b, k, y, x]) for k in range(C)]
                for k in range(C):
                    probs[k if k in told else 0, y, x] += e[k] / sum(e)
                entropy -= math.log(probs[labels[b, y, x], y, x]) / (H * W)
        dice = 0.0
        for k in told:
            target = (labels[b] == k).float()
            overlap, area = (probs[k] * target).sum(), probs[k].sum() + target.sum()
            dice += float(1 - (2 * overlap + 1) / (area + 1)) / len(told)
        total += float(weights[b]) * (entropy + dice) / B
    return total


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
@example(seed=6803, classes=3)  # only the background is known: 0, and rounding in the loop
def test_the_loss_is_that_of_a_loop(seed, classes):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, classes, 4, 5, generator=generator)
    counts = torch.randint(1, classes + 1, (3,), generator=generator)
    known = torch.arange(classes) < counts[:, None]
    labels = torch.stack([torch.randint(int(count), (4, 5), generator=generator) for count in counts])
    weights = torch.rand(3, generator=generator)
    loss = adapter_loss(logits, labels, weights, known)
    assert loss.item() == pytest.approx(reference(logits, labels, weights, known), rel=1e-4, abs=1e-6)


def test_an_unknown_object_taken_for_itself_costs_no_more_than_as_background():
    labels = torch.zeros(1, 4, 4, dtype=torch.int64)
    known = torch.tensor([[True, True, False]])
    itself, background = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    itself[:, 2] = background[:, 0] = 9
    loss = adapter_loss(itself, labels, torch.ones(1), known)
    assert loss.item() == pytest.approx(adapter_loss(background, labels, torch.ones(1), known).item(), abs=1e-4)
    assert adapter_loss(itself, labels, torch.ones(1)).item() > 5


def test_merged_probabilities_sum_to_one_and_unknown_ones_are_zero():
    logits = torch.randn(2, 4, 3, 3)
    known = torch.tensor([[True, True, False, False], [True, True, True, True]])
    probs = merge_unknown(logits, known).softmax(1)
    plain = logits.softmax(1)
    assert torch.allclose(probs[0, 0], plain[0, [0, 2, 3]].sum(0))
    assert torch.allclose(probs[0, 1], plain[0, 1])
    assert not probs[0, 2:].any()
    assert torch.equal(probs[1], plain[1])


def test_weights_weigh_frames():
    logits, labels = torch.randn(2, 2, 4, 4), torch.randint(2, (2, 4, 4))
    one = adapter_loss(logits[:1], labels[:1], torch.ones(1))
    assert torch.isclose(adapter_loss(logits, labels, torch.tensor([2.0, 0.0])), one)


def test_a_class_that_is_rightly_nowhere_costs_nothing():
    probs = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    assert dice_loss(probs, torch.zeros(1, 8, 8, dtype=torch.int64)).item() == pytest.approx(0, abs=1e-6)
