"""Correspondence: softmax attention within a local window, over several reference frames at once."""

from typing import Literal

import torch
from torch import Tensor

from vos_lightning.functional.tiled_attention import tiled_attention

Backend = Literal["auto", "tiled"]


def local_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radius: int,
    *,
    topk: int | None = None,
    temperature: float = 1.0,
    backend: Backend = "auto",
) -> Tensor:
    """Read values out of reference frames by similarity of features within a window.

    SSVOS eqs. 1, 2, 6 and 7: for each query position one softmax over the positions of the square window of
    (2·radius + 1)² around it, in all reference frames together. Positions out of the frame do not take part. Differentiable
    in query, keys and values.

    Args:
        query: features of the query frame, (B, D, H, W).
        keys: features of the reference frames, (B, R, D, H, W).
        values: what to read out (colours, mask probabilities), (B, R, C, H, W).
        radius: of the window, in positions; 0 sees the same position only.
        topk: keep only the k most similar positions of each query (all references together), None keeps all.
        temperature: divides the similarities; larger is softer.
        backend: how to compute it; "auto" picks by device.

    Returns:
        The readout, (B, C, H, W), in the dtype of the values. The arithmetic is in float32 (float64 for float64 queries) whatever the
        inputs' dtype and the autocast state.

    Raises:
        ValueError: shapes that do not fit, a negative radius, topk below 1, temperature not above 0.

    Example:
        >>> import torch
        >>> features = torch.nn.functional.one_hot(torch.arange(4)).float().T.reshape(1, 4, 2, 2)
        >>> colours = torch.arange(4.0).reshape(1, 1, 1, 2, 2)
        >>> local_attention(features, features[:, None], colours, radius=1, temperature=0.01)
        tensor([[[[0., 1.],
                  [2., 3.]]]])
    """
    _validate(query, keys, values, radius, topk, temperature)
    if backend not in ("auto", "tiled"):
        raise ValueError(f"backend is {backend!r}, expected 'auto' or 'tiled'")
    dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    with torch.autocast(query.device.type, enabled=False):
        scaled = query.to(dtype) / temperature
        readout = tiled_attention(scaled, keys.to(dtype), values.to(dtype), radius, topk)
    return readout.to(values.dtype)


def _validate(
    query: Tensor, keys: Tensor, values: Tensor, radius: int, topk: int | None, temperature: float
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
    if radius < 0:
        raise ValueError(f"radius is {radius}, expected 0 or more")
    if topk is not None and topk < 1:
        raise ValueError(f"topk is {topk}, expected 1 or more, or None for all positions")
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0")
