"""Whether a tracker's features find what is known to correspond: a frame and a warped view of it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.functional.homography import random_homography, sampling_grid
from vos_lightning.functional.matches import true_matches
from vos_lightning.inference.tracking.trackers import Tracker

# Of the frame that is warped: its longer side, in pixels, about that of training crops, and what networks stride over.
SIZE, MULTIPLE = 256, 16
# Largest motion of a corner, as a share of half the frame's length.
STRENGTH = 0.3


@torch.no_grad()
def true_match_share(tracker: Tracker, frame: Tensor, seed: int) -> float:
    """Share of positions of a warped frame whose best match in the frame is the right one, in [0, 1].

    Args:
        tracker: ready for inference.
        frame: RGB uint8 (3, H, W), on the networks' device.
        seed: of the homography.
    """
    scale = SIZE / max(frame.shape[-2:])
    size = [max(1, round(length * scale / MULTIPLE)) * MULTIPLE for length in frame.shape[-2:]]
    image = F.interpolate(frame[None].float() / 255, size, mode="bilinear", antialias=True).clamp(0, 1)
    matrix = random_homography(STRENGTH, torch.Generator().manual_seed(seed))
    where = sampling_grid(matrix, (size[0], size[1]))[None].to(image)
    warped = F.grid_sample(image, where, padding_mode="reflection", align_corners=False)
    query, _ = tracker.features(rgb_to_lab(warped))
    _, key = tracker.features(rgb_to_lab(image))
    truth = sampling_grid(matrix, (query.shape[-2], query.shape[-1])).to(image)
    return float(true_matches(query[0], key[0], truth))
