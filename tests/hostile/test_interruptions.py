"""Commands that are killed in the middle: run again, they end with what an unbroken run ends with."""

import json
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from vos_lightning.io.masks import write_mask


def kill_once(process, started, deadline=240.0):
    """Kill a command as soon as `started()`; it must not have ended before.

    A command that is too quick to be caught is no failure of its own.
    """
    end = time.monotonic() + deadline
    while not started() and process.poll() is None:
        assert time.monotonic() < end, "it never came that far"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def visible(files):
    """Contents without what a killed run may leave behind, hidden."""
    return {name: content for name, content in files.items() if not any(p.startswith(".") for p in Path(name).parts)}


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
    left = visible(files(broken))
    assert "overlay.mp4" not in left or len(left) == 61
    assert command(*arguments(broken))[0] == 0
    assert command(*arguments(unbroken))[0] == 0
    assert visible(files(broken)) == files(unbroken)
    assert left.items() <= files(unbroken).items()


@pytest.mark.slow
def test_predict(start, command, files, davis_tree, tmp_path):
    def arguments(output):
        return (
            "predict", "--model", "vos_lightning.tasks.mast.MAST", "--model.width", "0.0625", "--data",
            "vos_lightning.data.DAVISDataModule", "--data.root", davis_tree, "--trainer.accelerator", "cpu",
            "--trainer.logger", "false", "--prediction_writer.directory", output,
        )  # fmt: skip

    broken, unbroken = tmp_path / "broken", tmp_path / "unbroken"
    kill_once(start(*arguments(broken), cwd=tmp_path), lambda: list(broken.rglob("*.png")))
    left = visible(files(broken))
    assert command(*arguments(broken), cwd=tmp_path)[0] == 0
    assert command(*arguments(unbroken), cwd=tmp_path)[0] == 0
    assert visible(files(broken)) == files(unbroken)
    assert left.items() <= files(unbroken).items()
