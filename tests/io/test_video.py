import gc
import multiprocessing
import operator
import os
import pickle
import threading
import weakref
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame

from vos_lightning.errors import CorruptFileError, ExhaustedError, VOSError
from vos_lightning.io.frames import VideoFile

# name of the file: arguments of `encode`
STREAMS = {
    "b_frames.mp4": {},
    "open_gops.mp4": {"options": {"g": "12", "x264-params": "open-gop=1:scenecut=0"}},
    "gops_of_2.mp4": {"options": {"g": "2", "bf": "1"}},
    "intra_only.mp4": {"options": {"g": "1"}},
    "variable_rate.mp4": {"options": {"g": "8"}, "pts": [0, 17, 40, 41, 300, *range(320, 1570, 50)]},
    "late_start.mp4": {"options": {"g": "8"}, "pts": [5000 + 100 * index for index in range(30)]},
    "gops.mkv": {"options": {"g": "7"}},
    "gops.ts": {"options": {"g": "7"}},
    "fragments.mp4": {"options": {"g": "7"}, "muxing": {"movflags": "frag_keyframe"}},
    "intra_refresh.mkv": {"options": {"g": "8", "x264-params": "intra-refresh=1"}},
    "no_stamps.avi": {"options": {"g": "7"}},
    "elementary.h264": {"options": {"g": "7"}, "container": "h264"},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "9", "bf": "2"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "rate": 25, "options": {"g": "9", "bf": "2"}},
    "hidden_frames.webm": {
        "codec": "libvpx",
        "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "16", "deadline": "realtime"},
    },
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "16", "deadline": "realtime", "cpu-used": "8"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "keyint=8:open-gop=1:bframes=3:log-level=none"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"g": "16", "preset": "12"}},
    "motion_jpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "animation.gif": {"codec": "gif", "pixels": "rgb8"},
}


@pytest.mark.parametrize("name", STREAMS)
def test_random_access_equals_playing(name, tmp_path, scene, encode, play):
    path = encode(tmp_path / name, scene(30), **STREAMS[name])
    expected = play(path)
    video = VideoFile(path)
    assert len(video) == len(expected) == 30
    assert video.names[0] == "00000"
    assert video.names[-1] == "00029"

    for streamed, played in zip(video, expected, strict=True):
        np.testing.assert_array_equal(streamed, played)
    for index, played in enumerate(expected):
        np.testing.assert_array_equal(video.read([index])[0], played)
    indices = [7, 29, 7, 0, 23, 24, -1, -30]
    for index, frame in zip(indices, video.read(indices), strict=True):
        np.testing.assert_array_equal(frame, expected[index])
    for index in [0, 1, 2, 15, 14, 28, 29, 0, -1]:
        np.testing.assert_array_equal(video[index], expected[index])


def test_edit_list_hides_frames(tmp_path, scene, encode, play):
    whole = encode(tmp_path / "whole.mp4", scene(30), options={"g": "10"})
    path = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                shift = round(0.45 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                output.mux(packet)
    expected = play(path)
    assert 20 < len(expected) < 30
    video = VideoFile(path)
    assert len(video) == len(expected)
    for index in range(len(video)):
        np.testing.assert_array_equal(video.read([index])[0], expected[index])


@pytest.mark.parametrize("threads", [0, 1])
def test_threads_do_not_matter(threads, tmp_path, scene, encode, play):
    path = encode(tmp_path / "a.mp4", scene(30), options={"g": "12"})
    video, expected = VideoFile(path, threads=threads), play(path)
    for frame, played in zip(video.read([3, 17, 26]), [expected[3], expected[17], expected[26]], strict=True):
        np.testing.assert_array_equal(frame, played)
    assert len(list(video)) == 30


def test_pixels_are_those_encoded(tmp_path, scene, encode):
    frames = scene(5, 95, 127)
    path = encode(tmp_path / "lossless.mkv", frames, codec="ffv1", pixels="bgr0")
    for frame, original in zip(VideoFile(path), frames, strict=True):
        np.testing.assert_array_equal(frame, original)


@pytest.mark.parametrize(("matrix", "red", "blue"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114)])
@pytest.mark.parametrize("colour_range", [1, 2])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (200, 120, 40)])
def test_colours_follow_matrix_and_range(matrix, red, blue, colour_range, colour, tmp_path):
    r, g, b = (value / 255 for value in colour)
    luma = red * r + (1 - red - blue) * g + blue * b
    chroma = np.array([(b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)])
    full = colour_range == 2
    y, (u, v) = (255 * luma, 128 + 255 * chroma) if full else (16 + 219 * luma, 128 + 224 * chroma)
    planes = np.concatenate([np.full(64 * 128, y), np.full(32 * 64, u), np.full(32 * 64, v)])
    picture = av.VideoFrame.from_ndarray(np.clip(planes.round(), 0, 255).astype(np.uint8).reshape(96, 128), "yuv420p")
    picture.colorspace, picture.color_range = matrix, colour_range
    path = tmp_path / "colour.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, colour_range
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    for frame in (VideoFile(path)[0], VideoFile(path).read([0], 32)[0]):
        np.testing.assert_allclose(frame[frame.shape[0] // 2, 20], colour, atol=4)


@pytest.mark.parametrize("angle", [90, -90, 180])
def test_rotation_is_honoured(angle, tmp_path, scene, encode, play):
    if not hasattr(av.video.stream.VideoStream, "set_display_rotation"):
        pytest.skip("this PyAV cannot write a rotation")
    path = encode(tmp_path / "phone.mp4", scene(6, 96, 128), rotation=angle)
    video = VideoFile(path)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0))
        assert abs(stored.rotation) == abs(angle)
        turns = stored.rotation // 90
    expected = [np.rot90(frame, turns) for frame in play(path)]
    assert video.size == expected[0].shape[:2]
    for frame, turned in zip(video, expected, strict=True):
        np.testing.assert_array_equal(frame, turned)
    small = video.read([4], short_side=48)[0]
    assert small.shape == ((64, 48, 3) if turns % 2 else (48, 64, 3))
    assert small.flags["C_CONTIGUOUS"]


def test_portrait_phone_video_is_upright(tmp_path, encode, scene):
    """A phone held upright stores the picture lying, its top to the left, and says 'turn clockwise'."""
    upright = np.zeros((128, 96, 3), np.uint8)
    upright[:64] = 255
    lying = np.rot90(upright, 1)  # counter-clockwise: the top is now left
    path = tmp_path / "phone.mp4"
    encode(path, [lying] * 2)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version and flags, times and ids, layer and volume
    one = (1 << 16).to_bytes(4, "big")
    minus, none = (-(1 << 16)).to_bytes(4, "big", signed=True), bytes(4)
    # what phones write for a quarter turn clockwise: a, b, u, c, d, v = 0, 1, 0, -1, 0, 0
    data[matrix : matrix + 24] = none + one + none + minus + none + none
    path.write_bytes(data)
    frame = VideoFile(path)[0]
    assert frame.shape == (128, 96, 3)
    assert frame[:60].min() > 240
    assert frame[68:].max() < 15


def test_resizing_while_decoding(tmp_path, scene, encode):
    path = encode(tmp_path / "a.mp4", scene(3, 240, 426))
    video = VideoFile(path)
    full = video.read([1])[0]
    small = video.read([1], short_side=120)[0]
    assert full.shape == (240, 426, 3)
    assert small.shape == (120, 213, 3)
    averaged = full.reshape(120, 2, 213, 2, 3).mean((1, 3))
    assert np.abs(small - averaged).mean() < 6  # filtered, not subsampled
    assert video.read([0], short_side=240)[0].shape == (240, 426, 3)
    assert video.read([0], short_side=480)[0].shape == (480, 852, 3)
    with pytest.raises(ValueError, match="short_side"):
        video.read([0], short_side=0)


def test_one_frame(tmp_path, scene, encode):
    video = VideoFile(encode(tmp_path / "one.mp4", scene(1)))
    assert len(video) == 1
    assert video.names == ["00000"]
    assert video.size == (96, 128)
    np.testing.assert_array_equal(video[-1], next(iter(video)))


@pytest.mark.parametrize("rate", [10, 25])
def test_frame_rate(rate, tmp_path, scene, encode):
    assert VideoFile(encode(tmp_path / "a.mp4", scene(10), rate=rate)).fps == pytest.approx(rate)


def test_empty_request_and_bad_indices(tmp_path, scene, encode):
    video = VideoFile(encode(tmp_path / "a.mp4", scene(4)))
    assert video.read([]) == []
    for index in (4, -5, 99):
        with pytest.raises(IndexError, match=r"a\.mp4 has 4 frames"):
            video.read([0, index])
        with pytest.raises(IndexError):
            video[index]


def test_repeated_frames_are_separate_arrays(tmp_path, scene, encode):
    first, second = VideoFile(encode(tmp_path / "a.mp4", scene(3))).read([1, 1])
    first[:] = 0
    assert second.any()


def test_name_that_looks_like_a_protocol(tmp_path, scene, encode, monkeypatch):
    encode(tmp_path / "plain.mp4", scene(2)).rename(tmp_path / "take:2.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(VideoFile("take:2.mp4")) == 2


def test_missing_file_is_named(tmp_path):
    with pytest.raises(VOSError, match=r"gone\.mp4: no such video"):
        VideoFile(tmp_path / "gone.mp4")


@pytest.mark.parametrize("content", [b"", b"just some text\n" * 50, bytes(5000), b"\x89PNG\r\n\x1a\n"])
def test_nonsense_named_mp4(content, tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    for use in (len, list, lambda video: video[0], lambda video: video.read([0]), lambda video: video.fps):
        with pytest.raises(VOSError, match=r"notes\.mp4"):
            use(VideoFile(path))


def test_audio_only(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        sound = AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 48000
        output.mux(stream.encode(sound))
        output.mux(stream.encode(None))
    with pytest.raises(VOSError, match=r"song\.mp4: there is no video"):
        len(VideoFile(path))


def test_video_without_a_frame(tmp_path):
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.open()
        output.start_encoding()
    with pytest.raises(VOSError, match=r"empty\.mkv"):
        len(VideoFile(path))


@pytest.mark.parametrize("start", ["", "faststart"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_truncated_file(share, start, tmp_path, scene, encode):
    path = encode(tmp_path / "half.mp4", scene(30), muxing={"movflags": start} if start else None)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CorruptFileError, match=r"half\.mp4: .*; replace it"):
        len(VideoFile(path))


def test_damaged_bytes_give_frames_or_a_named_error(tmp_path, scene, encode):
    path = encode(tmp_path / "scratched.mp4", scene(30), options={"g": "10"})
    data, generator = path.read_bytes(), np.random.default_rng(1)
    for _ in range(40):
        damaged = bytearray(data)
        start = int(generator.integers(len(data)))
        length = min(60, len(data) - start)
        damaged[start : start + length] = generator.bytes(length)
        path.write_bytes(damaged)
        try:
            video = VideoFile(path)
            assert sum(1 for _ in video) == len(video)
            assert len(video.read([0, len(video) - 1])) == 2
        except VOSError as error:
            assert "scratched.mp4" in str(error)  # noqa: PT017


def test_streaming_holds_few_frames(tmp_path, encode, scene):
    path = encode(tmp_path / "long.mp4", scene(2, 480, 640) * 30, options={"preset": "ultrafast"})
    frames, alive = [], []
    for frame in VideoFile(path):
        frames.append(weakref.ref(frame))
        alive.append(sum(reference() is not None for reference in frames))
    assert len(frames) == 60
    assert max(alive) <= 2


def _open_files():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_files_are_closed(tmp_path, scene, encode):
    path = encode(tmp_path / "a.mp4", scene(5))
    gc.collect()
    before = _open_files()
    video = VideoFile(path)
    assert _open_files() == before
    len(video), video.size, video.read([2]), list(video)
    assert _open_files() == before
    video[0]
    assert _open_files() == before + 1
    for index in range(1, 5):
        video[index]
    assert _open_files() == before
    video[1]
    video.close()
    assert _open_files() == before
    stream = iter(video)
    next(stream)
    del stream
    gc.collect()
    assert _open_files() == before
    with pytest.raises(IndexError):
        video[99]
    assert _open_files() == before


def test_pickles_with_an_open_file(tmp_path, scene, encode):
    video = VideoFile(encode(tmp_path / "a.mp4", scene(5)))
    third = video[3]
    copy = pickle.loads(pickle.dumps(video))
    np.testing.assert_array_equal(copy[3], third)
    np.testing.assert_array_equal(video[4], copy[4])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(method, tmp_path, scene, encode):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    video = VideoFile(encode(tmp_path / "a.mp4", scene(6)))
    video[2]  # leaves the file open, standing before frame 3
    with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
        frame = pool.submit(operator.getitem, video, 3).result(timeout=1800)
    np.testing.assert_array_equal(frame, video[3])


def test_reading_in_many_threads(tmp_path, scene, encode, play):
    path = encode(tmp_path / "a.mp4", scene(30), options={"g": "10"})
    video, expected, wrong = VideoFile(path), play(path), []

    def work(offset):
        for index in range(offset, 30, 4):
            if not np.array_equal(video.read([index])[0], expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_real_clips(clips, play):
    for path in clips[::17]:
        video, expected = VideoFile(path), play(path)
        assert len(video) == len(expected)
        for frame, played in zip(video, expected, strict=True):
            np.testing.assert_array_equal(frame, played)
        indices = np.random.default_rng(0).integers(len(expected), size=12).tolist()
        for index, frame in zip(indices, video.read(indices), strict=True):
            np.testing.assert_array_equal(frame, expected[index])


def test_a_lack_of_open_files_is_no_damage(tmp_path, scene, encode, no_files_left):
    path = encode(tmp_path / "a.mp4", scene(4))
    video = VideoFile(path)
    expected = video.read([1])[0]
    with no_files_left(), pytest.raises(ExhaustedError, match=r"a\.mp4: too many files are open.*ulimit -n"):
        video.read([1])
    np.testing.assert_array_equal(video.read([1])[0], expected)
