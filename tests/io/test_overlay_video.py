"""A video that was drawn upon: when its frames are shown, its pixels' shape, its sound."""

from fractions import Fraction

import av
import numpy as np
import pytest

from vos_lightning.io.video import VideoFile
from vos_lightning.io.writers import VideoWriter


def redrawn(path, target):
    source = VideoFile(path)
    with VideoWriter(target, source.fps, source) as writer:
        for frame in source:
            writer.write(frame)
    return target


def times(path):
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_variable_frame_rate_is_kept(scene, encode, tmp_path, container):
    stamps = [0, 40, 80, 400, 433, 900, 2000, 2033]
    path = encode(tmp_path / f"in.{container}", scene(8), pts=stamps)
    copy = redrawn(path, tmp_path / "out.mp4")
    np.testing.assert_allclose(times(copy), np.array(stamps) / 1000, atol=1e-3)
    assert VideoFile(copy).times == pytest.approx(np.array(stamps) / 1000, abs=1e-3)


def test_a_video_that_starts_late_starts_at_once(scene, encode, tmp_path):
    path = encode(tmp_path / "in.mkv", scene(4), pts=[500, 600, 800, 900])
    np.testing.assert_allclose(times(redrawn(path, tmp_path / "out.mp4")), [0, 0.1, 0.3, 0.4], atol=1e-3)


@pytest.mark.parametrize("rotation", [None, 90])
def test_pixels_keep_their_shape(scene, tmp_path, rotation):
    with av.open(str(tmp_path / "in.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in scene(3, 48, 64):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    source = VideoFile(tmp_path / "in.mp4")
    assert source.size == ((64, 48) if rotation else (48, 64))
    assert source.pixel_aspect == (Fraction(3, 4) if rotation else Fraction(4, 3))
    copy = VideoFile(redrawn(tmp_path / "in.mp4", tmp_path / "out.mp4"))
    assert copy.size == source.size
    assert copy.pixel_aspect == source.pixel_aspect


def with_sound(path, frames, audio, start=0.0):
    """A video of 10 frames per second with a tone that swells; `start` moves the frames behind the tone."""
    rate = 48000
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=10)
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = output.add_stream(audio, rate=rate, layout="mono")
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = round(1000 * start) + 100 * number, Fraction(1, 1000)
            output.mux(video.encode(picture))
            seconds = number / 10 + np.arange(rate // 10) / rate
            samples = (9000 * seconds * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)
            chunk = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = rate, number * rate // 10, Fraction(1, rate)
            output.mux(sound.encode(chunk))
        output.mux([*video.encode(None), *sound.encode(None)])
    return path


def loudness(path):
    """Seconds and loudness of the sound's chunks."""
    with av.open(str(path)) as container:
        chunks = [(float(c.pts * c.time_base), np.abs(c.to_ndarray()).mean()) for c in container.decode(audio=0)]
    return np.array(chunks).T


@pytest.mark.parametrize(("container", "audio"), [("mp4", "aac"), ("mkv", "aac"), ("mkv", "libopus"), ("mkv", "flac")])
def test_sound_stays_where_it_is(scene, tmp_path, container, audio):
    path = with_sound(tmp_path / f"in.{container}", scene(10), audio)
    (before, loud), (after, still_loud) = loudness(path), loudness(redrawn(path, tmp_path / "out.mp4"))
    assert len(before) == len(after)
    np.testing.assert_allclose(after, before, atol=2e-3)
    np.testing.assert_allclose(still_loud[1:-1], loud[1:-1], rtol=1e-3)  # at its ends, opus is cut by the sample


def test_sound_before_the_first_frame_is_cut(scene, tmp_path):
    path = with_sound(tmp_path / "in.mkv", scene(8), "flac", start=0.25)
    (before, loud), (after, still_loud) = loudness(path), loudness(redrawn(path, tmp_path / "out.mp4"))
    late = before >= 0.25
    assert after[0] == 0  # of the chunk that sounds when the frames begin, the rest
    np.testing.assert_allclose(after[1:], before[late] - 0.25, atol=2e-3)
    np.testing.assert_allclose(still_loud[1:], loud[late], rtol=1e-3)


def test_sound_that_mp4_cannot_hold_is_left_out_and_said(scene, tmp_path, caplog):
    path = with_sound(tmp_path / "in.mkv", scene(4), "pcm_s16le")
    copy = redrawn(path, tmp_path / "out.mp4")
    assert "in.mkv: its sound is left out, for mp4 holds no pcm_s16le" in caplog.text
    with av.open(str(copy)) as container:
        assert not container.streams.audio
        assert len(list(container.decode(video=0))) == 4


def test_a_video_without_times_is_written_at_its_rate(scene, encode, tmp_path):
    path = encode(tmp_path / "in.avi", scene(5), codec="mpeg4", options={"bf": "2"})
    assert VideoFile(path).times is None
    assert len(times(redrawn(path, tmp_path / "out.mp4"))) == 5
