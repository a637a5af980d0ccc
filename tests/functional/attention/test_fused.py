"""The fused form: its block masks and order of positions on a CPU, the kernel itself where there is a GPU."""

from functools import partial

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

from tests.functional.attention.attention_cases import check, random_bias, random_inputs
from vos_lightning.functional import attention
from vos_lightning.functional.attention import fused, local_attention

reference = partial(local_attention, temperature=0.7, backend="reference")


FUSED_SHAPES = [
    # batch, references, D, C, height, width, radius: within one tile, whole tiles, parts of tiles
    (1, 1, 4, 1, 5, 7, 2),
    (2, 2, 5, 2, 16, 32, 3),
    (1, 2, 3, 4, 17, 35, (1, 9)),
    (1, 3, 4, 3, 9, 19, 0),
    (1, 1, 2, 1, 1, 1, 1),
]


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shape", FUSED_SHAPES)
@pytest.mark.filterwarnings("ignore:.*flex_attention.*:UserWarning")
def test_blocks_of_the_fused_kernel_cover_the_windows_exactly(shape, biased):
    """The block mask and the order of the positions, by FlexAttention's own slow reference."""
    *sizes, radius = shape
    inputs = [t.detach() for t in random_inputs(*sizes, torch.float32)]
    radii = (radius,) * sizes[1] if isinstance(radius, int) else radius
    bias = random_bias(inputs[1]).detach().clamp(min=-100) if biased else None
    actual = fused.fused_attention(*inputs, radii, bias, 0.7, attend=flex_attention)
    torch.testing.assert_close(actual, reference(*inputs, radius, bias=bias), rtol=1e-4, atol=1e-5)


def plain_attention(query, keys, values, score_mod, block_mask, scale):
    """What the fused kernel computes, differentiable on a CPU."""
    q, k = torch.arange(query.shape[2])[:, None], torch.arange(keys.shape[2])
    similarity = scale * query @ keys.mT
    if score_mod is not None:
        b = torch.arange(len(query))[:, None, None, None]
        similarity = score_mod(similarity, b, torch.zeros_like(b), q, k)
    similarity = similarity.masked_fill(~block_mask.mask_mod(None, None, q, k), -torch.inf)
    return similarity.softmax(-1) @ values


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("shape", FUSED_SHAPES)
def test_gradients_flow_through_the_order_of_tiles(shape, biased):
    *sizes, radius = shape
    inputs = random_inputs(*sizes)
    bias = random_bias(inputs[1]) if biased else None
    radii = (radius,) * sizes[1] if isinstance(radius, int) else radius
    actual = fused.fused_attention(*inputs, radii, bias, 0.7, attend=plain_attention)
    wanted = inputs if bias is None else (*inputs, bias)
    check(actual, reference(*inputs, radius, bias=bias), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", FUSED_SHAPES)
def test_no_window_reaches_into_a_block_that_the_fused_kernel_skips(shape):
    *_, references, _, _, height, width, radius = (None, *shape)
    radii = (radius,) * references if isinstance(radius, int) else radius
    mask = fused.block_mask(radii, (height, width), torch.device("cpu"))
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
    inputs = (*inputs, random_bias(inputs[1]))
    options = {"radius": radius, "topk": topk, "temperature": 4.0}
    expected = local_attention(*inputs[:3], bias=inputs[3], **options, backend="tiled")
    there = [t.detach().cuda().requires_grad_() for t in inputs]
    with torch.autocast("cuda", torch.bfloat16):
        actual = local_attention(*there[:3], bias=there[3], **options, backend=backend)
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

    fused.is_usable.cache_clear()
    monkeypatch.setattr(fused, "_compiled", lambda: fail)
    usable = partial(fused.is_usable, torch.device("cpu"), torch.float32, 4, 2, False)
    with pytest.warns(UserWarning, match=r"tiled form.*\(no compiler\)"):
        assert not usable()
    assert not usable()
    fused.is_usable.cache_clear()


@pytest.mark.parametrize(
    ("device", "radius", "topk", "dtype", "works", "expected"),
    [
        ("cpu", 1, None, torch.float32, True, "tiled"),
        ("cuda", 1, None, torch.float32, True, "fused"),
        ("cuda", 1, None, torch.bfloat16, True, "fused"),
        ("cuda", 1, None, torch.float32, False, "tiled"),
        ("cuda", 1, 10, torch.float32, True, "batched"),
        ("cuda", 1, None, torch.float64, True, "tiled"),
        ("cpu", 4, None, torch.float32, True, "dense"),
        ("cuda", 4, None, torch.float32, True, "dense"),
        ("cuda", 4, 10, torch.float32, True, "batched"),
    ],
)
def test_auto_picks_by_device_and_window(monkeypatch, device, radius, topk, dtype, works, expected):
    class Placed:
        shape = (1, 4, 5, 5)

    Placed.device, Placed.dtype = torch.device(device), dtype
    monkeypatch.setattr(attention, "is_usable", lambda *_: works)
    assert attention._pick("auto", Placed, Placed, (radius,), False, topk, False) == expected
