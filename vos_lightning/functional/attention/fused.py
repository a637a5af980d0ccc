"""Local attention as one fused kernel: FlexAttention with a block mask of 2-D tiles.

Queries and keys are put in the order of tiles, one tile per block of the kernel, so that a block of queries needs the
few blocks of keys whose tiles its windows touch, in each reference frame. What such a block holds outside of the
windows is masked by its coordinates. For softmax over all positions only; there is no top-k inside of the kernel.
"""

import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from vos_lightning.functional.attention.reference import Radii

# Rows and columns of a tile: 128 positions, the block that the kernel is made for.
TILE = (8, 16)

Attend = Callable[..., Any]


def fused_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    radii: Radii,
    bias: Tensor | None,
    temperature: float,
    attend: Attend | None = None,
) -> Tensor:
    """Local attention by a fused kernel.

    Args:
        query: features of the query frame, (B, D, H, W).
        keys: features of the reference frames, (B, R, D, H, W).
        values: what to read out, (B, R, C, H, W).
        radii: one per reference.
        bias: added to the similarities of each key, (B, R, H, W); None adds nothing.
        temperature: divides the similarities.
        attend: with the signature of `flex_attention`; by default that, compiled.

    Returns:
        The readout, (B, C, H, W). Inputs of one half-precision type are multiplied as they are, added up in float32.
    """
    height, width = query.shape[2:]
    channels = values.shape[2]
    dtype = torch.promote_types(torch.promote_types(query.dtype, keys.dtype), values.dtype)
    q = _pad_channels(_to_tiles(query[:, None].to(dtype)))
    k = _pad_channels(_to_tiles(keys.to(dtype)))
    v = _pad_channels(_to_tiles(values.to(dtype)))
    mask = block_mask(radii, (height, width), query.device)
    attend = attend or _compiled()
    readout = attend(q, k, v, _add(bias, temperature), block_mask=mask, scale=1 / temperature)
    return _from_tiles(readout[:, 0, :, :channels], height, width)


@lru_cache(maxsize=32)
def block_mask(radii: Radii, size: tuple[int, int], device: torch.device) -> BlockMask:
    """Which blocks of keys each block of queries needs, and which positions within.

    Args:
        radii: one per reference.
        size: (H, W) of the frames.
        device: of the mask.
    """
    height, width = size
    rows, columns = _tile_counts(height, width)
    per_frame = rows * columns
    reach = torch.tensor(radii, device=device)

    def see(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        # queries beside the frame, whose readouts are cut off, look from its border, so that they too see something
        yq, xq = _coordinates(query, columns)
        yq, xq = yq.clamp(max=height - 1), xq.clamp(max=width - 1)
        y, x = _coordinates(key % (per_frame * TILE[0] * TILE[1]), columns)
        radius = reach[key // (per_frame * TILE[0] * TILE[1])]
        near = ((yq - y).abs() <= radius) & ((xq - x).abs() <= radius)
        return near & (y < height) & (x < width)

    tile = torch.arange(per_frame, device=device)
    apart = [
        _tiles_apart(tile[:, None] // columns, tile // columns, TILE[0]),
        _tiles_apart(tile[:, None] % columns, tile % columns, TILE[1]),
    ]
    needed = torch.cat([(apart[0] <= radius) & (apart[1] <= radius) for radius in radii], 1)
    indices = needed.int().argsort(dim=1, descending=True, stable=True)
    return BlockMask.from_kv_blocks(
        needed.sum(1, dtype=torch.int32)[None, None],
        indices.int()[None, None],
        BLOCK_SIZE=TILE[0] * TILE[1],
        mask_mod=see,
    )


@cache
def is_usable(device: torch.device, dtype: torch.dtype, feature_dim: int, channels: int, biased: bool) -> bool:
    """Does the fused kernel compile and run, forward and backward? Warns once if it doesn't.

    Args:
        device: where.
        dtype: of the inputs.
        feature_dim: D.
        channels: C.
        biased: with a bias.
    """
    query = torch.zeros(1, feature_dim, 2, 2, device=device, dtype=dtype, requires_grad=True)
    values = torch.zeros(1, 1, channels, 2, 2, device=device, dtype=dtype)
    bias = query[:, :1].float() if biased else None
    try:
        with torch.enable_grad():
            fused_attention(query, query[:, None], values, (1,), bias, 1.0).sum().backward()
    except Exception as error:  # a compiler, a driver or Triton may fail in whatever way
        reason = (str(error).splitlines() or [""])[0]
        warnings.warn(
            f"local attention falls back to its tiled form: the fused kernel does not run on {device} ({reason})",
            stacklevel=3,
        )
        return False
    return True


def _add(bias: Tensor | None, temperature: float) -> Callable[..., Tensor] | None:
    """What changes a similarity that is divided by the temperature already."""
    if bias is None:
        return None
    added = _to_tiles(bias[:, :, None].float() / temperature)[:, 0, :, 0]

    def change(similarity: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return similarity + added[batch, key]

    return change


@cache
def _compiled() -> Attend:
    return torch.compile(flex_attention)


def _tile_counts(height: int, width: int) -> tuple[int, int]:
    return -(-height // TILE[0]), -(-width // TILE[1])


def _coordinates(index: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """(y, x) of positions in the order of tiles."""
    tile, inner = index // (TILE[0] * TILE[1]), index % (TILE[0] * TILE[1])
    return tile // columns * TILE[0] + inner // TILE[1], tile % columns * TILE[1] + inner % TILE[1]


def _tiles_apart(a: Tensor, b: Tensor, size: int) -> Tensor:
    """Smallest distance between positions of two tiles, along one axis."""
    return (((a - b).abs() - 1) * size + 1).clamp(min=0)


def _to_tiles(frames: Tensor) -> Tensor:
    """(B, R, C, H, W) -> (B, 1, positions of all frames in the order of tiles, C), padded to whole tiles."""
    height, width = frames.shape[3:]
    rows, columns = _tile_counts(height, width)
    padded = F.pad(frames, (0, columns * TILE[1] - width, 0, rows * TILE[0] - height))
    tiles: Tensor = padded.unflatten(4, (columns, TILE[1])).unflatten(3, (rows, TILE[0]))  # (B, R, C, y, h, x, w)
    return tiles.permute(0, 1, 3, 5, 4, 6, 2).flatten(1, 5)[:, None].contiguous()


def _from_tiles(pixels: Tensor, height: int, width: int) -> Tensor:
    """(B, positions in the order of tiles, C) -> (B, C, H, W)."""
    rows, columns = _tile_counts(height, width)
    tiles: Tensor = pixels.unflatten(1, (rows, columns, *TILE)).permute(0, 5, 1, 3, 2, 4)
    return tiles.flatten(4, 5).flatten(2, 3)[..., :height, :width]


def _pad_channels(pixels: Tensor) -> Tensor:
    """Zeros up to a power of 2 of at least 16 channels, as the kernel demands."""
    channels = pixels.shape[-1]
    return F.pad(pixels, (0, max(16, 1 << (channels - 1).bit_length()) - channels))
