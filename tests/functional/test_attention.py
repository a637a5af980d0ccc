"""local_attention against a loop over queries, references and window positions."""

import pytest
import torch
from torch import Tensor

from vos_lightning.functional.attention import local_attention


def looped_attention(query, keys, values, radius, topk=None, temperature=1.0) -> Tensor:
    """The definition, one query position at a time."""
    batch, _, height, width = query.shape
    output = torch.zeros(batch, values.shape[2], height, width, dtype=values.dtype)
    rows = []
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                y0, y1 = max(y - radius, 0), min(y + radius + 1, height)
                x0, x1 = max(x - radius, 0), min(x + radius + 1, width)
                k = keys[b, :, :, y0:y1, x0:x1].permute(0, 2, 3, 1).reshape(-1, keys.shape[2])
                v = values[b, :, :, y0:y1, x0:x1].permute(0, 2, 3, 1).reshape(-1, values.shape[2])
                similarity = k @ query[b, :, y, x] / temperature
                if topk is not None:
                    best = similarity.topk(min(topk, len(similarity)))
                    similarity, v = best.values, v[best.indices]
                rows.append(similarity.softmax(0) @ v)
    return torch.stack(rows).view(batch, height, width, -1).permute(0, 3, 1, 2).to(output.dtype)


def random_inputs(batch, references, channels, value_channels, height, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(height * 100 + width + references)

    def make(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    return (
        make(batch, channels, height, width),
        make(batch, references, channels, height, width),
        make(batch, references, value_channels, height, width),
    )


SHAPES = [
    # batch, references, D, C, height, width, radius: none of them a multiple of the tile
    (1, 1, 4, 1, 5, 7, 2),
    (2, 3, 5, 2, 11, 9, 3),
    (1, 2, 3, 4, 17, 10, 1),
    (2, 1, 4, 3, 9, 19, 0),
    (1, 4, 6, 2, 3, 3, 12),
    (1, 1, 2, 1, 1, 1, 1),
    (1, 2, 3, 2, 1, 20, 4),
]


@pytest.mark.parametrize("topk", [None, 1, 4, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_loop_in_value_and_gradient(shape, topk):
    *sizes, radius = shape
    inputs = random_inputs(*sizes)
    expected = looped_attention(*inputs, radius, topk, temperature=0.7)
    actual = local_attention(*inputs, radius, topk=topk, temperature=0.7)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)

    grad = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for mine, reference in zip(
        torch.autograd.grad(actual, inputs, grad), torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        torch.testing.assert_close(mine, reference, rtol=1e-9, atol=1e-12)


def test_batches_cut_to_bound_the_memory_give_the_same(monkeypatch):
    inputs = random_inputs(5, 2, 4, 3, 10, 12)
    whole = local_attention(*inputs, 2, topk=3)
    monkeypatch.setattr("vos_lightning.functional.tiled_attention.MAX_SIMILARITIES", 1)
    torch.testing.assert_close(local_attention(*inputs, 2, topk=3), whole)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_half_inputs_are_computed_in_float32(dtype):
    inputs = random_inputs(1, 2, 16, 3, 12, 13, dtype)
    expected = looped_attention(*(t.detach().double() for t in inputs), 3)
    actual = local_attention(*inputs, 3)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.double(), expected, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)
    actual.sum().backward()
    assert all(t.grad is not None and t.grad.dtype == dtype for t in inputs)


def test_autocast_changes_nothing():
    inputs = random_inputs(1, 2, 16, 3, 12, 13, torch.float32)
    plain = local_attention(*inputs, 3)
    with torch.autocast("cpu", torch.bfloat16):
        inside = local_attention(*inputs, 3)
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
        ({"radius": -1}, "radius is -1"),
        ({"topk": 0}, "topk is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"backend": "magic"}, "backend is 'magic'"),
    ],
)
def test_nonsense_is_refused(change, message):
    arguments = {
        "query": torch.zeros(1, 2, 4, 5),
        "keys": torch.zeros(1, 1, 2, 4, 5),
        "values": torch.zeros(1, 1, 3, 4, 5),
        "radius": 1,
    }
    with pytest.raises(ValueError, match=message):
        local_attention(**(arguments | change))
