"""What a user can get wrong in a config ends in one line on stderr that names it, and code 2."""

import warnings
from pathlib import Path

import pytest
import torch
import yaml

from vos_lightning.cli import main

CONFIG = {
    "model": {
        "class_path": "vos_lightning.MAST",
        "init_args": {"width": 0.125, "radius": 2, "tracking": {"radius": 2}},
    },
    "data": {
        "class_path": "vos_lightning.data.SyntheticDataModule",
        "init_args": {"batch_size": 2, "num_workers": 0, "size": [32, 48], "short_side": 32, "crop_size": 32},
    },
    "trainer": {"accelerator": "cpu", "max_steps": 1, "max_epochs": -1, "logger": False, "enable_progress_bar": False},
}
CASES = {
    "--trainer.max_stps=3": "did you mean trainer.max_steps?",
    "--model.init_args.widht=3": "did you mean width?",
    "--data.init_args.batch_sise=3": "did you mean batch_size?",
    "--config=trainer: {max_stps: 3}": "trainer.max_stps",
    "--config=trainr: {max_steps: 3}": "trainr.max_steps",
    "--config=model: {init_args: {widht: 3}}": "widht",
    "--config=a: [1, 2": "expected ',' or ']'",
    "--config=nothing.yaml": "nothing.yaml",
    "--config=trainer: 3": "trainer is 3; expected its options",
    "--trainer.max_steps=-1": "this one has no end; set trainer.max_steps",
    "--trainer.max_steps=three": "trainer.max_steps: expected int, got three",
    "--model.init_args.width=half": "width: expected float, got half",
    "--model=vos_lightning.MASTT": "has no attribute 'MASTT'",
    "--data=NoDataModule": "NoDataModule",
    "--trainer.strategy=dpp": "dpp",
    "--trainer.accelerator=tpu": "torch_xla",
    "--trainer.devices=0": "devices",
    "--data.init_args.batch_size=0": "batch_size=0",
    "--data.init_args.crop_size=-3": "crop_size=-3",
    "--data.init_args.clip_length=0": "clip_length=0",
    "--ckpt_path=nothing.ckpt": "no checkpoint at nothing.ckpt",
    "--ckpt_path=text.ckpt": "text.ckpt is not a readable checkpoint",
    "--ckpt_path=foreign.ckpt": "foreign.ckpt is not a checkpoint of a training run",
    "--ckpt_path=other.ckpt": "other.ckpt is a checkpoint of vos_lightning.VideoSegmenter",
    "--ckpt_path=empty.ckpt": "does not fit the model: Missing key(s)",
}


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    Path("text.ckpt").write_text("hello")
    state = {"state_dict": {"a": torch.zeros(1)}}
    torch.save(state, "foreign.ckpt")
    torch.save(state | {"pytorch-lightning_version": "2.6.0"}, "empty.ckpt")
    settings = {"hyper_parameters": {"_class_path": "vos_lightning.VideoSegmenter"}}
    torch.save(state | settings | {"pytorch-lightning_version": "2.6.0"}, "other.ckpt")
    return tmp_path


def run(capsys, *arguments):
    """Exit code and the lines of stderr that aren't Lightning's log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            code = main(list(arguments))
        except SystemExit as stop:
            code = stop.code
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    return code, lines


@pytest.mark.parametrize("option", CASES)
def test_the_fault_is_named_in_one_line(option, in_tmp, capsys):
    code, lines = run(capsys, "fit", "--config=config.yaml", option)
    assert code == 2
    assert CASES[option] in lines[-1]
    assert lines[-1].startswith("vos-lightning: error: ")
    assert not any("usage" in line or "Traceback" in line for line in lines)


def test_without_a_checkpoint_best_is_no_wish(in_tmp, capsys):
    code, lines = run(capsys, "validate", "--config=config.yaml", "--ckpt_path=best", "--trainer.default_root_dir=runs")
    assert code == 2
    assert lines == [
        "vos-lightning: error: no best.ckpt in runs; give --trainer.default_root_dir of the run, or the file's path"
    ]


def test_checkpoints_are_never_unpickled(in_tmp, capsys):
    code, lines = run(capsys, "fit", "--config=config.yaml", "--ckpt_path=empty.ckpt", "--weights_only=false")
    assert code == 2
    assert "weights_only" in lines[-1]
