"""A checkpoint or safetensors file of CT-VOS tracks wherever one of MAST does."""

from importlib import resources

import numpy as np
import pytest
import torch

from vos_lightning import CTVOS, VideoSegmenter
from vos_lightning.errors import VOSError
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.tracking.trackers import CutoutTracker
from vos_lightning.inference.weights import SHIPPED, load_tracker, save_tracker
from vos_lightning.models.cutout_tagging import MatchingSettings

HPARAMS = {
    "width": 0.125,
    "output_stride": 8,
    "key_dim": 8,
    "value_dim": 16,
    "matching": MatchingSettings(temperature=0.07),
    "tracking": TrackingSettings(2, 3, (1, 3), mutual_weight=0.0, max_size=40),
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return CTVOS(**HPARAMS)


def checkpoint(model, path):
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def test_a_checkpoint_gives_its_network_and_settings(model, tmp_path):
    tracker = load_tracker(checkpoint(model, tmp_path / "model.ckpt"))
    assert isinstance(tracker, CutoutTracker)
    assert tracker.settings == HPARAMS["tracking"]
    assert (tracker.network.stride, tracker.network.temperature) == (8, 0.07)
    for name, value in model.network.state_dict().items():
        assert torch.equal(tracker.network.state_dict()[name], value), name


def test_safetensors_hold_half_precision_of_the_same(model, tmp_path):
    save_tracker(tmp_path / "model.safetensors", model.state_dict(), dict(model.hparams), model.task)
    tracker = load_tracker(tmp_path / "model.safetensors")
    assert tracker.settings == load_tracker(checkpoint(model, tmp_path / "model.ckpt")).settings
    for name, value in model.network.state_dict().items():
        torch.testing.assert_close(tracker.network.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_the_segmenter_gives_the_masks_of_the_task(model, tmp_path, moving_square):
    frames, truth = moving_square
    segmenter = VideoSegmenter(checkpoint(model, tmp_path / "model.ckpt"), device="cpu", precision="float32")
    masks = list(segmenter.segment(frames, truth[0]))
    propagator = model.tracker().prepared(torch.device("cpu")).propagator()
    for t, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        given = torch.from_numpy(truth[0]) if t == 0 else None
        assert np.array_equal(propagator.step(torch.from_numpy(frame).permute(2, 0, 1), given).numpy(), mask)
    assert np.array_equal(masks[0], truth[0])


def test_weights_that_lack_a_part_are_refused_by_name(model, tmp_path):
    state = {name: value for name, value in model.state_dict().items() if "decoder" not in name}
    torch.save({"state_dict": state, "hyper_parameters": dict(model.hparams)}, tmp_path / "half.ckpt")
    with pytest.raises(VOSError, match=r"half\.ckpt does not hold weights of MAST or CT-VOS"):
        load_tracker(tmp_path / "half.ckpt")


def test_the_weights_that_ship_track_as_masts_do_and_fit_the_package(moving_square):
    tracker = load_tracker("ct_vos")
    assert isinstance(tracker, CutoutTracker)
    assert tracker.propagator().reference_encoder is None
    assert (resources.files("vos_lightning.weights") / SHIPPED["ct_vos"]).stat().st_size < 10 * 2**20
    frames, truth = moving_square
    masks = list(VideoSegmenter("ct_vos", device="cpu", precision="float32").segment(frames, truth[0]))
    overlap = (masks[-1] & truth[-1] > 0).sum() / (masks[-1] | truth[-1] > 0).sum()
    assert overlap > 0.6
