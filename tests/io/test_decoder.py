import os
import pickle

import numpy as np
import pytest

from vos_lightning.errors import VOSError
from vos_lightning.io import decoder
from vos_lightning.io.frames import VideoFile


@pytest.fixture
def searches(monkeypatch):
    """One entry per time that the packets of a file are read."""
    found = []

    def counting(container, stream):
        found.append(container.name)
        return read_timeline(container, stream)

    read_timeline = decoder.read_timeline
    monkeypatch.setattr(decoder, "read_timeline", counting)
    return found


@pytest.mark.parametrize("name", ["stamps.mp4", "no_stamps.avi"])
def test_packets_are_read_once(name, tmp_path, scene, encode, play, searches):
    path = encode(tmp_path / name, scene(20), options={"g": "6"})
    expected, video = play(path), VideoFile(path)
    for index in (13, 0, 19, 6, 5):
        np.testing.assert_array_equal(video.read([index])[0], expected[index])
        np.testing.assert_array_equal(video[index], expected[index])
    assert len(list(video)) == len(video) == 20
    assert video.fps == pytest.approx(10)
    assert video.size == expected[0].shape[:2]
    assert len(searches) == 1


@pytest.mark.parametrize("name", ["stamps.mp4", "no_stamps.avi"])
def test_what_is_known_travels(name, tmp_path, scene, encode, searches):
    video = VideoFile(encode(tmp_path / name, scene(20), options={"g": "6"}))
    frame = video.read([11])[0]
    travelled = pickle.loads(pickle.dumps(video))
    np.testing.assert_array_equal(travelled.read([11])[0], frame)
    assert len(travelled) == 20
    assert len(searches) == 1


def test_what_travels_is_small(tmp_path, scene, encode):
    video = VideoFile(encode(tmp_path / "a.mp4", scene(300, 16, 16), options={"g": "30"}))
    unopened = len(pickle.dumps(video))
    assert len(video) == 300
    assert len(pickle.dumps(video)) < unopened + 14 * 300 + 1500


USES = {
    "read": lambda video: video.read([3]),
    "item": lambda video: video[3],
    "stream": list,
}


@pytest.mark.parametrize("use", USES)
def test_a_file_that_vanished_is_named(use, tmp_path, scene, encode):
    path = encode(tmp_path / "a.mp4", scene(8))
    video = VideoFile(path)
    video.read([2])
    path.unlink()
    with pytest.raises(VOSError, match=r"a\.mp4: this video is gone"):
        USES[use](video)
    with pytest.raises(VOSError, match=r"a\.mp4: this video is gone"):
        USES[use](pickle.loads(pickle.dumps(video)))


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("change", ["longer", "text", "truncated", "same size"])
def test_a_file_that_changed_gives_no_frames(change, use, tmp_path, scene, encode):
    path = encode(tmp_path / "a.mp4", scene(8))
    video = VideoFile(path)
    video.read([2])
    size, changed = path.stat().st_size, path.stat().st_mtime_ns
    if change == "longer":
        encode(path, scene(12))
    elif change == "text":
        path.write_text("not a video any more")
    elif change == "truncated":
        os.truncate(path, size // 2)
    else:
        path.write_bytes(bytes(size))
        os.utime(path, ns=(changed, changed + 1_000_000))
    with pytest.raises(VOSError, match=r"a\.mp4: this file changed .*; open it anew"):
        USES[use](video)
    if change == "longer":
        assert len(VideoFile(path).read([11])) == 1


def test_a_file_that_vanishes_before_it_is_known(tmp_path, scene, encode):
    path = encode(tmp_path / "a.mp4", scene(2))
    video = VideoFile(path)
    path.unlink()
    with pytest.raises(VOSError, match=r"a\.mp4: this video is gone"):
        len(video)
