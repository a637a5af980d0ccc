"""local_attention against a loop over queries, references and window positions."""

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from vos_lightning.functional import attention, fused_attention
from vos_lightning.functional.attention import largest_similarity, local_attention


def looped_attention(query, keys, values, radius, topk=None, temperature=1.0) -> Tensor:
    """The definition, one query position at a time."""
    batch, _, height, width = query.shape
    radii = [radius] * keys.shape[1] if isinstance(radius, int) else radius
    output = torch.zeros(batch, values.shape[2], height, width, dtype=values.dtype)
    rows = []
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                windows = [
                    (r, slice(max(y - c, 0), y + c + 1), slice(max(x - c, 0), x + c + 1)) for r, c in enumerate(radii)
                ]
                k = torch.cat([keys[b, r, :, rows, columns].flatten(1).T for r, rows, columns in windows])
                v = torch.cat([values[b, r, :, rows, columns].flatten(1).T for r, rows, columns in windows])
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
    check(actual, expected, inputs, rtol=1e-9, atol=1e-12)


def check(actual, expected, inputs, **tolerance):
    """Values and gradients."""
    torch.testing.assert_close(actual, expected, **tolerance)
    grad = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(expected)
    mine = torch.autograd.grad(actual, inputs, grad.to(actual))
    for gradient, reference in zip(mine, torch.autograd.grad(expected, inputs, grad), strict=True):
        torch.testing.assert_close(gradient, reference, **tolerance)


@pytest.mark.parametrize("topk", [None, 3, 20])
@pytest.mark.parametrize("radii", [(1, 4, 1), (30, 2, 0), (2, 2, 2)])
def test_each_reference_may_have_a_radius_of_its_own(radii, topk):
    inputs = random_inputs(2, 3, 4, 2, 9, 13)
    expected = looped_attention(*inputs, radii, topk, temperature=0.7)
    actual = local_attention(*inputs, radii, topk=topk, temperature=0.7)
    check(actual, expected, inputs, rtol=1e-9, atol=1e-12)


def test_no_gradient_is_computed_for_what_needs_none():
    query, keys, values = random_inputs(1, 2, 4, 2, 6, 7)
    expected = torch.autograd.grad(local_attention(query, keys, values, 2).sum(), query)
    keys, values = keys.detach(), values.detach()
    assert torch.equal(torch.autograd.grad(local_attention(query, keys, values, 2).sum(), query)[0], expected[0])


FUSED_SHAPES = [
    # batch, references, D, C, height, width, radius: within one tile, whole tiles, parts of tiles
    (1, 1, 4, 1, 5, 7, 2),
    (2, 2, 5, 2, 16, 32, 3),
    (1, 2, 3, 4, 17, 35, (1, 9)),
    (1, 3, 4, 3, 9, 19, 0),
    (1, 1, 2, 1, 1, 1, 1),
]


@pytest.mark.parametrize("shape", FUSED_SHAPES)
@pytest.mark.filterwarnings("ignore:.*flex_attention.*:UserWarning")
def test_blocks_of_the_fused_kernel_cover_the_windows_exactly(shape):
    """The block mask and the order of the positions, by FlexAttention's own slow reference."""
    *sizes, radius = shape
    inputs = [t.detach() for t in random_inputs(*sizes, torch.float32)]
    radii = (radius,) * sizes[1] if isinstance(radius, int) else radius
    actual = fused_attention.fused_attention(*inputs, radii, 0.7, attend=flex_attention)
    torch.testing.assert_close(actual, looped_attention(*inputs, radius, temperature=0.7), rtol=1e-4, atol=1e-5)


def dense_attention(query, keys, values, block_mask, scale):
    """What the fused kernel computes, differentiable on a CPU."""
    q, k = torch.arange(query.shape[2])[:, None], torch.arange(keys.shape[2])
    similarity = (scale * query @ keys.mT).masked_fill(~block_mask.mask_mod(None, None, q, k), -torch.inf)
    return similarity.softmax(-1) @ values


@pytest.mark.parametrize("shape", FUSED_SHAPES)
def test_gradients_flow_through_the_order_of_tiles(shape):
    *sizes, radius = shape
    inputs = random_inputs(*sizes)
    radii = (radius,) * sizes[1] if isinstance(radius, int) else radius
    actual = fused_attention.fused_attention(*inputs, radii, 0.7, attend=dense_attention)
    check(actual, looped_attention(*inputs, radius, temperature=0.7), inputs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", FUSED_SHAPES)
def test_no_window_reaches_into_a_block_that_the_fused_kernel_skips(shape):
    *_, references, _, _, height, width, radius = (None, *shape)
    radii = (radius,) * references if isinstance(radius, int) else radius
    mask = fused_attention.block_mask(radii, (height, width), torch.device("cpu"))
    rows, columns = mask.kv_num_blocks.shape[-1], mask.kv_indices.shape[-1]
    kept = torch.zeros(rows, columns, dtype=torch.bool)
    for row, (count, indices) in enumerate(zip(mask.kv_num_blocks[0, 0], mask.kv_indices[0, 0], strict=True)):
        kept[row, indices[:count].long()] = True
    query, key = torch.arange(rows * 128)[:, None], torch.arange(columns * 128)
    seen = mask.mask_mod(None, None, query, key).unflatten(1, (-1, 128)).unflatten(0, (-1, 128)).any((1, 3))
    assert not (seen & ~kept).any()


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@cuda
@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(2, 2, 64, 3, 33, 50, 12), (1, 3, 48, 9, 40, 40, (12, 4, 20))])
@pytest.mark.parametrize(("backend", "topk"), [("tiled", None), ("tiled", 5), ("fused", None), ("auto", None)])
def test_gpu_equals_cpu(shape, backend, topk):
    *sizes, radius = shape
    inputs = random_inputs(*sizes, torch.float32)
    expected = local_attention(*inputs, radius, topk=topk, temperature=4.0, backend="tiled")
    there = [t.detach().cuda().requires_grad_() for t in inputs]
    with torch.autocast("cuda", torch.bfloat16):
        actual = local_attention(*there, radius, topk=topk, temperature=4.0, backend=backend)
    torch.testing.assert_close(actual.cpu(), expected, rtol=1e-3, atol=1e-4)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    gradients = torch.autograd.grad(actual, there, grad.cuda())
    for mine, reference in zip(gradients, torch.autograd.grad(expected, inputs, grad), strict=True):
        torch.testing.assert_close(mine.cpu(), reference, rtol=1e-3, atol=1e-3)


@cuda
@pytest.mark.gpu
def test_gpu_takes_half_precision():
    inputs = [t.detach().bfloat16() for t in random_inputs(1, 2, 64, 3, 33, 50, torch.float32)]
    expected = local_attention(*inputs, 12, temperature=4.0)
    actual = local_attention(*(t.cuda() for t in inputs), 12, temperature=4.0, backend="fused")
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual.cpu(), expected, rtol=0.02, atol=0.02)


def test_a_kernel_that_does_not_run_is_said_once_and_replaced(monkeypatch):
    """As on a GPU without a working compiler, by a compiled kernel that fails."""

    def fail(*_, **__):
        raise RuntimeError("no compiler\nmore")

    fused_attention.is_usable.cache_clear()
    monkeypatch.setattr(fused_attention, "_compiled", lambda: fail)
    usable = partial(fused_attention.is_usable, torch.device("cpu"), torch.float32, 4, 2)
    with pytest.warns(UserWarning, match=r"tiled form.*\(no compiler\)"):
        assert not usable()
    assert not usable()
    fused_attention.is_usable.cache_clear()


@pytest.mark.parametrize(
    ("device", "topk", "dtype", "works", "expected"),
    [
        ("cpu", None, torch.float32, True, "tiled"),
        ("cuda", None, torch.float32, True, "fused"),
        ("cuda", None, torch.bfloat16, True, "fused"),
        ("cuda", None, torch.float32, False, "tiled"),
        ("cuda", 10, torch.float32, True, "tiled"),
        ("cuda", None, torch.float64, True, "tiled"),
    ],
)
def test_auto_picks_by_device(monkeypatch, device, topk, dtype, works, expected):
    class Placed:
        shape = (1, 4, 5, 5)

    Placed.device, Placed.dtype = torch.device(device), dtype
    monkeypatch.setattr(attention, "is_usable", lambda *_: works)
    assert attention._pick("auto", Placed, Placed, topk) == expected


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
        ({"radius": -1}, "radius is .-1,"),
        ({"topk": 0}, "topk is 0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"backend": "magic"}, "backend is 'magic'"),
        ({"backend": "fused"}, "needs a CUDA device"),
        ({"radius": (1, 1)}, "one for each of 1 references"),
        ({"radius": ()}, "one for each of 1 references"),
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


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_largest_similarity_against_all_of_them(shape, dtype):
    *sizes, radius = shape
    query, keys, _ = random_inputs(*sizes, dtype)
    similarities = torch.einsum("bdyx,brdvu->byxrvu", query.double(), keys.double())
    y, x = torch.arange(sizes[4]), torch.arange(sizes[5])
    near = ((y[:, None] - y).abs() <= radius)[:, None, None, :, None] & ((x[:, None] - x).abs() <= radius)[
        :, None, None
    ]
    expected = similarities.masked_fill(~near, -torch.inf).flatten(3).amax(-1)
    found = largest_similarity(query, keys, radius)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert not found.requires_grad


def test_the_largest_similarity_refuses_what_does_not_fit():
    query, keys, _ = random_inputs(1, 2, 3, 1, 4, 5)
    with pytest.raises(ValueError, match="do not fit the query"):
        largest_similarity(query, keys[..., :4], 1)
    with pytest.raises(ValueError, match="expected 0 or more"):
        largest_similarity(query, keys, -1)
