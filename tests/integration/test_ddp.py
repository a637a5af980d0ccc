"""Two ranks on the CPU (gloo) through the real command line, against one process with the doubled batch."""

import functools
import itertools
import signal
import subprocess
import sys
import time

import pytest
import torch

from vos_lightning.data import write_davis_tree
from vos_lightning.data.synthetic.datasets import SyntheticSpec


@pytest.fixture
def unequal_tree(tmp_path):
    """Three validation sequences of 4, 9 and 6 frames: two ranks get two each, one of them twice."""
    root = tmp_path / "davis"
    for seed, frames in ((1, 4), (2, 9), (3, 6)):
        write_davis_tree(root, train=(), val=(seed,), spec=SyntheticSpec(frames, (32, 48), 2))
    names = "".join(f"synthetic-{seed:05d}\n" for seed in (1, 2, 3))
    (root / "ImageSets" / "2017" / "val.txt").write_text(names)
    return root


def options(root, records, *more):
    settings = {
        "trainer.max_steps": 3,
        "trainer.max_epochs": -1,
        "trainer.default_root_dir": root,
        "pictures.sequences": 1,
    }
    callback = ["--trainer.callbacks+=recorder.RankRecorder", f"--trainer.callbacks.folder={records}"]
    return [*(f"--{key}={value}" for key, value in settings.items()), *callback, *more]


def two_ranks(environment, *arguments):
    command = [sys.executable, "-m", "vos_lightning", *map(str, arguments)]
    devices = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    result = subprocess.run([*command, *devices], env=environment, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stderr
    return result


def load(folder, rank):
    return torch.load(folder / f"{rank}.pt", weights_only=True)


def check_two_ranks_equal_one(model, config, unequal_tree, environment, in_this_process, tmp_path):
    length = {"mast": 2, "memory": 4, "ctvos": 3}[model]
    path = config(model, batch_size=2, clip_length=length, val_root=str(unequal_tree))
    two_ranks(environment, "fit", "--config", path, *options(tmp_path / "two", tmp_path / "ranks"))
    first, second = load(tmp_path / "ranks", 0), load(tmp_path / "ranks", 1)
    assert torch.equal(first["grads"], second["grads"])
    for name, value in first["state"].items():  # the EMA of the weights among it
        assert torch.equal(value, second["state"][name]), name
    assert not torch.equal(first["losses"], second["losses"])  # each has clips of its own

    path = config(model, batch_size=4, clip_length=length, val_root=str(unequal_tree))
    assert in_this_process("fit", "--config", path, *options(tmp_path / "one", tmp_path / "alone")) == 0
    alone = load(tmp_path / "alone", 0)
    torch.testing.assert_close((first["losses"] + second["losses"]) / 2, alone["losses"], rtol=0, atol=1e-5)
    scale = alone["grads"].abs().max()
    torch.testing.assert_close(first["grads"] / scale, alone["grads"] / scale, rtol=0, atol=1e-5)

    # the same weights on one process: every sequence counts once
    (checkpoint,) = (tmp_path / "two").rglob("last.ckpt")
    (scores,) = _validated(in_this_process, path, checkpoint, tmp_path)
    assert first["scores"].keys() == {"val/J", "val/F", "val/JF", "val/true_matches"}
    assert first["scores"] == second["scores"] == pytest.approx(scores, abs=1e-6)
    (table,) = (tmp_path / "two").rglob("val_sequences.csv")
    assert [line.split(",")[1] for line in table.read_text().splitlines()[1:]] == [
        f"synthetic-0000{i}" for i in (1, 2, 3)
    ]
    (folder,) = (tmp_path / "two").rglob("pictures")
    assert {path.suffix for path in (folder / "val").iterdir()} == {".jpg", ".mp4"}


def _validated(in_this_process, config, checkpoint, folder):
    arguments = ["--config", config, "--ckpt_path", checkpoint, "--trainer.default_root_dir", folder / "validated"]
    assert (
        in_this_process(
            "validate",
            *arguments,
            "--trainer.logger=pytorch_lightning.loggers.CSVLogger",
            f"--trainer.logger.save_dir={folder / 'validated'}",
        )
        == 0
    )
    for path in (folder / "validated").rglob("metrics.csv"):
        names, values = (line.split(",") for line in path.read_text().splitlines())
        yield {name: float(value) for name, value in zip(names, values, strict=True) if name.startswith("val/")}


def test_two_ranks_equal_one_with_the_doubled_batch(config, unequal_tree, environment, in_this_process, tmp_path):
    check_two_ranks_equal_one("mast", config, unequal_tree, environment, in_this_process, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["memory", "ctvos"])
def test_two_ranks_equal_one_for_every_task(model, config, unequal_tree, environment, in_this_process, tmp_path):
    check_two_ranks_equal_one(model, config, unequal_tree, environment, in_this_process, tmp_path)
    if model == "memory":
        state = load(tmp_path / "ranks", 0)["state"]
        names = [name.removeprefix("momentum_") for name in state if name.startswith("momentum_encoder.")]
        assert any(not torch.equal(state[name], state[f"momentum_{name}"]) for name in names)


@pytest.mark.slow
def test_adapted_scores_of_two_ranks_equal_those_of_one(config, unequal_tree, environment, in_this_process, tmp_path):
    adapter = {"steps": 3, "batch_size": 2, "size": 32, "width": 0.125}
    path = config("mast", val_root=str(unequal_tree))
    options = [f"--model.init_args.adapter.{name}={value}" for name, value in adapter.items()]

    def arguments(folder):
        logger = ["--trainer.logger=pytorch_lightning.loggers.CSVLogger", f"--trainer.logger.save_dir={folder}"]
        return ["test", "--config", path, *options, *logger, f"--trainer.default_root_dir={folder}"]

    two_ranks(environment, *arguments(tmp_path / "two"))
    assert in_this_process(*arguments(tmp_path / "one")) == 0
    tables = [next((tmp_path / name).rglob("test_sequences.csv")).read_text().splitlines() for name in ("one", "two")]
    assert len(tables[0]) == 4
    for alone, two in zip(*tables, strict=True):
        assert alone.split(",")[:4] == two.split(",")[:4]
    scores = [[float(value) for line in table[1:] for value in line.split(",")[4:]] for table in tables]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_two_ranks_stop_together_and_resume(number, config, environment, tmp_path):
    """The signal reaches the first rank only, in the middle of training."""
    steps = tmp_path / "steps.txt"
    more = ["--trainer.callbacks+=recorder.StepRecorder", f"--trainer.callbacks.path={steps}"]
    run = ["fit", "--config", config(), "--trainer.max_steps=40", "--trainer.max_epochs=-1", *more]
    run += [f"--trainer.default_root_dir={tmp_path / 'run'}", "--trainer.strategy=ddp", "--trainer.devices=2"]
    command = [sys.executable, "-m", "vos_lightning", *map(str, run)]
    # Ctrl-C is ignored where the tests run in the background
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    while process.poll() is None and (not steps.exists() or len(steps.read_text().splitlines()) < 6):
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=1800)
    assert process.returncode == 128 + number, errors
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    done = torch.load(checkpoint, weights_only=True)["global_step"]
    seen = [int(line.split()[0]) for line in steps.read_text().splitlines()]
    assert sorted(seen) == [step for step in range(1, done + 1) for _ in range(2)]  # both ranks did all of them
    result = subprocess.run(
        [*command, "--ckpt_path=last"], env=environment, capture_output=True, text=True, timeout=1800
    )
    assert result.returncode == 0, result.stderr
    seen = [int(line.split()[0]) for line in steps.read_text().splitlines()]
    assert sorted(seen) == [step for step in range(1, 41) for _ in range(2)]


SPOILER = """
import math
from pathlib import Path

import pytorch_lightning as pl
import torch


class Spoiler(pl.Callback):
    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == 1 and trainer.global_step == 2:
            (self.folder / "clip.txt").write_text(batch["sequence"][1])
            batch["frames"][1, 0, 0, 0, 0] = math.nan

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        parts = {"weights": pl_module.parameters(), "buffers": pl_module.buffers()}
        state = {name: torch.cat([one.detach().double().flatten() for one in part]) for name, part in parts.items()}
        torch.save(state, self.folder / f"{trainer.global_rank}-{trainer.global_step}.pt")
"""


def spoiled(config, environment, folder, *more):
    """Six steps of two ranks; in the third one, the second rank's batch holds a NaN."""
    (folder / "spoiler.py").write_text(SPOILER)
    run = ["fit", "--config", config(), "--trainer.max_steps=6", "--trainer.max_epochs=-1", *more]
    run += [f"--trainer.default_root_dir={folder / 'run'}", "--trainer.strategy=ddp", "--trainer.devices=2"]
    run += ["--trainer.callbacks+=spoiler.Spoiler", f"--trainer.callbacks.folder={folder}"]
    path = f"{folder}:{environment['PYTHONPATH']}"
    return subprocess.run(
        [sys.executable, "-m", "vos_lightning", *map(str, run)],
        env=environment | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=1800,  # a rank that waits for the other would wait longer
    )


@pytest.mark.slow
def test_two_ranks_stop_together_at_what_is_not_finite_on_one(config, environment, tmp_path):
    ended = spoiled(config, environment, tmp_path)
    assert ended.returncode == 2, ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if "step 3" in line)
    clip = (tmp_path / "clip.txt").read_text()
    assert line.startswith(f"vos-lightning: error: step 3: the batch holds values that aren't finite, in {clip}; ")
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == ["0-1.pt", "0-2.pt", "1-1.pt", "1-2.pt"]


@pytest.mark.slow
def test_two_ranks_leave_a_step_out_together(config, environment, tmp_path):
    ended = spoiled(config, environment, tmp_path, "--non_finite.skip=true")
    assert ended.returncode == 0, ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if "left out" in line)
    clip = (tmp_path / "clip.txt").read_text()
    assert line.endswith(f"left out: step 3: the batch holds values that aren't finite, in {clip}")
    states = [[torch.load(tmp_path / f"{rank}-{step}.pt") for step in range(1, 7)] for rank in (0, 1)]
    for one, other in zip(*states, strict=True):
        assert torch.equal(one["weights"], other["weights"])
        assert all(value.isfinite().all() for state in (one, other) for value in state.values())
    for name in ("weights", "buffers"):  # running statistics are each rank's own until the next step shares them
        for rank in states:
            moved = [not torch.equal(before[name], after[name]) for before, after in itertools.pairwise(rank)]
            assert moved == [True, False, True, True, True], name  # the third step changed nothing
