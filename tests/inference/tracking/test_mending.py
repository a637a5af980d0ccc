"""Masks copied as MAST's are and mended by CT-VOS' decoder."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vos_lightning.inference.tracking.cutout import MendingPropagator
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.trackers import CutoutTracker
from vos_lightning.models.cutout_tagging import CutoutTagging, MatchingSettings

SIZE = (62, 94)


@pytest.fixture
def network():
    torch.manual_seed(0)
    matching = MatchingSettings("mast", width=0.125)
    return CutoutTagging(width=0.125, output_stride=4, key_dim=8, value_dim=6, matching=matching, copy=True).eval()


@pytest.fixture(scope="module")
def video():
    """A smooth scene that moves, 8 frames, and masks of three objects, the last one in frame 4."""
    coarse = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    scene = (F.interpolate(coarse, (160, 240), mode="bicubic")[0].clamp(0, 1) * 255).to(torch.uint8)
    frames = [scene[:, t : t + SIZE[0], 2 * t : 2 * t + SIZE[1]] for t in range(8)]
    first, late = (torch.zeros(SIZE, dtype=torch.uint8) for _ in range(2))
    first[10:31, 12:41], first[40:55, 50:80], late[5:25, 60:90] = 3, 7, 9
    return frames, {0: first, 4: late}


def run(propagator, video):
    frames, masks = video
    return torch.stack([propagator.step(frame, masks.get(t)) for t, frame in enumerate(frames)])


@pytest.mark.parametrize("edges", [True, False])
def test_an_untrained_decoder_leaves_masks_as_mast_copies_them(network, video, edges):
    settings = TrackingSettings(radius=4, edges=edges)
    expected = run(ReconstructionPropagator(network.query_encoder, None, settings, network.temperature), video)
    assert torch.equal(run(MendingPropagator(network, True, settings), video), expected)
    assert torch.equal(run(MendingPropagator(network, False, settings), video), expected)
    assert set(expected[-1].unique().tolist()) == {0, 3, 7, 9}


def test_what_the_decoder_adds_is_drawn_and_remembered(network, video):
    class Growing(nn.Module):
        def forward(self, readout):
            assert readout.shape[1] == 6 + 3
            assert torch.equal(readout[:, -1], readout[:, -2])
            image = readout.new_zeros(len(readout), 3, readout.shape[2] * 4, readout.shape[3] * 4)
            image[..., :8] = 4.0
            return image, None

    frames, masks = video
    network.decoder, seen = Growing(), []
    network.value_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    propagator = MendingPropagator(network, True, TrackingSettings(radius=4))
    propagator.step(frames[0], masks[0])
    ids = propagator.step(frames[1])
    assert (ids[:, :8] > 0).all()
    assert seen[0].shape == (2, 3, 64, 96)
    assert set(torch.cat(seen).unique().tolist()) == {-1, 1}
    for k, number in enumerate((3, 7)):
        assert torch.equal(seen[0][k, 1, : SIZE[0], : SIZE[1]] > 0, masks[0] == number)
    assert (seen[1][:, :, :, :8] == 1).all()


def test_equal_encoders_are_run_once(network):
    settings = TrackingSettings()
    assert CutoutTracker(network, settings).propagator().reference_encoder is None
    with torch.no_grad():
        network.key_encoder.head.bias += 1
    assert CutoutTracker(network, settings).propagator().reference_encoder is not None
