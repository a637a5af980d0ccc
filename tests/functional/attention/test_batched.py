"""Local attention in few operations against its definition."""

import pytest
import torch
import torch.nn.functional as F

from tests.functional.attention.attention_cases import SHAPES, random_bias, random_inputs
from vos_lightning.functional.attention import batched, local_attention


def compare(inputs, tolerance, **options):
    with torch.no_grad():
        expected = local_attention(*inputs, **options, backend="reference")
        torch.testing.assert_close(
            local_attention(*inputs, **options, backend="batched"), expected, rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("mutual", [0.0, 0.5])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("topk", [1, 4, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_few_operations_equal_the_definition(shape, topk, biased, mutual):
    *sizes, radius = shape
    inputs = random_inputs(*sizes)
    bias = random_bias(inputs[1]) if biased else None
    compare(inputs, 1e-9, radius=radius, topk=topk, bias=bias, mutual=mutual, temperature=0.7)
    inputs = random_inputs(*sizes, torch.float32)
    compare(inputs, 1e-4, radius=radius, topk=topk, mutual=mutual, temperature=0.7)


@pytest.mark.parametrize("mutual", [0.0, 0.5])
@pytest.mark.parametrize("topk", [3, 20])
@pytest.mark.parametrize("radii", [(1, 4, 1), (30, 2, 0), (None, 3, 0)])
def test_each_reference_may_have_a_radius_of_its_own(radii, topk, mutual):
    inputs = random_inputs(2, 3, 4, 2, 9, 13)
    compare(inputs, 1e-9, radius=radii, topk=topk, bias=random_bias(inputs[1]), mutual=mutual, temperature=0.7)


@pytest.mark.parametrize(("limit", "value"), [("AT_A_TIME_CPU", 1), ("AT_A_TIME_CPU", 2**40), ("MAX_KEPT", 0)])
@pytest.mark.parametrize("radius", [2, (1, 3)])
def test_pieces_of_any_size_give_the_same(limit, value, radius, monkeypatch):
    monkeypatch.setattr(batched, limit, value)
    inputs = random_inputs(1, 2, 4, 3, 20, 27)
    compare(inputs, 1e-9, radius=radius, topk=3, mutual=0.5)


@pytest.mark.parametrize("radius", [2, (1, 3)])
def test_what_gpus_compute_is_the_same(radius, monkeypatch):
    """All tiles of a frame at once, on a CPU."""
    monkeypatch.setattr(batched, "on_cpu", lambda device: False)
    inputs = random_inputs(1, 2, 4, 3, 20, 27)
    compare(inputs, 1e-9, radius=radius, topk=3, mutual=0.5, bias=random_bias(inputs[1]))


def test_memory_used_again_holds_nothing_of_what_was_there_before():
    """Large frames, then small ones, then large ones of other numbers."""
    for height, width in ((20, 30), (9, 11), (20, 30)):
        inputs = random_inputs(1, 2, 4, 3, height, width)
        compare([tensor * height for tensor in inputs], 1e-9, radius=3, topk=3, mutual=0.5)


@pytest.mark.parametrize("mutual", [0.0, 0.5])
def test_bfloat16_inputs_are_multiplied_as_they_are(mutual):
    """Of unit features, some of which are alike, at the temperature of tracking; against the same in float64."""
    generator = torch.Generator().manual_seed(0)
    keys = F.normalize(torch.randn(1, 3, 32, 20, 24, generator=generator), dim=2)
    query = F.normalize(keys[:, 0] + 0.15 * torch.randn(1, 32, 20, 24, generator=generator), dim=1).bfloat16()
    keys, values = keys.bfloat16(), torch.rand(1, 3, 2, 20, 24, generator=generator)
    options = {"radius": 4, "topk": 6, "mutual": mutual, "temperature": 0.05}
    expected = local_attention(query.double(), keys.double(), values.double(), **options, backend="reference")
    actual = local_attention(query, keys, values, **options)
    assert actual.dtype == torch.float32
    # similarities are rounded by 2**-9 of what they differ from 1: a weight in e^0.2/0.05 changes by 1 %
    assert (actual - expected).abs().mean() < 1e-3
    assert (actual - expected).abs().max() < 0.03


def test_gradients_are_left_to_the_tiles():
    inputs = random_inputs(1, 1, 4, 2, 6, 7)
    with pytest.raises(ValueError, match="need no gradient"):
        local_attention(*inputs, 2, topk=3, backend="batched")
    assert local_attention(*inputs, 2, topk=3).requires_grad
