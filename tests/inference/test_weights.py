"""Weights by name and by file; nothing is unpickled."""

import os
import pickle
import threading
from pathlib import Path

import pytest
import torch

from vos_lightning import MAST
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.inference.weights import load_tracker, save_tracker

HPARAMS = {
    "width": 0.125,
    "feature_dim": 16,
    "temperature": 0.07,
    "test_radius": 5,
    "topk": 3,
    "reference_offsets": [1, 3],
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MAST(**HPARAMS)


def checkpoint(model, path):
    torch.save({"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}, path)
    return path


def test_a_checkpoint_gives_its_encoder_and_settings(model, tmp_path):
    tracker = load_tracker(checkpoint(model, tmp_path / "model.ckpt"))
    assert tracker.reference_encoder is None
    assert (tracker.settings.radius, tracker.settings.topk, tracker.settings.temperature) == (5, 3, 0.07)
    assert tracker.settings.policy.offsets == (1, 3)
    lab = torch.rand(1, 3, 16, 16)
    assert torch.equal(tracker.encoder.eval()(lab), model.eval()(lab))


def test_safetensors_hold_half_precision_of_the_same(model, tmp_path):
    save_tracker(tmp_path / "model.safetensors", model.state_dict(), dict(model.hparams))
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
        save_tracker(path, model.state_dict(), dict(model.hparams))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before] * (before is not None)


def test_a_killed_write_leaves_no_half_file_under_the_name(model, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the weights of before")

    def killed(source, target):
        assert load_tracker(source.rename(tmp_path / "written.safetensors"))  # whole before it bears the name
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_tracker(path, model.state_dict(), dict(model.hparams))
    assert path.read_bytes() == b"the weights of before"


def test_weights_may_go_into_a_pipe_which_stays_one(model, tmp_path):
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()), daemon=True)
    reader.start()
    save_tracker(pipe, model.state_dict(), dict(model.hparams))
    reader.join(timeout=30)
    assert pipe.is_fifo()
    (tmp_path / "model.safetensors").write_bytes(received[0])
    load_tracker(tmp_path / "model.safetensors")


def test_the_lab_tracker_has_nothing_to_learn():
    assert list(load_tracker("lab").encoder.parameters()) == []


def test_the_default_weights_are_there_and_small():
    encoder = load_tracker("default").encoder
    assert 100_000 < sum(p.numel() for p in encoder.parameters()) < 6_000_000


def test_unknown_weights_are_refused_by_name():
    with pytest.raises(VOSError, match="no weights at resnet50: give 'default', 'lab', or a"):
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
    model = MAST(width=0.125, feature_dim=16, radius=2, test_radius=2, test_max_size=32)
    tracker = load_tracker(checkpoint(model, tmp_path / "model.ckpt"))
    tracker.to(torch.device("cpu"))
    sizes = []
    tracker.encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    frame, mask = torch.zeros(3, 48, 64, dtype=torch.uint8), torch.ones(48, 64, dtype=torch.uint8)
    for limit in (None, 16, 100):
        assert tracker.propagator(limit).step(frame, mask).shape == (48, 64)
    assert sizes == [(24, 32), (12, 16), (48, 64)]
