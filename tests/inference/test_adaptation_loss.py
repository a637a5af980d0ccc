"""The adapter's loss against loops over pixels."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vos_lightning.inference.adaptation_loss import adapter_loss, dice_loss, merge_unknown


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
