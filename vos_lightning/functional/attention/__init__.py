"""Correspondence: softmax attention within a local window, over several reference frames at once."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vos_lightning.functional.attention.dense import dense_attention
from vos_lightning.functional.attention.fused import fused_attention, is_usable
from vos_lightning.functional.attention.reference import Radii, reference_attention
from vos_lightning.functional.attention.tiled import tiled_attention, tiled_maximum

__all__ = ["Backend", "Radius", "largest_similarity", "local_attention"]

Backend = Literal["auto", "reference", "tiled", "dense", "fused"]
Radius = int | None | Sequence[int | None]


def local_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radius: Radius,
    *,
    bias: Tensor | None = None,
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
        topk: keep only the k most similar positions of each query (all references together), None keeps all.
        temperature: divides the similarities, bias included; larger is softer.
        backend: "reference" is the definition; "tiled" runs anywhere; "dense" is for whole frames without top-k;
            "fused" is one compiled kernel for GPUs, without top-k. "auto" takes the dense one where it can, else the
            fused one on a GPU, else, or where the kernel does not run, which is warned of once, the tiled one.

    Returns:
        The readout, (B, C, H, W), in the dtype of the values. Computed in float32 (float64 for float64 queries)
        whatever the inputs' dtype and the autocast state, but that "fused" multiplies half-precision inputs as they are
        and adds up in float32.

    Raises:
        ValueError: shapes that do not fit, a negative radius or not one per reference, topk below 1, temperature not
            above 0, a backend that can't do this.

    Example:
        >>> import torch
        >>> features = torch.nn.functional.one_hot(torch.arange(4)).float().T.reshape(1, 4, 2, 2)
        >>> colours = torch.arange(4.0).reshape(1, 1, 1, 2, 2)
        >>> local_attention(features, features[:, None], colours, radius=1, temperature=0.001)
        tensor([[[[0., 1.],
                  [2., 3.]]]])
    """
    radii = _radii(radius, keys)
    _validate(query, keys, values, radii, bias, topk, temperature)
    with torch.autocast(query.device.type, enabled=False):
        chosen = _pick(backend, query, values, radii, bias, topk)
        if chosen == "fused":
            return fused_attention(query, keys, values, radii, bias, temperature).to(values.dtype)
        dtype = _precision(query)
        q, k, v = (tensor.to(dtype) for tensor in (query, keys, values))
        if chosen == "reference":
            readout = reference_attention(q, k, v, radii, None if bias is None else bias.to(dtype), topk, temperature)
            return readout.to(values.dtype)
        if bias is not None:
            q, k = _as_channel(q, k, bias.to(dtype))
        if chosen == "dense":
            return dense_attention(q, k, v, temperature).to(values.dtype)
        return tiled_attention(q / temperature, k, v, radii, topk).to(values.dtype)


@torch.no_grad()
def largest_similarity(query: Tensor, keys: Tensor, radius: Radius) -> Tensor:
    """How similar each position is to the most similar one in its window, without gradient.

    Args:
        query: features, (B, D, H, W).
        keys: features of the frames to look at, (B, R, D, H, W).
        radius: of the window, see `local_attention`.

    Returns:
        The largest dot product, (B, H, W), computed as by `local_attention`.

    Raises:
        ValueError: shapes that do not fit, or a negative radius.
    """
    radii = _radii(radius, keys)
    _validate(query, keys, keys, radii, None, None, 1.0)
    with torch.autocast(query.device.type, enabled=False):
        return tiled_maximum(query.to(_precision(query)), keys.to(_precision(query)), radii)


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
    backend: Backend, query: Tensor, values: Tensor, radii: Radii, bias: Tensor | None, topk: int | None
) -> Backend:
    """The backend to use."""
    if backend not in ("auto", "reference", "tiled", "dense", "fused"):
        raise ValueError(f"backend is {backend!r}, expected 'auto', 'reference', 'tiled', 'dense' or 'fused'")
    whole = topk is None and min(radii) >= max(query.shape[-2:]) - 1
    if backend == "dense" and not whole:
        raise ValueError("backend 'dense' needs radius=None and topk=None; use 'auto'")
    fusible = query.device.type == "cuda" and topk is None and query.dtype != torch.float64
    if backend == "fused" and not fusible:
        raise ValueError("backend 'fused' needs a CUDA device, topk=None and at most float32; use 'auto'")
    if backend != "auto":
        return backend
    if whole:
        return "dense"
    usable = fusible and is_usable(query.device, query.dtype, query.shape[1], values.shape[2], bias is not None)
    return "fused" if usable else "tiled"


def _validate(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    bias: Tensor | None,
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
    if topk is not None and topk < 1:
        raise ValueError(f"topk is {topk}, expected 1 or more, or None for all positions")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0")
