"""fit, validate, test and predict through the command line, from the configs that ship."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_lightning as pl
import yaml

from vos_lightning import MAST
from vos_lightning.cli import main
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.io.masks import read_mask

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
VIDEOS = EXAMPLES[0].with_name("mast_videos.yaml")
TRAINERS = VIDEOS.parent / "trainer"
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


@pytest.mark.parametrize("path", sorted(TRAINERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_fragments_compose_with_an_example(path, in_tmp, capsys):
    fragment = yaml.safe_load(path.read_text())
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(VIDEOS), "--config", str(path), "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    for part, settings in fragment.items():
        for name, value in settings.items():
            if not isinstance(value, dict | list):
                assert printed[part][name] == value
    example = yaml.safe_load(VIDEOS.read_text())
    assert printed["data"]["init_args"]["max_gap"] == example["data"]["init_args"]["max_gap"]


def test_the_slurm_script_parses_and_fits_its_config():
    script = (TRAINERS / "slurm.sh").read_text()
    subprocess.run(["bash", "-n", str(TRAINERS / "slurm.sh")], check=True)
    trainer = yaml.safe_load((TRAINERS / "slurm.yaml").read_text())["trainer"]
    assert f"--ntasks-per-node={trainer['devices']}" in script
    assert f"--nodes={trainer['num_nodes']}\n" in script
    assert str(128 + signal.SIGUSR1) in script


def test_the_slurm_script_logs_to_a_folder_that_is_there():
    (log,) = re.findall(r"#SBATCH --output=(\S+)", (TRAINERS / "slurm.sh").read_text())
    assert "/" not in log  # SLURM creates no folder, and says nothing


def test_the_ddp_fragment_runs_on_a_cpu(in_tmp, davis_tree):
    """In a process of its own: gloo's threads don't survive the forks of other tests, whose ranks would hang."""
    arguments = ["fit", "--config", str(VIDEOS), "--config", str(TRAINERS / "ddp.yaml")]
    arguments += [f"--data.init_args.root={davis_tree / 'JPEGImages'}", *SMALL, "--trainer.max_steps=1"]
    command = [sys.executable, "-m", "vos_lightning", *arguments, "--trainer.devices=1"]
    run = subprocess.run([*command, "--trainer.default_root_dir=run"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "BatchNorm is synchronised on GPUs only" in run.stdout + run.stderr
    assert list(Path("run").rglob("last.ckpt"))


def test_a_second_run_into_the_same_folder_keeps_the_first_config(in_tmp, davis_tree):
    arguments = ["fit", "--config", str(VIDEOS), f"--data.init_args.root={davis_tree / 'JPEGImages'}", *SMALL]
    arguments += ["--trainer.logger=false", "--trainer.default_root_dir=run", "--trainer.max_steps=1"]
    for rate in ("0.1", "0.1", "0.2", "0.3"):
        assert main([*arguments, f"--model.init_args.learning_rate={rate}"]) == 0
    rates = {
        path.name: yaml.safe_load(path.read_text())["model"]["init_args"]["learning_rate"]
        for path in Path("run").glob("*.yaml")
    }
    assert rates == {"config.yaml": 0.3, "config-1.yaml": 0.1, "config-2.yaml": 0.2}
    assert main(["fit", "--config", "run/config-1.yaml"]) == 0  # a saved config repeats its run


def test_what_is_given_beats_the_checkpoint_and_the_checkpoint_beats_defaults(in_tmp, davis_tree, monkeypatch):
    data = ["--data=vos_lightning.data.DAVISDataModule", f"--data.init_args.root={davis_tree}"]
    model = ["--model=vos_lightning.MAST", "--model.init_args.width=0.125", "--model.init_args.tracking.topk=3"]
    quiet = ["--trainer.logger=false", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    trained = MAST(width=0.125, temperature=0.2, tracking=TrackingSettings(topk=7, radius=4))
    trainer = pl.Trainer(logger=False, accelerator="cpu")
    trainer.strategy.connect(trained)
    trainer.save_checkpoint("model.ckpt")
    seen = []
    monkeypatch.setattr(MAST, "test_step", lambda self, *_: seen.append(dict(self.hparams)))
    assert main(["test", *model, *data, *quiet, "--ckpt_path=model.ckpt"]) == 0
    assert (seen[0]["temperature"], seen[0]["width"]) == (0.2, 0.125)
    assert (seen[0]["tracking"]["topk"], seen[0]["tracking"]["radius"]) == (3, 4)


def test_fit_test_and_predict_follow_one_another(in_tmp, davis_tree):
    frames = str(davis_tree / "JPEGImages")
    arguments = ["--config", str(VIDEOS), f"--data.init_args.root={frames}", *SMALL]
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
