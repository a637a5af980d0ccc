"""Frames that come while they are worked on, from a pipe that stands for a camera."""

import os

import numpy as np
import pytest

from vos_lightning.errors import VOSError
from vos_lightning.io.live import LiveSource, is_live

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def test_frames_come_as_they_are_written(camera, scene):
    frames = scene(5, 48, 64)
    path = camera(frames, lambda number: None)
    assert is_live(str(path))
    source = LiveSource(str(path))
    assert source.size == (48, 64)
    got = list(source)
    source.close()
    assert len(got) == 5
    for one, frame in zip(got, frames, strict=True):
        assert np.abs(one.astype(int) - frame).mean() < 6
    assert (source.last == got[-1]).all()


def test_what_is_live_and_what_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [is_live(name) for name in ("0", "12", "rtsp://camera/1", "a.mp4", "frames")] == [True] * 3 + [False] * 2
    (tmp_path / "0").mkdir()
    assert not is_live("0")


@pytest.mark.parametrize("name", ["987654", "tcp://127.0.0.1:1"])
def test_a_source_that_is_not_there_is_named(name):
    with pytest.raises(VOSError, match=f"{name}: this camera or stream can't be opened"):
        LiveSource(name)
