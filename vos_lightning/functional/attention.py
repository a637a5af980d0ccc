"""Correspondence: softmax attention within a local window, over several reference frames at once."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vos_lightning.functional.fused_attention import fused_attention, is_usable
from vos_lightning.functional.tiled_attention import tiled_attention, tiled_maximum

Backend = Literal["auto", "tiled", "fused"]


def local_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radius: int | Sequence[int],
    *,
    topk: int | None = None,
    temperature: float = 1.0,
    backend: Backend = "auto",
) -> Tensor:
    """Read values out of reference frames by similarity of features within a window.

    SSVOS eqs. 1, 2, 6 and 7: for each query position one softmax over the positions of the square window of
    (2·radius + 1)² around it, in all reference frames together. Positions out of the frame do not take part.
    Differentiable in query, keys and values.

    Args:
        query: features of the query frame, (B, D, H, W).
        keys: features of the reference frames, (B, R, D, H, W).
        values: what to read out (colours, mask probabilities), (B, R, C, H, W).
        radius: of the window, in positions; 0 sees the same position only. One for all references, or one for each.
        topk: keep only the k most similar positions of each query (all references together), None keeps all.
        temperature: divides the similarities; larger is softer.
        backend: "tiled" runs anywhere; "fused" is one compiled kernel for GPUs, without top-k; "auto" takes the fused
            one on a GPU and the tiled one elsewhere, or where the kernel does not run, which is warned of once.

    Returns:
        The readout, (B, C, H, W), in the dtype of the values. "tiled" computes in float32 (float64 for float64 queries)
        whatever the inputs' dtype and the autocast state; "fused" multiplies half-precision inputs as they are and adds
        up in float32.

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
    radii = (radius,) * keys.shape[1] if isinstance(radius, int) else tuple(radius)
    _validate(query, keys, values, radii, topk, temperature)
    dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    with torch.autocast(query.device.type, enabled=False):
        if _pick(backend, query, values, topk) == "fused":
            readout = fused_attention(query, keys, values, radii, temperature)
        else:
            scaled = query.to(dtype) / temperature
            readout = tiled_attention(scaled, keys.to(dtype), values.to(dtype), radii, topk)
    return readout.to(values.dtype)


@torch.no_grad()
def largest_similarity(query: Tensor, keys: Tensor, radius: int) -> Tensor:
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
    radii = (radius,) * keys.shape[1]
    _validate(query, keys, keys, radii, None, 1.0)
    dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    with torch.autocast(query.device.type, enabled=False):
        return tiled_maximum(query.to(dtype), keys.to(dtype), radii)


def _pick(backend: Backend, query: Tensor, values: Tensor, topk: int | None) -> Backend:
    """The backend to use, "tiled" or "fused"."""
    if backend not in ("auto", "tiled", "fused"):
        raise ValueError(f"backend is {backend!r}, expected 'auto', 'tiled' or 'fused'")
    possible = query.device.type == "cuda" and topk is None and query.dtype != torch.float64
    if backend == "fused" and not possible:
        raise ValueError("backend 'fused' needs a CUDA device, topk=None and at most float32; use 'auto'")
    if backend == "auto":
        usable = possible and is_usable(query.device, query.dtype, query.shape[1], values.shape[2])
        return "fused" if usable else "tiled"
    return backend


def _validate(
    query: Tensor, keys: Tensor, values: Tensor, radii: tuple[int, ...], topk: int | None, temperature: float
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
    if len(radii) != references or min(radii) < 0:
        raise ValueError(
            f"radius is {radii}, expected 0 or more, one for all or one for each of {references} references"
        )
    if topk is not None and topk < 1:
        raise ValueError(f"topk is {topk}, expected 1 or more, or None for all positions")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0")
