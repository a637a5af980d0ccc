import av
import numpy as np
import pytest

from vos_lightning.io.frames import VideoFile
from vos_lightning.io.key_frames import is_key_frame

REFRESH = {"g": "30", "x264-params": "intra-refresh=1"}
CODINGS = {
    "closed": ("libx264", {"g": "12"}),
    "open": ("libx264", {"x264-params": "open-gop=1:bframes=3:keyint=12"}),
    "refresh": ("libx264", REFRESH),
    "slices": ("libx264", {"g": "8", "x264-params": "slices=4"}),
    "hevc": ("libx265", {"x265-params": "keyint=12:log-level=none"}),
    "open hevc": ("libx265", {"x265-params": "open-gop=1:keyint=12:bframes=3:log-level=none"}),
}


@pytest.fixture(scope="module")
def film(scene):
    return scene(100, 144, 192)


def remux(source, target, mark=False, start=0):
    """Copy the packets from `start` on; `mark` calls each one a key frame, as broken muxers do."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for place, packet in enumerate(old.demux(video=0)):
            if packet.dts is not None and place >= start:
                packet.stream = stream
                packet.is_keyframe = packet.is_keyframe or mark
                new.mux(packet)
    return target


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("coding", CODINGS)
def test_key_frames_are_whole_pictures(coding, container, tmp_path, film, encode):
    codec, options = CODINGS[coding]
    path = encode(tmp_path / f"a.{container}", film, codec, options=options)
    if container != "mkv":
        path = remux(path, tmp_path / f"b.{container}", mark=True)
    with av.open(str(path)) as file:
        intra = {frame.pts for frame in file.decode(video=0) if frame.pict_type == av.video.frame.PictureType.I}
    with av.open(str(path)) as file:
        found = {p.pts for p in file.demux(video=0) if p.size and is_key_frame(p, file.streams.video[0])}
    assert found
    assert found <= intra


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_gradual_refresh_gives_the_frames_that_playing_gives(container, tmp_path, film, encode, play):
    path = encode(tmp_path / f"a.{container}", film, options=REFRESH)
    expected = play(path)
    for index in (29, 30, *range(44, 64, 3), 99):
        np.testing.assert_array_equal(VideoFile(path).read([index])[0], expected[index])


@pytest.mark.parametrize("container", ["mp4", "ts"])
def test_a_file_cut_within_a_gradual_refresh(container, tmp_path, film, encode, play):
    path = encode(tmp_path / f"a.{container}", film, options=REFRESH)
    with av.open(str(path)) as file:
        marked = [place for place, packet in enumerate(file.demux(video=0)) if packet.size and packet.is_keyframe]
    path = remux(path, tmp_path / f"b.{container}", start=marked[1])
    expected = play(path)
    assert 0 < len(expected) < 100 - marked[1]
    assert len(VideoFile(path)) == len(expected)
    for index in (0, 20, len(expected) - 1):
        np.testing.assert_array_equal(VideoFile(path).read([index])[0], expected[index])
