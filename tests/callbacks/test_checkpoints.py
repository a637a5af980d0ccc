"""Checkpoints: when they are written, that they are whole, and that a run goes on from any of them as if unbroken."""

import random
import shutil
import signal

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import MAST
from vos_lightning.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from vos_lightning.callbacks.checkpoints.files import AtomicCheckpointIO, read_checkpoint
from vos_lightning.callbacks.checkpoints.random_state import RandomState
from vos_lightning.data import SyntheticDataModule
from vos_lightning.errors import CorruptFileError, VOSError

TINY = {"width": 0.125, "feature_dim": 16, "radius": 2, "tracking": {"radius": 2}, "halve_lr_at": [8, 24]}
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


class Record(pl.Callback):
    """Batch, random draws and loss of every step; a copy of the last checkpoint after each save."""

    def __init__(self, copies=None):
        self.steps, self.copies = {}, copies

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        draws = torch.rand(()).item(), np.random.rand(), random.random()
        seen = batch["frames"].double().sum().item(), trainer.optimizers[0].param_groups[0]["lr"], *draws
        self.steps[trainer.global_step] = (*seen, outputs["loss"].item())


class Keep(AtomicCheckpointIO):
    """Keeps every checkpoint that is written."""

    def __init__(self, folder):
        self.folder = folder

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        super().save_checkpoint(checkpoint, path)
        shutil.copy(path, self.folder / f"{checkpoint['global_step']}-{len(list(self.folder.iterdir()))}.ckpt")


def fit(folder, keep=None, checkpoint=None, every_n_steps=3, **options):
    """One run over epochs of 4 steps; what it saw."""
    pl.seed_everything(5, verbose=False)
    data = {"batch_size": 2, "num_workers": 0, "size": (32, 48), "short_side": 32, "crop_size": 32, "num_frames": 4}
    module = SyntheticDataModule(**data, num_videos=4, num_val_videos=1, num_objects=1, clips_per_video=2)
    record = Record()
    callbacks = [LastCheckpoint(str(folder), every_n_steps=every_n_steps), RandomState(), record]
    callbacks += [BestCheckpoint(str(folder))] if options.get("limit_val_batches") else []
    plugins = [] if keep is None else [Keep(keep)]
    trainer = pl.Trainer(callbacks=callbacks, plugins=plugins, **QUIET, **options)
    trainer.fit(MAST(**TINY), module, ckpt_path=checkpoint)
    return record.steps


@pytest.mark.parametrize(
    "options",
    [
        {"max_steps": 7, "max_epochs": -1, "limit_val_batches": 0},
        {"max_epochs": 2, "limit_val_batches": 0},
        {"max_steps": 7, "max_epochs": -1, "limit_val_batches": 1},
    ],
    ids=["steps", "epochs", "with validation"],
)
def test_from_every_checkpoint_the_run_goes_on_as_if_unbroken(options, tmp_path):
    (tmp_path / "kept").mkdir()
    whole = fit(tmp_path / "whole", tmp_path / "kept", **options)
    kept = sorted((tmp_path / "kept").iterdir())
    assert {int(path.name.split("-")[0]) for path in kept} >= {3, 4, 6}
    for path in kept:
        done = torch.load(path, weights_only=True)["global_step"]
        resumed = fit(tmp_path / "resumed", checkpoint=path, **options)
        assert resumed == {step: seen for step, seen in whole.items() if step > done}, path.name


def test_a_finished_run_goes_on_with_the_rest_of_the_epoch_when_more_steps_are_allowed(tmp_path):
    options = {"max_epochs": -1, "limit_val_batches": 0}
    whole = fit(tmp_path / "whole", max_steps=9, **options)
    fit(tmp_path / "part", max_steps=6, **options)
    more = fit(tmp_path / "part", checkpoint=tmp_path / "part" / "last.ckpt", max_steps=9, **options)
    assert more == {step: whole[step] for step in (7, 8, 9)}


def test_nothing_is_saved_between_optimizer_steps(tmp_path):
    (tmp_path / "kept").mkdir()
    options = {"max_epochs": 2, "limit_val_batches": 0, "accumulate_grad_batches": 2, "every_n_steps": 1}
    whole = fit(tmp_path / "whole", tmp_path / "kept", **options)
    for path in sorted((tmp_path / "kept").iterdir()):
        resumed = fit(tmp_path / "resumed", checkpoint=path, **options)
        assert all(whole[step] == seen for step, seen in resumed.items())


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    writer, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    writer.save_checkpoint({"state_dict": {}, "pytorch-lightning_version": "2"}, path)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vos_lightning.callbacks.checkpoints.files.os.fsync", full_disk)
    with pytest.raises(VOSError, match="No space left"):
        writer.save_checkpoint({"state_dict": {"a": torch.zeros(9)}, "pytorch-lightning_version": "2"}, path)
    assert read_checkpoint(path)["state_dict"] == {}
    assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]
    writer.remove_checkpoint(path)
    writer.remove_checkpoint(path)
    assert not path.exists()


def test_a_disk_that_fills_while_torch_writes_is_named(tmp_path, monkeypatch):
    """There torch raises an error of its own."""

    def full_disk(*_):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 768 vs 662")  # noqa: B904

    (tmp_path / "last.ckpt").write_text("old")
    monkeypatch.setattr("vos_lightning.callbacks.checkpoints.files.torch.save", full_disk)
    with pytest.raises(VOSError, match=r"last\.ckpt: cannot be written \(No space left on device\); free space"):
        AtomicCheckpointIO().save_checkpoint({"state_dict": {}}, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_signal_breaks_is_the_end_and_no_fault(tmp_path):
    """A signal to all processes ends those that compile for the first step."""
    last = LastCheckpoint(str(tmp_path))
    last._signals.received = signal.SIGTERM
    with pytest.raises(SystemExit) as stop:
        last.on_exception(None, None, RuntimeError("a subprocess ended"))
    assert stop.value.code == 143
    last._signals.received = None
    last.on_exception(None, None, RuntimeError("a fault"))


def test_no_file_that_a_checkpoint_names_is_removed(tmp_path):
    """Lightning removes what the state of a ModelCheckpoint calls its predecessor."""
    options = {"max_epochs": 1, "limit_val_batches": 1}
    fit(tmp_path, **options)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    precious = [tmp_path / "precious.txt", tmp_path / "kept.ckpt", tmp_path.parent / f"{tmp_path.name}.ckpt"]
    for path in precious:
        path.write_text("precious")
    outside = f"{tmp_path}/../{tmp_path.name}.ckpt"
    for victim in (str(precious[0]), str(precious[1]), outside):
        for state in checkpoint["callbacks"].values():
            if "best_model_path" in state:
                path = {"best_model_path": victim, "kth_best_model_path": victim, "dirpath": str(tmp_path)}
                state |= path | {"best_k_models": {victim: torch.tensor(-1.0)}, "kth_value": torch.tensor(-1.0)}
                state["best_model_score"] = torch.tensor(-1.0)
        torch.save(checkpoint, tmp_path / "evil.ckpt")
        fit(tmp_path, checkpoint=tmp_path / "evil.ckpt", **options | {"max_epochs": 2})
    assert all(path.read_text() == "precious" for path in precious)
    for path in (precious[0], outside):
        AtomicCheckpointIO().remove_checkpoint(path)
    assert all(path.exists() for path in precious)


def test_a_resumed_run_keeps_the_best_checkpoint_until_it_is_beaten(tmp_path):
    options = {"limit_val_batches": 1}
    fit(tmp_path, max_epochs=1, **options)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    (state,) = (one for key, one in checkpoint["callbacks"].items() if key.startswith("BestCheckpoint"))
    state["best_model_score"] = torch.tensor(2.0)  # no run will beat that
    torch.save(checkpoint, tmp_path / "last.ckpt")
    best = (tmp_path / "best.ckpt").read_bytes()
    fit(tmp_path, checkpoint=tmp_path / "last.ckpt", max_epochs=2, **options)
    assert (tmp_path / "best.ckpt").read_bytes() == best


class Harmful:
    def __reduce__(self):
        return print, ("code of a checkpoint ran",)


def test_what_is_no_checkpoint_is_named_and_never_run(tmp_path, capsys):
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "foreign.ckpt")
    torch.save({"state_dict": Harmful(), "pytorch-lightning_version": "2"}, tmp_path / "code.ckpt")
    for name, error in (
        ("text", CorruptFileError),
        ("foreign", VOSError),
        ("code", CorruptFileError),
        ("no", VOSError),
    ):
        with pytest.raises(error, match=f"{name}.ckpt"):
            read_checkpoint(tmp_path / f"{name}.ckpt")
    assert "ran" not in capsys.readouterr().out
