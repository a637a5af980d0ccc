import av
import pytest

from vos_lightning.errors import VOSError
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.timeline import KeyFrame, read_timeline

STREAMS = {
    "b_frames.mp4": {"options": {"g": "7", "bf": "3"}},
    "open_gops.mp4": {"options": {"g": "12", "x264-params": "open-gop=1:scenecut=0"}},
    "intra_only.mkv": {"options": {"g": "1"}},
    "variable_rate.mp4": {"options": {"g": "8"}, "pts": [0, 17, 40, 41, 300, *range(320, 1570, 50)]},
    "late_start.mp4": {"options": {"g": "8"}, "pts": [5000 + 100 * index for index in range(30)]},
}


def timeline_of(path):
    with av.open(str(path)) as container:
        return read_timeline(container, container.streams.video[0])


@pytest.mark.parametrize("name", STREAMS)
def test_timeline_equals_a_slow_search(name, tmp_path, scene, encode):
    path = encode(tmp_path / name, scene(30), **STREAMS[name])
    with av.open(str(path)) as container:
        packets = [(packet.pts, packet.dts, packet.is_keyframe) for packet in container.demux(video=0) if packet.size]
    stamps = sorted(pts for pts, _, _ in packets)
    keys = [KeyFrame(position, pts, dts) for position, (pts, dts, is_key) in enumerate(packets) if is_key]
    positions = {pts: position for position, (pts, _, _) in enumerate(packets)}

    timeline = timeline_of(path)
    assert len(timeline) == 30
    assert timeline.pts.tolist() == stamps
    assert timeline.start == keys[0]
    for index, pts in enumerate(stamps):
        assert timeline.positions[index] == positions[pts]
        assert timeline.index_of(pts) == index
        before = [key for key in keys if key.pts <= pts and key.position <= positions[pts]]
        assert timeline.key_frame_before(index) == before[-1]


def test_without_time_stamps_there_is_no_timeline(tmp_path, scene, encode):
    assert timeline_of(encode(tmp_path / "no_stamps.avi", scene(8))) is None


def test_without_key_frames_there_is_no_timeline(tmp_path, scene, encode, play):
    whole, path = encode(tmp_path / "whole.mkv", scene(12)), tmp_path / "unmarked.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.is_keyframe, packet.stream = False, stream
                output.mux(packet)
    assert timeline_of(path) is None
    assert play(path) == []
    with pytest.raises(VOSError, match=r"unmarked\.mkv: this video has no frame"):
        len(VideoFile(path))


def test_a_timeline_is_small(tmp_path, scene, encode):
    timeline = timeline_of(encode(tmp_path / "a.mp4", scene(60, 32, 32), options={"g": "20", "sc_threshold": "0"}))
    assert timeline.pts.nbytes + timeline.positions.nbytes == 12 * 60
    assert timeline.key_frames.nbytes == 24 * 3
