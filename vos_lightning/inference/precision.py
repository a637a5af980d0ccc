"""Which numbers networks and similarities are computed in."""

from typing import Literal, get_args

import torch

from vos_lightning.errors import VOSError

Precision = Literal["auto", "float32", "bfloat16"]


def usable_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype; "auto" is bfloat16 where the device multiplies it faster than float32.

    Args:
        precision: asked for.
        device: to compute on.

    Raises:
        VOSError: another name.
    """
    if precision not in get_args(Precision):
        raise VOSError(f"precision is {precision!r}; expected 'auto', 'float32' or 'bfloat16'")
    half = multiplies_bfloat16(device) if precision == "auto" else precision == "bfloat16"
    return torch.bfloat16 if half else torch.float32


def multiplies_bfloat16(device: torch.device) -> bool:
    """Has the device instructions for products in bfloat16 (AVX512-BF16 or AMX, tensor cores)?"""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
