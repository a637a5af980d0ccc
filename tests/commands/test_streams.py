"""Commands in a process whose streams, home or memory aren't what one expects."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from vos_lightning.cli import main
from vos_lightning.io.masks import write_mask
from vos_lightning.io.writers import VideoWriter

NAME = b"caf\xe9\x1b[31m.mp4"  # Latin-1, and red from here on


def run(*arguments, shell="", **options):
    """Run a command in a process of its own, in a shell that closes streams."""
    command = [sys.executable, "-m", "vos_lightning", *map(os.fsencode, arguments)]
    environment = os.environ | options.pop("environment", {})
    line = ["bash", "-c", f'"$@" {shell}', "bash"] if shell else []
    return subprocess.run([*line, *command], capture_output=True, env=environment, timeout=1800, **options)


@pytest.fixture
def odd_names(moving_square, tmp_path):
    """A folder with a whole and a damaged video whose names no locale can show."""
    folder = tmp_path / "videos"
    folder.mkdir()
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        for frame in moving_square[0]:
            writer.write(frame)
    (tmp_path / "a.mp4").rename(os.fsdecode(os.fsencode(folder) + b"/good-" + NAME))
    Path(os.fsdecode(os.fsencode(folder) + b"/bad-" + NAME)).write_bytes(b"no video")
    return folder


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict", "latin-1:strict"])
def test_names_that_are_no_text_are_escaped_and_cost_no_report(odd_names, tmp_path, encoding):
    report = tmp_path / "audit.json"
    environment = {"PYTHONIOENCODING": encoding, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run("audit", odd_names, "--format", "videos", "--json", report, environment=environment)
    assert done.returncode == 1, done.stderr
    assert b"bad-caf" in done.stdout
    assert b"\x1b" not in done.stdout + done.stderr
    (problem,) = json.loads(report.read_text())["problems"]
    assert problem["kind"] == "corrupt"


@pytest.mark.parametrize("shell", [">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_cost_no_result(davis_tree, tmp_path, shell):
    truth, report = davis_tree / "Annotations" / "480p", tmp_path / "out.json"
    done = run("evaluate", truth, "--annotations", truth, "--json", report, "--workers", "1", shell=shell)
    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text())["mean"]["J&F-Mean"] == 1
    if shell == "2>&-":
        assert b"J&F" in done.stdout
    assert run("evaluate", tmp_path / "no", "--annotations", truth, shell=shell).returncode == 2


def test_without_a_home_or_a_name_of_the_user(moving_square, tmp_path):
    """As in a container that runs under any number."""
    frames, masks = moving_square
    (tmp_path / "video").mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "video" / f"{t}.png")
    write_mask(tmp_path / "first.png", masks[0])
    code = """
import os, pwd, sys
for name in ("HOME", "USER", "LOGNAME", "USERNAME", "LNAME", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
def nobody(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = nobody
from vos_lightning.cli import main
sys.exit(main(sys.argv[1:]))
"""
    first = ["--mask", tmp_path / "first.png", "--weights", "lab", "--device", "cpu"]
    sizes = {"crop_size": 32, "short_side": 32, "batch_size": 1, "num_workers": 0, "root": tmp_path}
    commands = [
        ["segment", tmp_path / "video", *first, "--output", tmp_path / "out"],
        ["audit", tmp_path, "--format", "videos"],
        ["fit", "--model=vos_lightning.MAST", "--model.init_args.width=0.125", "--trainer.max_steps=1",
         "--data=vos_lightning.data.VideoFolderDataModule", "--trainer.accelerator=cpu",
         *(f"--data.init_args.{name}={value}" for name, value in sizes.items()),
         f"--trainer.default_root_dir={tmp_path / 'run'}"],
    ]  # fmt: skip
    for arguments in commands:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=tmp_path)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1) if arguments[0] == "audit" else done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 6
    assert list((tmp_path / "run").rglob("last.ckpt"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9.00 GiB for an array"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB.\nmore"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to"),
        OSError(12, "Cannot allocate memory"),
    ],
    ids=["numpy", "cuda", "cpu", "system"],
)
def test_too_little_memory_is_answered_in_one_line(tmp_path, monkeypatch, capsys, error):
    def exhausted(*_, **__):
        raise error

    monkeypatch.setattr("vos_lightning.commands.segment.segment", exhausted)
    assert main(["segment", "a.mp4", "--mask", "a.png", "--output", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("vos-lightning: error: out of memory (")
    assert "--max-size" in told
    assert told.count("\n") == 1


def test_other_errors_of_the_code_stay_as_they_are(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a fault")

    monkeypatch.setattr("vos_lightning.commands.segment.segment", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["segment", "a.mp4", "--mask", "a.png", "--output", str(tmp_path)])
