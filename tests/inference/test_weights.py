"""Weights by name and by file; nothing is unpickled."""

import json
import os
import pickle
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vos_lightning import CTVOS, MAST
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.inference.weights import load_tracker, save_tracker
from vos_lightning.tasks.ct_vos import CutoutSettings, TagSettings

HPARAMS = {
    "width": 0.125,
    "feature_dim": 16,
    "temperature": 0.07,
    "tracking": TrackingSettings(5, 3, (1, 3)),
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MAST(**HPARAMS)


def checkpoint(model, path):
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def test_a_checkpoint_gives_its_encoder_and_settings(model, tmp_path):
    tracker = load_tracker(checkpoint(model, tmp_path / "model.ckpt"))
    assert tracker.reference_encoder is None
    assert tracker.settings == TrackingSettings(5, 3, (1, 3))
    assert tracker.temperature == 0.07
    lab = torch.rand(1, 3, 16, 16)
    assert torch.equal(tracker.encoder.eval()(lab), model.eval()(lab))


def test_safetensors_hold_half_precision_of_the_same(model, tmp_path):
    save_tracker(tmp_path / "model.safetensors", model.state_dict(), dict(model.hparams), model.task)
    tracker = load_tracker(tmp_path / "model.safetensors")
    assert tracker.settings == load_tracker(checkpoint(model, tmp_path / "model.ckpt")).settings
    for name, value in model.encoder.state_dict().items():
        torch.testing.assert_close(tracker.encoder.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def half_written(path, content):
    """What a disk that fills up does to a write."""
    with path.open("wb") as file:
        file.write(content[: len(content) // 2])
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("before", [None, b"the weights of before"])
def test_a_write_that_fails_leaves_what_was_there(model, tmp_path, monkeypatch, before):
    path = tmp_path / "model.safetensors"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr(Path, "write_bytes", half_written)
    with pytest.raises(VOSError, match=r"model\.safetensors: cannot be written \(No space left on device\)"):
        save_tracker(path, model.state_dict(), dict(model.hparams), model.task)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before] * (before is not None)


def test_a_killed_write_leaves_no_half_file_under_the_name(model, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the weights of before")

    def killed(source, target):
        assert load_tracker(source.rename(tmp_path / "written.safetensors"))  # whole before it bears the name
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_tracker(path, model.state_dict(), dict(model.hparams), model.task)
    assert path.read_bytes() == b"the weights of before"


def test_weights_may_go_into_a_pipe_which_stays_one(model, tmp_path):
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    save_tracker(pipe, model.state_dict(), dict(model.hparams), model.task)
    reader.join(timeout=1800)
    assert pipe.is_fifo()
    (tmp_path / "model.safetensors").write_bytes(received[0])
    load_tracker(tmp_path / "model.safetensors")


def test_the_lab_tracker_has_nothing_to_learn():
    assert list(load_tracker("lab").encoder.parameters()) == []


def test_the_default_weights_are_there_and_small():
    encoder = load_tracker("default").encoder
    assert 100_000 < sum(p.numel() for p in encoder.parameters()) < 6_000_000


def test_unknown_weights_are_refused_by_name():
    with pytest.raises(VOSError, match="no weights at resnet50: give 'default', 'ct_vos', 'lab', or a"):
        load_tracker("resnet50")


@pytest.mark.parametrize("name", ["weights.ckpt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not weights", b"\x80\x04" + b"x" * 100])
def test_garbage_is_refused_by_name(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=name):
        load_tracker(path)


def test_a_truncated_checkpoint_is_refused(model, tmp_path):
    path = checkpoint(model, tmp_path / "model.ckpt")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CorruptFileError, match=r"model\.ckpt"):
        load_tracker(path)


def test_a_checkpoint_that_carries_code_does_not_run_it(tmp_path):
    target = tmp_path / "was_here"

    class Evil:
        def __reduce__(self):
            return (open, (str(target), "w"))

    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(CorruptFileError):
        load_tracker(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CorruptFileError):
        load_tracker(path)
    assert not target.exists()


@pytest.mark.parametrize(
    "content", [[], {"state_dict": {}}, {"state_dict": {}, "hyper_parameters": {"width": 1}}, {"epoch": 3}]
)
def test_checkpoints_of_something_else_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(VOSError, match=r"other\.ckpt"):
        load_tracker(tmp_path / "other.ckpt")


def test_weights_may_have_a_limit_of_their_own_to_the_size_of_frames(tmp_path):
    model = MAST(width=0.125, feature_dim=16, radius=2, tracking=TrackingSettings(2, max_size=32))
    tracker = load_tracker(checkpoint(model, tmp_path / "model.ckpt"))
    tracker = tracker.prepared(torch.device("cpu"))
    sizes = []
    tracker.encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    frame, mask = torch.zeros(3, 48, 64, dtype=torch.uint8), torch.ones(48, 64, dtype=torch.uint8)
    for limit in (None, 16, 100):
        settings = replace(tracker.settings, max_size=limit or tracker.settings.max_size)
        assert tracker.propagator(settings).step(frame, mask).shape == (48, 64)
    assert sizes == [(24, 32), (12, 16), (48, 64)]


# What version 0.1.0 wrote beside the weights that it shipped.
SHIPPED_THEN = {
    "width": 0.5,
    "feature_dim": 64,
    "normalize": True,
    "temperature": 0.05,
    "radius": 6,
    "learning_rate": 0.0006,
    "momentum": None,
    "halve_lr_at": None,
    "test_radius": 12,
    "topk": 6,
    "reference_offsets": [1, 3, 9, 18],
    "given_radius": None,
    "colour_weight": 0.4,
    "follow": True,
    "test_max_size": 640,
    "mutual_weight": 0.5,
}


def test_weights_of_version_0_1_0_load_with_the_settings_that_they_had(tmp_path):
    encoder = load_tracker("default").encoder
    state = {
        f"encoder.{name}": value.half() if value.is_floating_point() else value
        for name, value in encoder.state_dict().items()
    }
    save_file(state, tmp_path / "old.safetensors", {"hyper_parameters": json.dumps(SHIPPED_THEN)})
    tracker = load_tracker(tmp_path / "old.safetensors")
    assert tracker.settings == TrackingSettings(radius=12, max_size=640)
    assert tracker.temperature == 0.05
    for name, value in encoder.state_dict().items():
        assert torch.equal(tracker.encoder.state_dict()[name], value), name


def test_checkpoints_of_version_0_1_0_load_into_the_task_and_into_the_segmenter(tmp_path):
    old = SHIPPED_THEN | {"width": 0.125, "feature_dim": 16, "test_radius": 5, "test_momentum": True, "momentum": 0.9}
    torch.manual_seed(0)
    model = MAST(width=0.125, feature_dim=16, momentum=0.9)
    content = {"state_dict": model.state_dict(), "hyper_parameters": old, "pytorch-lightning_version": "2.6.0"}
    torch.save(content, tmp_path / "old.ckpt")
    expected = TrackingSettings(5, momentum_encoder=True, max_size=640)
    assert load_tracker(tmp_path / "old.ckpt").settings == expected
    loaded = MAST.load_from_checkpoint(tmp_path / "old.ckpt")
    assert loaded.tracking == expected
    assert loaded.hparams["radius"] == 6
    assert MAST.load_from_checkpoint(tmp_path / "old.ckpt", tracking=TrackingSettings(2)).tracking.radius == 2
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_ct_vos_of_version_0_1_0_keeps_its_cutout_and_tags(tmp_path):
    old = {"width": 0.125, "output_stride": 8, "key_dim": 8, "value_dim": 16, "normalize": True, "temperature": 0.07}
    old |= {"depth": 18, "cutout": "circle", "cutout_side": 0.3, "tag_loss": "pull", "tag_weight": 2.0}
    old |= {"tag_margin": 0.4, "tag_pixels": 9, "label_share": 0.6, "learning_rate": 1e-3, "cosine": True}
    old |= {"reference_offsets": [1, 3], "test_radius": None, "topk": None, "follow": False, "test_max_size": None}
    model = CTVOS(width=0.125, output_stride=8, key_dim=8, value_dim=16)
    content = {"state_dict": model.state_dict(), "hyper_parameters": old, "pytorch-lightning_version": "2.6.0"}
    torch.save(content, tmp_path / "old.ckpt")
    settings = load_tracker(tmp_path / "old.ckpt").settings
    assert settings == TrackingSettings(None, None, (1, 3), follow=False, colour_weight=0.0, mutual_weight=0.0)
    loaded = CTVOS.load_from_checkpoint(tmp_path / "old.ckpt")
    assert (loaded.cutout, loaded.tags) == (CutoutSettings("circle", 0.3), TagSettings("pull", 2.0, 0.4, 9))


BROKEN_SETTINGS = [
    {"temperature": 0},
    {"temperature": float("nan")},
    {"temperature": "hot"},
    {"temperature": True},
    {"width": "0.125"},
    {"width": 1e300},
    {"width": -1.0},
    {"feature_dim": 16.0},
    {"feature_dim": 10**9},
    {"normalize": 1},
    {"tracking": None},
    {"tracking": [1]},
    {"tracking": {"topk": 0}},
    {"tracking": {"topk": 2.5}},
    {"tracking": {"radius": "12"}},
    {"tracking": {"radius": -3}},
    {"tracking": {"offsets": 3}},
    {"tracking": {"offsets": [1, "2"]}},
    {"tracking": {"offsets": [0]}},
    {"tracking": {"follow": "yes"}},
    {"tracking": {"colour_weight": float("nan")}},
    {"tracking": {"mutual_weight": float("inf")}},
    {"tracking": {"max_size": -5}},
    {"tracking": {"max_size": 1}},
    {"temperature": 1e-45},
]


@pytest.mark.parametrize("changes", BROKEN_SETTINGS, ids=str)
def test_settings_of_a_file_are_checked_by_type_and_range(model, tmp_path, changes):
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams) | changes}
    model.on_save_checkpoint(content)
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(VOSError, match=r"odd\.ckpt does not hold weights of MAST or CT-VOS that can be used: "):
        load_tracker(tmp_path / "odd.ckpt")


def test_a_negative_variance_is_refused(model, tmp_path):
    state = model.state_dict()
    name = next(name for name in state if name.endswith("running_var"))
    state[name] = state[name] - 2
    content = {"state_dict": state, "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(content)
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(VOSError, match=rf"odd\.ckpt does not hold .*{name} holds a negative variance"):
        load_tracker(tmp_path / "odd.ckpt")


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: value * torch.nan,
        lambda value: value.clone().fill_(torch.inf),
        lambda value: value.to(torch.complex64),
        lambda value: value.to_sparse(),
        lambda value: value.to("meta"),
        lambda value: value.tolist(),
        lambda value: value[:-1],
    ],
    ids=["nan", "inf", "complex", "sparse", "meta", "list", "shorter"],
)
def test_tensors_of_a_file_are_checked(model, tmp_path, damage):
    state = model.state_dict()
    state["encoder.head.bias"] = damage(state["encoder.head.bias"])
    content = {"state_dict": state, "hyper_parameters": dict(model.hparams)}
    model.on_save_checkpoint(content)
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(VOSError, match=r"odd\.ckpt"):
        load_tracker(tmp_path / "odd.ckpt")
