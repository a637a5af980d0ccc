"""fit, validate, test and predict through the command line, from the configs that ship."""

from pathlib import Path

import pytest
import yaml

from vos_lightning.cli import main
from vos_lightning.io.masks import read_mask

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SMALL = [
    "--model.init_args.width=0.125",
    "--model.init_args.radius=2",
    "--data.init_args.batch_size=2",
    "--data.init_args.num_workers=0",
    "--data.init_args.crop_size=32",
    "--data.init_args.short_side=32",
    "--data.init_args.clips_per_video=2",
    "--trainer.precision=32",
    "--trainer.accelerator=cpu",
    "--trainer.max_steps=2",
]


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_accepted(path, in_tmp, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(path), "--print_config"])
    assert stop.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["class_path"].startswith("vos_lightning.")


def test_fit_test_and_predict_follow_one_another(in_tmp, davis_tree):
    config = str(Path(__file__).parents[2] / "examples" / "mast_videos.yaml")
    frames = str(davis_tree / "JPEGImages")
    arguments = ["--config", config, f"--data.init_args.root={frames}", *SMALL]
    assert main(["fit", *arguments, f"--data.init_args.val_root={davis_tree}", "--trainer.default_root_dir=run"]) == 0
    checkpoints = {path.name: path for path in (in_tmp / "run").rglob("*.ckpt")}
    assert set(checkpoints) == {"last.ckpt", "best.ckpt"}
    assert any((in_tmp / "run").rglob("config.yaml"))

    model = ["--model=vos_lightning.MAST", "--model.init_args.width=0.125", f"--ckpt_path={checkpoints['last.ckpt']}"]
    data = ["--data=vos_lightning.data.DAVISDataModule", f"--data.init_args.root={davis_tree}"]
    quiet = ["--trainer.logger=false", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    assert main(["test", *model, *data, *quiet]) == 0
    assert main(["predict", *model, *data, *quiet, "--prediction_writer.directory=masks"]) == 0
    written = sorted(path.relative_to("masks").as_posix() for path in Path("masks").rglob("*.png"))
    assert written == [f"synthetic-0000{s}/{t:05d}.png" for s in (7, 8) for t in range(6)]
    first = davis_tree / "Annotations" / "480p" / "synthetic-00007" / "00000.png"
    assert (read_mask(Path("masks") / "synthetic-00007" / "00000.png") == read_mask(first)).all()


def test_a_wrong_option_is_named(in_tmp, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config", str(EXAMPLES[0]), "--model.init_args.widht=3"])
    assert stop.value.code == 2
    assert "widht" in capsys.readouterr().err
