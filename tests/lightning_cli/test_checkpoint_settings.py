"""Options out of a checkpoint: numbers and choices that its task saves, and nothing that names a file or a module."""

from dataclasses import dataclass
from typing import Literal

import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import MAST
from vos_lightning.cli import main
from vos_lightning.errors import VOSError
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.lightning_cli.checkpoint_settings import checkpoint_settings


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Write a checkpoint of a tiny MAST with other hyper-parameters; its folder is the working directory."""
    monkeypatch.chdir(tmp_path)
    model = MAST(width=0.125)

    def write(name="model.ckpt", **settings):
        hparams = dict(model.hparams) | settings
        state = {"state_dict": model.state_dict(), "hyper_parameters": hparams, "pytorch-lightning_version": "2.6.0"}
        torch.save(state | {"vos_lightning": {"task": "MAST"}}, name)
        return tmp_path / name

    return write


def run(capsys, davis_tree, command, checkpoint):
    data = ["--data=vos_lightning.data.DAVISDataModule", f"--data.init_args.root={davis_tree}"]
    quiet = ["--trainer.logger=false", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    code = main([command, "--model=vos_lightning.MAST", *data, *quiet, f"--ckpt_path={checkpoint}"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("command", ["test", "predict", "fit"])
@pytest.mark.parametrize("name", ["trap.Model", "trap.MAST", "vos_lightning.trap.CTVOS", "trap", "", 7])
def test_no_module_that_a_checkpoint_names_is_imported(save, davis_tree, tmp_path, monkeypatch, capsys, command, name):
    (tmp_path / "trap.py").write_text("open('ran', 'w')\nclass Model: pass\nclass MAST: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    save("last.ckpt", _class_path=name)
    code, err = run(capsys, davis_tree, command, "last")
    assert code == 2, err
    assert "last.ckpt is a checkpoint of " in err.splitlines()[-1]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["vos_lightning.MAST", "vos_lightning.tasks.mast.MAST", "vos_lightning.of.old.MAST"])
def test_a_task_is_known_by_its_name_wherever_its_module_was(save, name):
    assert checkpoint_settings(save(_class_path=name), MAST)["width"] == 0.125


def test_what_a_task_does_not_save_is_not_taken(save, davis_tree, tmp_path, monkeypatch, capsys):
    (tmp_path / "secret").write_text("secret")
    seen = []
    monkeypatch.setattr(MAST, "test_step", lambda self, *_: seen.append((self.adapter, dict(self.hparams))))
    checkpoint = save(init_from=str(tmp_path / "secret"), adapter={"steps": 10**9}, compile=True, made_up=3)
    code, err = run(capsys, davis_tree, "test", checkpoint)
    assert code == 0, err
    assert seen[0][0] is None
    assert seen[0][1]["width"] == 0.125
    assert not {"init_from", "adapter", "compile", "made_up"} & set(checkpoint_settings(checkpoint, MAST))
    loaded = MAST.load_from_checkpoint(checkpoint)  # as a notebook does
    assert (loaded.adapter, loaded.hparams["width"]) == (None, 0.125)


@pytest.mark.parametrize(
    "settings",
    [
        {"width": "wide"}, {"width": True}, {"radius": 2.5}, {"halve_lr_at": ["a"]}, {"halve_lr_at": 3},
        {"tracking": {"topk": "all"}},
        {"tracking": 3},
        {"normalize": 1}, {"width": None}, {"width": [0.5]}, {"width": {"a": 1}}, {"width": float("nan")},
    ],
)  # fmt: skip
def test_types_that_a_task_does_not_have_are_refused_by_name(save, davis_tree, capsys, settings):
    code, err = run(capsys, davis_tree, "test", save(**settings))
    assert code == 2
    assert "model.ckpt is damaged: " + next(iter(settings)) in err.splitlines()[-1]


def test_hyper_parameters_that_are_no_table_are_refused(save):
    torch.save({"state_dict": {}, "hyper_parameters": [1], "pytorch-lightning_version": "2"}, "list.ckpt")
    with pytest.raises(VOSError, match=r"list\.ckpt is damaged"):
        checkpoint_settings(save().with_name("list.ckpt"), MAST)


@dataclass(frozen=True)
class Readout:
    topk: int | None = None
    kind: Literal["a", "b"] = "a"


class Foreign(pl.LightningModule):
    """A user's own task."""

    def __init__(self, rate: float = 1.0, path: str | None = None, readout: Readout = Readout(), anything=None):
        super().__init__()


def test_of_other_tasks_too_only_plain_values_are_taken(save):
    readout = {"topk": 3, "kind": "b"}
    checkpoint = save(rate=2, path="/etc/passwd", readout=readout, anything=3, _class_path=f"{__name__}.Foreign")
    assert checkpoint_settings(checkpoint, Foreign) == {"rate": 2, "readout": readout}
    for damaged in ({"kind": "c"}, {"topk": "3"}, []):
        with pytest.raises(VOSError, match="damaged: readout"):
            checkpoint_settings(save(readout=damaged), Foreign)


NAMED = {"class_path": "trap.run", "init_args": {}}


@pytest.mark.parametrize("option", ["tracking", "width"])
@pytest.mark.parametrize("value", [NAMED, "trap.run"])
def test_loading_in_python_imports_nothing_that_a_checkpoint_names(save, tmp_path, monkeypatch, option, value):
    (tmp_path / "trap.py").write_text("open('ran', 'w')\ndef run(*_, **__): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    parsers = {"_class_path": "vos_lightning.MAST", "_instantiator": "pytorch_lightning.cli.instantiate_module"}
    try:
        loaded = MAST.load_from_checkpoint(save(**parsers, **{option: value}))
    except VOSError as error:
        assert str(error).startswith(str(tmp_path / "model.ckpt")), error  # noqa: PT017 - either outcome is safe
    else:
        assert loaded.tracking == TrackingSettings()
    assert not (tmp_path / "ran").exists()


class Wider(MAST):
    """A user's own, trained by a command."""

    def __init__(self, note: str = "", **options):
        super().__init__(**options)
        self.note = note


def test_a_task_of_the_users_own_gets_what_its_checkpoint_holds(save, tmp_path):
    parsers = {"_class_path": f"{__name__}.Wider", "_instantiator": "pytorch_lightning.cli.instantiate_module"}
    loaded = Wider.load_from_checkpoint(save(**parsers, note="mine", feature_dim=64))
    assert (loaded.note, loaded.hparams["width"]) == ("mine", 0.125)


def test_weights_that_do_not_fit_are_refused_by_name(save):
    path = save(width=0.25)
    with pytest.raises(VOSError, match=r"model\.ckpt does not hold weights of this MAST: .*size mismatch"):
        MAST.load_from_checkpoint(path)
    torch.save({"state_dict": {"a": torch.zeros(1, dtype=torch.complex64)}}, path)
    with pytest.raises(VOSError, match=r"model\.ckpt is damaged: 'a' is no dense tensor"):
        MAST.load_from_checkpoint(path)
