"""Local attention with gradients, by blocks, against its definition."""

import pytest
import torch

from tests.functional.attention.attention_cases import random_inputs
from vos_lightning.functional.attention import blocks, local_attention


@pytest.mark.parametrize("radius", [3, (2, 5), None])
@pytest.mark.parametrize("size", [(21, 37), (8, 16), (33, 9)])
def test_float32_is_exact_to_1e_5(size, radius):
    inputs = random_inputs(2, 2, 8, 3, *size, torch.float32)
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    options = {"radius": radius, "temperature": 0.7}
    read = local_attention(*inputs, **options, backend="tiled")
    expected = local_attention(*exact, **options, backend="reference")
    torch.testing.assert_close(read.double(), expected, rtol=0, atol=1e-5)
    found = torch.autograd.grad(read.square().sum(), inputs)
    for mine, gradient in zip(found, torch.autograd.grad(expected.square().sum(), exact), strict=True):
        assert (mine - gradient).norm() < 1e-5 * gradient.norm()


def test_gradients_are_those_of_finite_differences():
    inputs = random_inputs(1, 2, 3, 2, 3, 18)
    assert torch.autograd.gradcheck(lambda *tensors: local_attention(*tensors, (1, 2), temperature=0.7), inputs)


@pytest.mark.parametrize("topk", [None, 3])
def test_affinities_computed_again_are_those_kept(topk, monkeypatch):
    inputs = random_inputs(2, 2, 4, 3, 10, 20)
    kept = torch.autograd.grad(local_attention(*inputs, 2, topk=topk).square().sum(), inputs)
    monkeypatch.setattr(blocks, "MAX_KEPT", 0)
    again = torch.autograd.grad(local_attention(*inputs, 2, topk=topk).square().sum(), inputs)
    assert all(map(torch.equal, kept, again))


def test_channels_last_stay_last():
    """Else each gradient would be laid out anew by what comes next."""
    query, keys, values = random_inputs(2, 1, 4, 3, 9, 20)
    query = query.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    read = local_attention(query, keys, values, 2)
    assert read.is_contiguous(memory_format=torch.channels_last)
    assert torch.autograd.grad(read.sum(), query)[0].is_contiguous(memory_format=torch.channels_last)


def test_under_bfloat16_autocast_gradients_are_rounded_and_no_more():
    inputs = random_inputs(2, 1, 16, 3, 12, 20, torch.float32)
    exact = torch.autograd.grad(local_attention(*inputs, 3).square().sum(), inputs)
    with torch.autocast("cpu", torch.bfloat16):
        read = local_attention(*inputs, 3)
    rounded = torch.autograd.grad(read.square().sum(), inputs)
    for mine, expected in zip(rounded[:2], exact[:2], strict=True):
        assert 0 < (mine - expected).norm() < 2**-8 * expected.norm()
    assert torch.equal(rounded[2], exact[2])
