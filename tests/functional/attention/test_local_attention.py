"""local_attention against its definition, in value and gradient."""

from functools import partial

import pytest
import torch

from tests.functional.attention.attention_cases import SHAPES, check, random_bias, random_inputs
from vos_lightning.functional.attention import local_attention

reference = partial(local_attention, backend="reference")
tiled = partial(local_attention, backend="tiled")


@pytest.mark.parametrize("topk", [None, 1, 4, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_equal_the_definition(shape, topk):
    *sizes, radius = shape
    inputs = random_inputs(*sizes)
    options = {"radius": radius, "topk": topk, "temperature": 0.7}
    check(tiled(*inputs, **options), reference(*inputs, **options), inputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("topk", [None, 3, 20])
@pytest.mark.parametrize("radii", [(1, 4, 1), (30, 2, 0), (2, 2, 2), (None, 3, 0)])
def test_each_reference_may_have_a_radius_of_its_own(radii, topk):
    inputs = random_inputs(2, 3, 4, 2, 9, 13)
    options = {"radius": radii, "topk": topk, "temperature": 0.7}
    check(tiled(*inputs, **options), reference(*inputs, **options), inputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("topk", [None, 3])
@pytest.mark.parametrize("radii", [(2, 2, 2), (1, None, 4), None])
def test_a_bias_is_added_to_the_similarities(radii, topk):
    inputs = random_inputs(2, 3, 4, 2, 9, 13)
    bias = random_bias(inputs[1])
    options = {"radius": radii, "bias": bias, "topk": topk, "temperature": 0.7}
    backends = ["tiled", "auto"] if radii is not None or topk is not None else ["tiled", "auto", "dense"]
    for backend in backends:
        actual = local_attention(*inputs, **options, backend=backend)
        check(actual, reference(*inputs, **options), (*inputs, bias), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weight", [0.5, 2.0])
@pytest.mark.parametrize("topk", [None, 3])
@pytest.mark.parametrize("radii", [(2, 2, 2), (1, None, 4), None])
def test_matches_of_both_sides_count_for_more(radii, topk, weight):
    """The maxima are constants to the gradient, in each form."""
    inputs = random_inputs(2, 3, 4, 2, 9, 13)
    bias = random_bias(inputs[1])
    options = {"radius": radii, "bias": bias, "mutual": weight, "topk": topk, "temperature": 0.7}
    for backend in ["tiled", "auto"] if radii is not None or topk is not None else ["tiled", "auto", "dense"]:
        actual = local_attention(*inputs, **options, backend=backend)
        check(actual, reference(*inputs, **options), (*inputs, bias), rtol=1e-9, atol=1e-12)


def test_a_match_counts_for_less_by_what_the_key_finds_more_alike():
    """Similarities by hand: of the two keys both queries like the first better, but it likes one of them best."""
    query = torch.tensor([[1.0, 0.8]]).view(1, 1, 1, 2)
    keys = torch.tensor([[2.0, 1.5]]).view(1, 1, 1, 1, 2)
    values = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)
    # s = [[2, 1.5], [1.6, 1.2]], the keys' best are 2 and 1.5
    expected = [[2 - 0, 1.5 - 0], [1.6 - 3 * 0.4, 1.2 - 3 * 0.3]]
    read = local_attention(query, keys, values, 1, mutual=3.0)[0, 0, 0]
    torch.testing.assert_close(read, torch.tensor(expected).softmax(-1)[:, 0])


@pytest.mark.parametrize("backend", ["reference", "tiled", "dense"])
def test_a_bias_may_exclude_keys_and_leaves_the_rest_finite(backend):
    """A key that is excluded is not read, and where all are, the result is some mean of theirs."""
    query, keys, values = random_inputs(1, 2, 4, 2, 6, 7, torch.float32)
    bias = torch.zeros(1, 2, 6, 7)
    bias[:, 0] = -1e4
    options = {"radius": None, "temperature": 0.05, "backend": backend}
    readout = local_attention(query, keys, values, bias=bias, **options)
    torch.testing.assert_close(readout, local_attention(query, keys[:, 1:], values[:, 1:], **options))
    nothing = local_attention(query, keys, values, bias=torch.full_like(bias, -1e4), **options)
    assert nothing.min() >= values.min()
    assert nothing.max() <= values.max()
    grads = torch.autograd.grad(nothing.sum(), (query, keys, values))
    assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("channels", [4, 6])
def test_whole_frames_equal_the_definition(channels, cut, monkeypatch):
    if cut:
        monkeypatch.setattr("vos_lightning.functional.attention.dense.MAX_SIMILARITIES", 2 * 3 * 35 * 4)
    inputs = random_inputs(2, 3, 4, channels, 5, 7)
    expected = reference(*inputs, None, temperature=0.7)
    check(local_attention(*inputs, 6 if cut else None, temperature=0.7), expected, inputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", ["tiled", "dense"])
def test_no_gradient_is_computed_for_what_needs_none(backend):
    query, keys, values = random_inputs(1, 2, 4, 2, 6, 7)
    read = partial(local_attention, radius=None, backend=backend)
    expected = torch.autograd.grad(read(query, keys, values).sum(), query)
    keys, values = keys.detach(), values.detach()
    assert torch.equal(torch.autograd.grad(read(query, keys, values).sum(), query)[0], expected[0])


def test_batches_cut_to_bound_the_memory_give_the_same(monkeypatch):
    inputs = random_inputs(5, 2, 4, 3, 10, 12)
    whole = tiled(*inputs, 2, topk=3)
    monkeypatch.setattr("vos_lightning.functional.attention.blocks.MAX_SIMILARITIES", 1)
    torch.testing.assert_close(tiled(*inputs, 2, topk=3), whole)


@pytest.mark.parametrize("radius", [3, None])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_half_inputs_are_computed_in_float32(dtype, radius):
    inputs = random_inputs(1, 2, 16, 3, 12, 13, dtype)
    expected = reference(*(t.detach().double() for t in inputs), radius)
    actual = local_attention(*inputs, radius)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)
    actual.sum().backward()
    assert all(t.grad is not None and t.grad.dtype == dtype for t in inputs)


@pytest.mark.parametrize("radius", [3, None])
def test_autocast_changes_nothing(radius):
    inputs = random_inputs(1, 2, 16, 3, 12, 13, torch.float32)
    plain = local_attention(*inputs, radius)
    with torch.autocast("cpu", torch.bfloat16):
        inside = local_attention(*inputs, radius)
    assert torch.equal(plain, inside)


def test_huge_similarities_do_not_overflow():
    query, keys, values = random_inputs(1, 1, 4, 2, 6, 6, torch.float32)
    readout = local_attention(query * 1e4, keys * 1e4, values, 2)
    assert readout.isfinite().all()


def test_readout_of_a_constant_is_that_constant_at_the_border_too():
    query, keys, _ = random_inputs(1, 3, 4, 1, 9, 9, torch.float32)
    readout = local_attention(query, keys, torch.full((1, 3, 1, 9, 9), 5.0), 12)
    torch.testing.assert_close(readout, torch.full((1, 1, 9, 9), 5.0))


def test_a_translated_frame_is_read_back():
    """Each pixel finds itself again where the frame moved by (1, 2) and the radius reaches it."""
    frame = torch.randn(1, 8, 10, 10, generator=torch.Generator().manual_seed(3))
    frame = torch.nn.functional.normalize(frame, dim=1)
    moved = torch.roll(frame, (1, 2), (2, 3))
    positions = torch.arange(100.0).view(1, 1, 1, 10, 10)
    readout = local_attention(moved, frame[:, None], positions, 2, temperature=1e-3)
    torch.testing.assert_close(readout[0, 0, 1:, 2:], positions[0, 0, 0, :-1, :-2], rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": torch.zeros(1, 3, 4, 5)}, "do not fit the query"),
        ({"values": torch.zeros(1, 1, 3, 4, 4)}, "do not fit the keys"),
        ({"keys": torch.zeros(1, 0, 2, 4, 5)}, "do not fit the query"),
        ({"query": torch.zeros(2, 4, 5)}, "expected query"),
        ({"radius": -1}, "radius is .-1,"),
        ({"topk": 0}, "topk is 0"),
        ({"mutual": -0.1}, "mutual is -0.1"),
        ({"mutual": float("inf")}, "mutual is inf"),
        ({"backend": "batched"}, "needs topk"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"backend": "magic"}, "backend is 'magic'"),
        ({"backend": "fused"}, "needs a CUDA device"),
        ({"backend": "dense"}, "needs radius=None"),
        ({"bias": torch.zeros(1, 1, 4, 4)}, "bias .1, 1, 4, 4. does not fit the keys"),
        ({"radius": (1, 1)}, "one for each of 1 references"),
        ({"radius": ()}, "one for each of 1 references"),
    ],
)
def test_invalid_arguments_are_named(change, message):
    arguments = {
        "query": torch.zeros(1, 2, 4, 5),
        "keys": torch.zeros(1, 1, 2, 4, 5),
        "values": torch.zeros(1, 1, 3, 4, 5),
        "radius": 1,
    }
    with pytest.raises(ValueError, match=message):
        local_attention(**(arguments | change))
