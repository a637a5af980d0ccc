"""Zoomed-in views of past frames, which make CT-VOS see objects at several scales (CT-VOS, section 3.4, Table 7)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from vos_lightning.errors import VOSError
from vos_lightning.functional.random_streams import Stream, uniform_draws


def zoom_views(
    frames: torch.Tensor, seeds: torch.Tensor, levels: Sequence[float] = (1.5, 2.0), num_frames: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Zoom into random past frames of each clip about a random point.

    Args:
        frames: (B, T, 3, H, W); the last one is the current frame, never zoomed.
        seeds: int64 (B,), on the CPU; a clip's views depend on its seed alone.
        levels: magnifications, each at least 1.
        num_frames: frames zoomed, N, drawn without repetition.

    Returns:
        Views (B, N·levels, 3, H, W), those of one frame next to each other, and the zoomed frames' places (B, N), int64
        on the CPU.

    Raises:
        VOSError: more frames than the clip has past ones, or a level below 1.
    """
    batch, length, _, height, width = frames.shape
    check_zoom(levels, num_frames, length)
    draws = uniform_draws(seeds, length - 1 + 2 * num_frames * len(levels), Stream.ZOOM)
    places = draws[:, : length - 1].argsort(dim=1)[:, :num_frames]
    points = draws[:, length - 1 :].view(batch, num_frames, len(levels), 2)
    views = frames.new_empty(batch, num_frames, len(levels), *frames.shape[2:])
    for clip, chosen in enumerate(places.tolist()):
        for frame, place in enumerate(chosen):
            for level, magnification in enumerate(levels):
                down, right = points[clip, frame, level].tolist()
                tall, wide = max(1, round(height / magnification)), max(1, round(width / magnification))
                top, left = int(down * (height - tall + 1)), int(right * (width - wide + 1))
                part = frames[clip, place, None, :, top : top + tall, left : left + wide]
                views[clip, frame, level] = F.interpolate(part, size=(height, width), mode="bilinear")[0]
    return views.flatten(1, 2), places


def check_zoom(levels: Sequence[float], num_frames: int, length: int) -> None:
    """Validate options of `zoom_views` for clips of `length` frames.

    Raises:
        VOSError: more frames than the clip has past ones, or a level that isn't a number from 1 on.
    """
    if not 1 <= num_frames <= length - 1:
        raise VOSError(f"zoom_frames={num_frames}: a clip of {length} frames has {length - 1} past ones")
    if not levels or not all(1 <= level < math.inf for level in levels):
        raise VOSError(f"zoom_levels={tuple(levels)}: magnifications are at least 1")
