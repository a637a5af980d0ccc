"""A command line in a process of its own, disks that are full or read-only, and small inputs for both."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vos_lightning.io.masks import write_mask
from vos_lightning.io.writers import VideoWriter

COMMAND = [sys.executable, "-m", "vos_lightning"]


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch):
    """An index cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command; none outlives the test."""
    running = []

    def run(*arguments: object, **options: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def command(start) -> Callable[..., tuple[int, str, str]]:
    """Run a command to its end: exit code, stdout and stderr. A hang is a failure."""

    def run(*arguments: object, **options: object) -> tuple[int, str, str]:
        process = start(*arguments, **options)
        out, err = process.communicate(timeout=1800)
        return process.returncode, out, err

    return run


@pytest.fixture
def told() -> Callable[[tuple[int, str, str], str], None]:
    """Check that a command ended with one line that holds a text."""

    def check(ended: tuple[int, str, str], text: str) -> None:
        code, _, err = ended
        assert code == 2, err
        assert text in err
        assert "Traceback" not in err
        assert err.count("\n") == 1, err

    return check


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[..., Path]]:
    """Mount a disk of some kilobytes, or one that is read-only."""
    places = []

    def mount(kilobytes: int, options: str = "") -> Path:
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        settings = f"size={kilobytes}k{options}"
        made = shutil.which("mount") and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", settings, "tmpfs", str(place)], capture_output=True, check=False
        )
        if not made or made.returncode:
            pytest.skip("mounting a disk is not permitted here")
        places.append(place)
        return place

    yield mount
    gc.collect()  # PyAV closes a file that it couldn't complete when it is forgotten
    for place in places:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def noise() -> Callable[..., np.ndarray]:
    """Frames that compress badly, (T, H, W, 3)."""

    def make(count: int = 8, height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 255, (count, height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Path:
    """What the fixtures below copy."""
    root = tmp_path_factory.mktemp("made")
    (root / "videos").mkdir()
    for index in range(6):
        with VideoWriter(root / "videos" / f"{index}.mp4", 10) as writer:
            for frame in np.random.default_rng(index).integers(0, 255, (8, 128, 128, 3), dtype=np.uint8):
                writer.write(frame)
    rng = np.random.default_rng(0)
    for folder in ("truth", "results"):
        for sequence in "abc":
            (root / folder / sequence).mkdir(parents=True)
            for frame in range(40):
                mask = np.zeros((48, 64), np.uint8)
                top, left = rng.integers(0, 20, 2)
                mask[top : top + 16, left : left + 20] = 1
                mask[30:40, 40:50] = 2
                write_mask(root / folder / sequence / f"{frame:05d}.png", mask)
    return root


@pytest.fixture
def videos(tmp_path, made_once) -> Path:
    """Six videos of noise, some seventy kilobytes each."""
    return Path(shutil.copytree(made_once / "videos", tmp_path / "videos"))


@pytest.fixture
def masks(tmp_path, made_once) -> Path:
    """Ground truth and predictions: three sequences of 40 masks, in the folders `truth` and `results`."""
    for folder in ("truth", "results"):
        shutil.copytree(made_once / folder, tmp_path / folder)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones included."""
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@pytest.fixture
def files() -> Callable[[Path], dict[str, bytes]]:
    """`contents`."""
    return contents
