"""Masks out of probabilities: drawn at the frame's size, and decided between objects."""

from collections.abc import Iterable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.functional.guided_filter import GuidedUpsampler
from vos_lightning.inference.tracking.network_frames import NetworkFrames

# Bounds the memory that drawing them takes.
OBJECTS_AT_ONCE = 8

Drawn = Iterable[tuple[slice, Tensor]]


def draw(probs: Tensor, lab: Tensor, edges: bool) -> Iterator[tuple[slice, Tensor]]:
    """Probabilities at the size of the network's frame, few objects at a time.

    Args:
        probs: at feature positions, (K, h, w).
        lab: the network's frame, (1, 3, H', W').
        edges: redraw contours along those of the frame, see `functional.guided_filter`; otherwise interpolate.

    Yields:
        Which objects, and theirs, (k, H', W').
    """
    stride = lab.shape[-1] // probs.shape[-1]
    upsample = GuidedUpsampler(lab, stride) if edges else partial(_interpolate, stride=stride)
    for first in range(0, len(probs), OBJECTS_AT_ONCE):
        some = slice(first, first + OBJECTS_AT_ONCE)
        yield some, upsample(probs[some])


def resized(probs: Tensor, size: torch.Size) -> Tensor:
    """One object's probabilities (h, w) at another size, such as that of a network with another `max_size`."""
    if probs.shape == size:
        return probs
    return F.interpolate(probs[None, None], tuple(size), mode="bilinear", align_corners=False)[0, 0]


def _interpolate(probs: Tensor, stride: int) -> Tensor:
    full: Tensor = F.interpolate(probs[None], scale_factor=stride, mode="bilinear", align_corners=False)[0]
    return full


def most_probable(drawn: Drawn, ids: Tensor, frames: NetworkFrames, size: tuple[int, int], threshold: float) -> Tensor:
    """The object of the highest probability in each pixel, where its odds against the background are high enough.

    Args:
        drawn: probabilities of the objects at the size of the network's frame, see `draw`.
        ids: of the objects, (K,) uint8.
        frames: knows how the network sees the video.
        size: of the video, (H, W).
        threshold: probability above which a single object is more than background, in (0, 1).

    Returns:
        (H, W) uint8 ids.
    """
    odds = 1 / threshold - 1
    rest, best = (torch.full(size, value, device=ids.device) for value in (1.0, 0.0))
    winners = torch.zeros(size, dtype=torch.uint8, device=ids.device)
    for some, part in drawn:
        probs = frames.restore(part[None], size)[0]
        rest -= probs.sum(0) if len(probs) > 1 else probs[0]
        highest, winner = probs.max(0) if len(probs) > 1 else (probs[0], 0)  # indices of all pixels take their time
        winners = torch.where(highest > best, ids[some][winner], winners)
        best = torch.maximum(best, highest)
    return winners.masked_fill_(odds * best <= rest, 0)
