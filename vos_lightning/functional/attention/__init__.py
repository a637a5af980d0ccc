"""Correspondence: softmax attention within a local window, over several reference frames at once."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from vos_lightning.functional.attention.batched import batched_attention
from vos_lightning.functional.attention.blocks import block_attention
from vos_lightning.functional.attention.dense import dense_attention
from vos_lightning.functional.attention.fused import fused_attention, is_usable
from vos_lightning.functional.attention.reference import Radii, reference_attention
from vos_lightning.functional.attention.tiled import tiled_attention, tiled_maximum

__all__ = ["Backend", "Radius", "local_attention"]

Backend = Literal["auto", "reference", "tiled", "batched", "dense", "fused"]
Radius = int | None | Sequence[int | None]


def local_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radius: Radius,
    *,
    bias: Tensor | None = None,
    mutual: float = 0.0,
    topk: int | None = None,
    temperature: float = 1.0,
    backend: Backend = "auto",
) -> Tensor:
    """Read values out of reference frames by similarity of features within a window.

    SSVOS eqs. 1, 2, 6 and 7, and CT-VOS Fig. 2: for each query position one softmax over the positions of the square
    window of (2·radius + 1)² around it, in all reference frames together. Positions out of the frame do not take part.
    `reference.py` is the definition. Differentiable in query, keys, values and bias.

    Args:
        query: features of the query frame, (B, D, H, W).
        keys: features of the reference frames, (B, R, D, H, W).
        values: what to read out (colours, mask probabilities), (B, R, C, H, W).
        radius: of the window, in positions; 0 sees the same position only, None the whole frame. One for all
            references, or one for each.
        bias: added to the similarities of each key, (B, R, H, W), finite: -1e4 excludes a key where others are seen.
        mutual: weight of mutual matches (forward-backward consistency, softly). The similarity s(i, j) of query i and
            key j becomes s(i, j) - mutual · (max over i' of s(i', j) - s(i, j)), over the queries i' whose windows hold
            j: nothing changes for partners that prefer one another. What has changed its looks is then given to what
            nothing else looks like, rather than to something that the frame shows unchanged. The maxima are taken for
            constants by the gradient.
        topk: keep only the k most similar positions of each query (all references together), None keeps all.
        temperature: divides the similarities, bias included; larger is softer.
        backend: "reference" is the definition; "tiled" runs anywhere, by tiles or, with gradients or top-k, by larger
            blocks; "batched" takes few operations, for top-k without gradients; "dense" is for whole frames without
            top-k; "fused" is one compiled kernel for GPUs, without top-k. "auto" takes the dense or the batched one
            where it can, else the fused one on a GPU, else, or where the kernel does not run, which is warned of once,
            the tiled one.

    Returns:
        The readout, (B, C, H, W), in the dtype of the values. Computed in float32 (float64 for float64 queries)
        whatever the inputs' dtype and the autocast state, but that "fused" multiplies half-precision inputs, and
        "batched" those of bfloat16, as they are and adds up in float32. Under bfloat16 autocast the products that make
        "tiled" gradients are of bfloat16 likewise.

    Raises:
        ValueError: shapes that do not fit, a negative radius or not one per reference, a negative weight of mutual
            matches, topk below 1, temperature not above 0, a backend that can't do this.

    Example:
        >>> import torch
        >>> features = torch.nn.functional.one_hot(torch.arange(4)).float().T.reshape(1, 4, 2, 2)
        >>> colours = torch.arange(4.0).reshape(1, 1, 1, 2, 2)
        >>> local_attention(features, features[:, None], colours, radius=1, temperature=0.001)
        tensor([[[[0., 1.],
                  [2., 3.]]]])
    """
    radii = _radii(radius, keys)
    _validate(query, keys, values, radii, bias, mutual, topk, temperature)
    products = _autocast_products(query)
    with torch.autocast(query.device.type, enabled=False):
        learning = torch.is_grad_enabled() and any(
            tensor is not None and tensor.requires_grad for tensor in (query, keys, values, bias)
        )
        chosen = _pick(backend, query, values, radii, bias is not None or mutual > 0, topk, learning)
        if chosen == "batched":
            dtype = torch.bfloat16 if query.dtype == keys.dtype == torch.bfloat16 else _precision(query)
            q, k = query.to(dtype), keys.to(dtype)
            assert topk is not None
            return batched_attention(q, k, values, radii, bias, mutual, topk, temperature).to(values.dtype)
        dtype = _precision(query)
        if chosen == "reference":
            q, k, v = (tensor.to(dtype) for tensor in (query, keys, values))
            b = None if bias is None else bias.to(dtype)
            return reference_attention(q, k, v, radii, b, mutual, topk, temperature).to(values.dtype)
        if mutual:
            q, k = query.to(dtype), keys.to(dtype)
            lost = -mutual * _largest_similarities(q, k, radii)
            query, keys, bias = q, k * (1 + mutual), lost if bias is None else lost + bias
        if chosen == "fused":
            return fused_attention(query, keys, values, radii, bias, temperature).to(values.dtype)
        q, k, v = (tensor.to(dtype) for tensor in (query, keys, values))
        if bias is not None:
            q, k = _as_channel(q, k, bias.to(dtype))
        if chosen == "dense":
            return dense_attention(q, k, v, temperature).to(values.dtype)
        if learning or topk is not None:
            return block_attention(q, k, v, radii, topk, temperature, products or dtype).to(values.dtype)
        return tiled_attention(q / temperature, k, v, radii).to(values.dtype)


@torch.no_grad()
def _largest_similarities(query: Tensor, keys: Tensor, radii: Radii) -> Tensor:
    """Of each key with a query whose window holds it, (B, R, H, W)."""
    frames = query[:, None]
    largest = [tiled_maximum(key, frames, (radius,)) for key, radius in zip(keys.unbind(1), radii, strict=True)]
    return torch.stack(largest, dim=1)


def _autocast_products(query: Tensor) -> torch.dtype | None:
    """In what autocast would have products of matrices, where that is bfloat16."""
    device = query.device.type
    casts = torch.is_autocast_enabled(device) and query.dtype != torch.float64
    return torch.bfloat16 if casts and torch.get_autocast_dtype(device) == torch.bfloat16 else None


def _precision(query: Tensor) -> torch.dtype:
    return torch.float64 if query.dtype == torch.float64 else torch.float32


def _radii(radius: Radius, keys: Tensor) -> Radii:
    """One per reference; a radius of the frame's longer side sees it whole."""
    each = (radius,) * keys.shape[1] if radius is None or isinstance(radius, int) else radius
    return tuple(max(keys.shape[-2:]) if one is None else one for one in each)


def _as_channel(query: Tensor, keys: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Query and keys with one more channel, whose product is the bias."""
    return torch.cat([query, torch.ones_like(query[:, :1])], dim=1), torch.cat([keys, bias[:, :, None]], dim=2)


def _pick(
    backend: Backend, query: Tensor, values: Tensor, radii: Radii, biased: bool, topk: int | None, learning: bool
) -> Backend:
    """The backend to use."""
    names = get_args(Backend)
    if backend not in names:
        raise ValueError(f"backend is {backend!r}, expected one of {', '.join(map(repr, names))}")
    whole = topk is None and min(radii) >= max(query.shape[-2:]) - 1
    if backend == "dense" and not whole:
        raise ValueError("backend 'dense' needs radius=None and topk=None; use 'auto'")
    if backend == "batched" and (topk is None or learning):
        raise ValueError("backend 'batched' needs topk, and inputs that need no gradient; use 'auto'")
    fusible = query.device.type == "cuda" and topk is None and query.dtype != torch.float64
    if backend == "fused" and not fusible:
        raise ValueError("backend 'fused' needs a CUDA device, topk=None and at most float32; use 'auto'")
    if backend != "auto":
        return backend
    if whole:
        return "dense"
    if topk is not None:
        return "tiled" if learning else "batched"
    usable = fusible and is_usable(query.device, query.dtype, query.shape[1], values.shape[2], biased)
    return "fused" if usable else "tiled"


def _validate(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    bias: Tensor | None,
    mutual: float,
    topk: int | None,
    temperature: float,
) -> None:
    if query.dim() != 4 or keys.dim() != 5 or values.dim() != 5:
        raise ValueError(
            "expected query (B, D, H, W), keys (B, R, D, H, W), values (B, R, C, H, W), "
            f"got {tuple(query.shape)}, {tuple(keys.shape)}, {tuple(values.shape)}"
        )
    batch, channels, height, width = query.shape
    references = keys.shape[1]
    if keys.shape != (batch, references, channels, height, width) or references == 0:
        raise ValueError(f"keys {tuple(keys.shape)} do not fit the query {tuple(query.shape)}")
    if values.shape[:2] != (batch, references) or values.shape[3:] != (height, width):
        raise ValueError(f"values {tuple(values.shape)} do not fit the keys {tuple(keys.shape)}")
    if bias is not None and bias.shape != (batch, references, height, width):
        raise ValueError(f"bias {tuple(bias.shape)} does not fit the keys {tuple(keys.shape)}; expected (B, R, H, W)")
    if len(radii) != references or min(radii) < 0:
        raise ValueError(
            f"radius is {radii}, expected 0 or more, one for all or one for each of {references} references"
        )
    if not 0 <= mutual < float("inf"):
        raise ValueError(f"mutual is {mutual}, expected 0 or more")
    if topk is not None and topk < 1:
        raise ValueError(f"topk is {topk}, expected 1 or more, or None for all positions")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0")
