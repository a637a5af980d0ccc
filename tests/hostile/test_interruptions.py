"""Commands that are killed in the middle: run again, they end with what an unbroken run ends with."""

import functools
import json
import os
import random
import re
import resource
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from vos_lightning.data import write_davis_tree
from vos_lightning.data.synthetic.datasets import SyntheticSpec
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import write_mask


def kill_once(process, started):
    """Kill a command as soon as `started()`; it must not have ended before.

    A command that is too quick to be caught is no failure of its own.
    """
    end = time.monotonic() + 1800
    while not started() and process.poll() is None:
        assert time.monotonic() < end, "it never came that far"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def visible(files):
    """Contents without what a killed run may leave behind, hidden."""
    return {name: content for name, content in files.items() if not any(p.startswith(".") for p in Path(name).parts)}


def masks_and_lengths(folder, files):
    """Visible contents, of videos the number of their frames: x264's bytes may differ from one process to the next."""
    return {
        name: sum(1 for _ in open_frames(folder / name).intact()) if name.endswith(".mp4") else content
        for name, content in visible(files(folder)).items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("shards", [(), ("--shards", 2)], ids=["files", "shards"])
def test_prepare(start, command, files, videos, tmp_path, shards):
    options = ("--short-side", 128, "--threads", 1, *shards)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    kill_once(
        start("prepare", videos, broken, *options), lambda: list(broken.rglob("*.mp4")) + list(broken.glob("*.tar"))
    )
    left = visible(files(broken))
    assert command("prepare", videos, broken, *options)[0] == 0
    assert command("prepare", videos, unbroken, *options)[0] == 0
    assert files(broken) == files(unbroken)
    assert left.items() <= files(unbroken).items()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["out", "out.zip"])
def test_export(start, command, files, masks, tmp_path, target):
    for name in ("broken", "unbroken"):
        (tmp_path / name).mkdir()
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    process = start("export", masks / "results", broken / target, "--workers", 1)
    kill_once(process, lambda: list(broken.iterdir()))
    if not (broken / target).exists():  # else it was done, and must be whole
        assert command("export", masks / "results", broken / target, "--workers", 1)[0] == 0
    assert command("export", masks / "results", unbroken / target, "--workers", 1)[0] == 0
    assert visible(files(broken)) == files(unbroken)


@pytest.mark.slow
def test_evaluate(start, command, masks, tmp_path):
    def arguments(name):
        return (
            "evaluate",
            masks / "results",
            "--annotations",
            masks / "truth",
            "--json",
            tmp_path / name,
            "--workers",
            2,
        )

    (tmp_path / "broken.json").write_text("old")
    process = start(*arguments("broken.json"))
    time.sleep(1)
    kill_once(process, lambda: True)
    assert (tmp_path / "broken.json").read_text() == "old" or json.loads((tmp_path / "broken.json").read_text())
    assert command(*arguments("broken.json"))[0] == 0
    assert command(*arguments("unbroken.json"))[0] == 0
    assert (tmp_path / "broken.json").read_bytes() == (tmp_path / "unbroken.json").read_bytes()


@pytest.mark.slow
def test_segment(start, command, files, noise, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for index, frame in enumerate(noise(60, 48, 64)):
        Image.fromarray(frame).save(frames / f"{index:05d}.png")
    mask = noise(1, 48, 64)[0, ..., 0] % 3
    write_mask(tmp_path / "first.png", mask)
    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"

    def arguments(output):
        return (
            "segment",
            frames,
            "--mask",
            tmp_path / "first.png",
            "--output",
            output,
            "--weights",
            "lab",
            "--overlay",
        )

    kill_once(start(*arguments(broken)), lambda: len(list(broken.glob("*.png"))) > 5)
    left = masks_and_lengths(broken, files)
    assert "overlay.mp4" not in left or len(left) == 61
    assert command(*arguments(broken))[0] == 0
    assert command(*arguments(unbroken))[0] == 0
    assert masks_and_lengths(broken, files) == masks_and_lengths(unbroken, files)
    assert left.items() <= masks_and_lengths(unbroken, files).items()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_predict(start, command, files, tmp_path, number):
    """Stopped three times at random, each time in the folder that the last one left."""
    write_davis_tree(tmp_path / "davis", train=(), val=(1, 2, 3), spec=SyntheticSpec(12, (64, 96), 2))

    def run(output):
        return (
            "predict", "--model", "vos_lightning.tasks.mast.MAST", "--model.width", "0.0625", "--data",
            "vos_lightning.data.DAVISDataModule", "--data.root", tmp_path / "davis", "--trainer.accelerator", "cpu",
            "--trainer.logger", "false", "--prediction_writer.directory", output, "--prediction_writer.overlay", "true",
        )  # fmt: skip

    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    process = start(*run(unbroken), cwd=tmp_path)
    while process.poll() is None and not unbroken.exists():
        time.sleep(0.002)
    since = time.monotonic()
    assert process.wait(timeout=1800) == 0
    seconds, whole = time.monotonic() - since, masks_and_lengths(unbroken, files)
    assert len(whole) == 3 * 13
    draw = random.Random(number)
    for attempt in range(3):
        # Ctrl-C is ignored where the tests run in the background
        heed = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = start(*run(broken), cwd=tmp_path, preexec_fn=heed)
        before = {path: path.stat().st_mtime_ns for path in broken.rglob("*.*")}
        while process.poll() is None and before == {path: path.stat().st_mtime_ns for path in broken.rglob("*.*")}:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, seconds / 2 if attempt else 0))
        process.send_signal(number)
        _, err = process.communicate(timeout=1800)
        left = masks_and_lengths(broken, files)
        assert left.items() <= whole.items()
        assert "Traceback" not in err
        done = process.returncode in (0, -signal.SIGINT)  # or about to exit
        if number == signal.SIGINT and not done:
            assert process.returncode == 130, err
            assert err.splitlines()[-1] == "vos-lightning: interrupted; what was written is whole"
            assert not list(broken.rglob("*.tmp"))  # nothing half written is left behind
        assert attempt or process.returncode in (130, -signal.SIGKILL), err
    assert command(*run(broken), cwd=tmp_path)[0] == 0
    assert masks_and_lengths(broken, files) == whole


def fit_with_a_loader(start, tmp_path, *more, **options):
    """Start a long `fit` with one loader process, and wait for the first checkpoint.

    Returns:
        The process, and the id of its loader.
    """
    network = {"width": 0.0625, "feature_dim": 16, "radius": 2, "tracking": {"radius": 3}}
    data = {"batch_size": 2, "num_workers": 1, "size": [32, 48], "short_side": 32, "crop_size": 32}
    data |= {"num_videos": 4, "num_val_videos": 1, "num_frames": 5, "clips_per_video": 100}
    trainer = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer |= {"max_steps": 100_000, "max_epochs": -1, "default_root_dir": str(tmp_path / "run")}
    config = {
        "model": {"class_path": "vos_lightning.MAST", "init_args": network},
        "data": {"class_path": "vos_lightning.data.SyntheticDataModule", "init_args": data},
        "trainer": trainer,
        "last_checkpoint": {"every_n_steps": 10},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    process = start("fit", "--config", tmp_path / "config.yaml", *more, cwd=tmp_path, **options)
    deadline = time.monotonic() + 1800
    while not list(tmp_path.rglob("last.ckpt")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    (loader,) = (int(child) for child in children if "pt_data_worker" in Path(f"/proc/{child}/comm").read_text())
    return process, loader


def ended_well(process, root):
    """One line, exit code 1, in time; a checkpoint that can be read, and no other beside it."""
    _, err = process.communicate(timeout=1800)
    lines = [line for line in err.splitlines() if line != "Seed set to 0"]
    assert process.returncode == 1, err
    assert len(lines) == 1, err
    (checkpoint,) = (path for path in root.rglob("*") if "ckpt" in path.name and path.is_file())
    assert torch.load(checkpoint, weights_only=True)["global_step"] >= 10
    return lines[0], checkpoint


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(4))
def test_a_fit_whose_loader_is_killed_ends_with_a_line(start, command, tmp_path, attempt):
    process, worker = fit_with_a_loader(start, tmp_path)
    time.sleep(random.Random(attempt).uniform(0, 0.5))
    os.kill(worker, signal.SIGKILL)
    line, checkpoint = ended_well(process, tmp_path)
    assert re.search(r"^vos-lightning: error: a loader process ended unexpectedly.*--ckpt_path last$", line)
    if attempt == 0:
        done = torch.load(checkpoint, weights_only=True)["global_step"]
        again = ("--config", tmp_path / "config.yaml", "--ckpt_path", "last", "--trainer.max_steps", done + 3)
        assert command("fit", *again, cwd=tmp_path)[0] == 0
        assert torch.load(checkpoint, weights_only=True)["global_step"] == done + 3


@pytest.mark.slow
def test_a_fit_whose_loader_has_no_memory_left_ends_with_a_line(start, tmp_path):
    process, worker = fit_with_a_loader(start, tmp_path)
    resource.prlimit(worker, resource.RLIMIT_AS, (1 << 20, 1 << 20))
    line, _ = ended_well(process, tmp_path)
    assert re.search(r"^vos-lightning: error: a loader process (ran out of|ended unexpectedly)", line)


@pytest.mark.slow
def test_a_signal_to_all_processes_of_a_run_lets_it_save(start, tmp_path):
    process, _ = fit_with_a_loader(start, tmp_path, "--last_checkpoint.every_n_steps=7", start_new_session=True)
    os.killpg(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=1800)
    assert process.returncode == 143, err
    assert "stopped after step" in err
