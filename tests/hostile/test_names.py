"""Names of files that aren't UTF-8 or hold control codes: shown escaped, kept as they are in JSON."""

import json
import os
import warnings

import pytest

from vos_lightning.data import VideoFolderDataModule

NAME = "a\udcff\x1b[31m\nb"
SHOWN = r"a\udcff\x1b[31m\nb"


@pytest.fixture
def odd(videos):
    """Seven videos, one of them damaged and of an odd name."""
    path = videos / f"{NAME}.mp4"
    path.write_bytes(b"no video")
    return videos


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_audit(command, odd, tmp_path, encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    code, out, err = command("audit", odd, "--format", "videos", "--json", tmp_path / "a.json", env=environment)
    assert (code, err) == (1, "")
    assert next(line for line in out.splitlines() if SHOWN in line).startswith("corrupt: ")
    assert "\x1b" not in out
    (problem,) = json.loads((tmp_path / "a.json").read_text())["problems"]
    assert problem["path"] == str(odd / f"{NAME}.mp4")


@pytest.mark.parametrize("shards", [(), ("--shards", 2)])
def test_prepare(command, odd, tmp_path, shards):
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict", "PYTHONUTF8": "0"}
    code, out, err = command("prepare", odd, tmp_path / f"out{NAME}", *shards, env=environment)
    assert code == 1, err
    assert "6 videos written, 0 kept, 1 left out" in out
    assert out.startswith(str(tmp_path / f"out{SHOWN}"))
    assert err.count("\n") == 1
    assert err.startswith("left out: ")
    assert SHOWN in err


def test_prepared_copies_bear_the_names(command, videos, tmp_path):
    (videos / "0.mp4").rename(videos / f"{NAME}.mp4")
    assert command("prepare", videos, tmp_path / "out")[0] == 0
    assert (tmp_path / "out" / f"{NAME}.mp4").is_file()


def test_training_warns_of_them(odd):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(VideoFolderDataModule(str(odd)).clips().videos) == 6
    told = [str(one.message) for one in caught if "left out" in str(one.message)]
    assert len(told) == 1
    assert SHOWN in told[0]
    assert told[0].isprintable()
