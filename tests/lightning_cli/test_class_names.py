"""Models and data by short names."""

import sys
from importlib import import_module
from types import ModuleType

import pytest

from vos_lightning import MAST
from vos_lightning.cli import main
from vos_lightning.errors import VOSError
from vos_lightning.lightning_cli import trainer
from vos_lightning.lightning_cli.class_names import datamodules, models, with_import_paths


def test_every_name_is_that_of_a_class():
    assert {"MAST", "CTVOS", "OnlineAdapter"} == set(models())
    assert {"VideoFolder", "ImageFolder", "YouTubeVOS", "Kinetics", "DAVIS", "Synthetic", "Shard"} <= set(datamodules())
    for path in [*models().values(), *datamodules().values()]:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name).__name__ == name


def test_names_become_import_paths_and_what_else_is_given_stays():
    given = [
        "fit",
        "--model",
        "MAST",
        "--data=VideoFolderDataModule",
        "--data.init_args.root",
        "DAVIS",
        "--config",
        "MAST",
    ]
    expected = ["fit", "--model", "vos_lightning.MAST", "--data=vos_lightning.data.VideoFolderDataModule", *given[4:]]
    assert with_import_paths(given) == expected
    own = ["--model", "my.Task", "--data.help", "Kinetics", "--model={a: 1}"]
    assert with_import_paths(own) == [*own[:3], "vos_lightning.data.KineticsDataModule", own[4]]


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(VOSError, match=r"--data VideoFolders: no such class; there are .*VideoFolder, "):
        with_import_paths(["fit", "--data", "VideoFolders"])


def test_short_names_on_the_command_line(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["fit", "--model", "MAST", "--model.width", "0.5", "--data", "Synthetic", "--print_config"])
    assert exit_.value.code == 0
    output = capsys.readouterr().out
    assert "class_path: vos_lightning.MAST" in output
    assert "class_path: vos_lightning.data.SyntheticDataModule" in output


@pytest.mark.parametrize(
    "words",
    [
        "Problem with given class_path 'WandbLogger':\n  Requirement 'wandb>=0.12.10' not met. HINT: Try running …",
        "No module named 'wandb'",
    ],
)
@pytest.mark.parametrize("kind", [ModuleNotFoundError, ValueError])
def test_a_logger_that_is_not_installed_is_told_with_its_extra(capsys, monkeypatch, kind, words):
    def lacking(self):
        raise kind(words)

    monkeypatch.setattr(trainer.LightningCLI, "instantiate_classes", lacking)
    assert main(["fit", "--model", "MAST", "--data", "Synthetic"]) == 2
    error = capsys.readouterr().err
    assert "error: wandb is not installed; pip install 'vos_lightning[wandb]'\n" in error
    assert error.count("\n") == 1


def test_the_twin_of_the_trainer_is_warned_of(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning.pytorch", ModuleType("lightning.pytorch"))
    with pytest.warns(UserWarning, match="MAST belongs to pytorch_lightning, and the Trainer of lightning.pytorch"):
        MAST(width=0.25)


def test_fit_ends_with_where_the_weights_are_and_how_to_use_them(capsys, tmp_path):
    small = ["--data.num_videos=2", "--data.num_frames=6", "--data.size=[48,64]", "--data.batch_size=1"]
    quick = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", f"--trainer.default_root_dir={tmp_path}"]
    root = [
        "--data",
        "Synthetic",
        "--data.root",
        str(tmp_path / "videos"),
        "--data.num_workers=0",
        "--data.crop_size=32",
    ]
    assert main(["fit", "--model", "MAST", "--model.width=0.25", *root, *small, *quick]) == 0
    (weights,) = tmp_path.rglob("last.ckpt")
    line = capsys.readouterr().err.splitlines()[-1]
    assert (
        line
        == f"saved {weights}; use it: vos-lightning segment VIDEO --mask FIRST.png --output masks --weights {weights}"
    )
