"""The probe tells features that follow content from such as name places, and from noise."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vos_lightning.inference.tracking.matches import true_match_share
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.trackers import ReconstructionTracker
from vos_lightning.inference.weights import load_tracker


class Places(nn.Module):
    """Features that say where they are, and nothing of what is there."""

    stride = 4

    def forward(self, lab):
        height, width = lab.shape[-2] // 4, lab.shape[-1] // 4
        return torch.eye(height * width).reshape(1, -1, height, width)


@pytest.fixture(scope="module")
def frame():
    coarse = torch.rand(1, 3, 30, 50, generator=torch.Generator().manual_seed(0))
    return (F.interpolate(coarse, (240, 400), mode="bicubic").clamp(0, 1)[0] * 255).to(torch.uint8)


def test_the_default_weights_find_most_and_places_few(frame):
    places, learned = ReconstructionTracker(Places(), None, 1.0, TrackingSettings()), load_tracker("default")
    shares = [[true_match_share(tracker, frame, seed) for seed in range(4)] for tracker in (learned, places)]
    assert min(shares[0]) > 0.5
    assert sum(shares[1]) / 4 < 0.25
    assert true_match_share(learned, frame, seed=0) == shares[0][0]
