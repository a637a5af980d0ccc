import gc
import os
import shutil
import stat
import subprocess
import sys
import threading
import time

import av
import numpy as np
import pytest

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.io import writers
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.masks import read_mask, read_palette
from vos_lightning.io.writers import MaskWriter, VideoWriter


def _threads():
    return [thread for thread in threading.enumerate() if thread.name == "MaskWriter"]


def test_ctrl_c_while_the_rest_is_written_leaves_no_half_mask(tmp_path, monkeypatch):
    writer, interruptions = MaskWriter(tmp_path), [KeyboardInterrupt]
    wait = writer._job.ended.wait

    def interrupted():
        if interruptions:
            raise interruptions.pop()
        wait()

    monkeypatch.setattr(writer._job.ended, "wait", interrupted)
    for index in range(20):
        writer.write(f"{index:05d}", np.full((200, 300), index, np.uint8))
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{index:05d}.png" for index in range(20)]


def test_masks_arrive_as_given(tmp_path):
    masks = {f"{index:05d}": np.full((6, 9), index % 256, np.uint8) for index in range(40)}
    palette = bytes(range(30))
    with MaskWriter(tmp_path / "new" / "folder", palette) as writer:
        for name, mask in masks.items():
            writer.write(name, mask)
    written = sorted((tmp_path / "new" / "folder").iterdir())
    assert [path.name for path in written] == [f"{name}.png" for name in masks]
    for path in written:
        np.testing.assert_array_equal(read_mask(path), masks[path.stem])
        assert read_palette(path)[:30] == palette
    assert _threads() == []


def test_names_with_dots(tmp_path):
    with MaskWriter(tmp_path) as writer:
        writer.write("take.2.final", np.zeros((2, 2), bool))
    assert (tmp_path / "take.2.final.png").exists()


def test_the_caller_may_reuse_its_array(tmp_path):
    mask = np.zeros((300, 300), np.uint8)
    with MaskWriter(tmp_path) as writer:
        for index in range(10):
            mask[:] = index
            writer.write(str(index), mask)
    assert [int(read_mask(tmp_path / f"{index}.png").max()) for index in range(10)] == list(range(10))


def test_what_is_no_mask_is_refused_at_once(tmp_path):
    with MaskWriter(tmp_path) as writer:
        with pytest.raises(MaskError):
            writer.write("a", np.zeros((2, 2, 3)))
        writer.write("b", np.ones((2, 2), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_first_error_is_raised_by_close(tmp_path):
    folder = tmp_path / "masks"
    writer = MaskWriter(folder)
    shutil.rmtree(folder)
    writer.write("00000", np.zeros((2, 2), np.uint8))
    with pytest.raises(VOSError, match=r"00000\.png: cannot be written \(No such file"):
        writer.close()
    writer.close()
    assert _threads() == []


def test_later_writes_raise_too(tmp_path, monkeypatch):
    def full_disk(path, mask, palette):
        raise VOSError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(writers, "write_mask", full_disk)
    with pytest.raises(VOSError, match=r"00000\.png.*No space"), MaskWriter(tmp_path) as writer:  # noqa: PT012
        for index in range(1000):
            writer.write(f"{index:05d}", np.zeros((2, 2), np.uint8))
            time.sleep(0.001)
        pytest.fail("a full disk went unnoticed")


def test_error_of_the_block_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "write_mask", lambda *_: 1 / 0)
    with pytest.raises(KeyError), MaskWriter(tmp_path) as writer:  # noqa: PT012
        writer.write("a", np.zeros((2, 2), np.uint8))
        raise KeyError
    assert _threads() == []


def test_masks_given_before_an_error_are_written(tmp_path):
    with pytest.raises(KeyError), MaskWriter(tmp_path) as writer:  # noqa: PT012
        for index in range(10):
            writer.write(str(index), np.zeros((20, 20), np.uint8))
        raise KeyError
    assert len(list(tmp_path.glob("*.png"))) == 10


def test_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(VOSError, match="file: cannot be written"):
        MaskWriter(tmp_path / "file")
    with pytest.raises(VOSError, match="cannot be written"):
        MaskWriter(tmp_path / "file" / "below")


def test_closed_writer(tmp_path):
    writer = MaskWriter(tmp_path)
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.write("a", np.zeros((2, 2), np.uint8))


def test_slow_disk_slows_writing_down(tmp_path, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(writers, "write_mask", lambda *_: release.wait(10))
    accepted = []

    def fill(writer):
        for index in range(60):
            writer.write(str(index), np.zeros((2, 2), np.uint8))
            accepted.append(index)

    with MaskWriter(tmp_path) as writer:
        thread = threading.Thread(target=fill, args=(writer,))
        thread.start()
        time.sleep(0.2)
        waiting = len(accepted)
        release.set()
        thread.join()
    assert waiting < 30
    assert len(accepted) == 60


def test_dropped_writer_ends_its_thread(tmp_path):
    writer = MaskWriter(tmp_path)
    writer.write("a", np.ones((2, 2), np.uint8))
    del writer
    gc.collect()
    assert (tmp_path / "a.png").exists()
    assert _threads() == []


def test_masks_survive_a_forgotten_close(tmp_path):
    code = (
        "import sys, numpy as np; from vos_lightning.io.writers import MaskWriter\n"
        "keep = MaskWriter(sys.argv[1])\n"
        "for i in range(12): keep.write(str(i), np.random.randint(0, 255, (200, 200)))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=1800)
    assert len(list(tmp_path.glob("*.png"))) == 12


@pytest.mark.parametrize("size", [(64, 96), (63, 96), (64, 95), (61, 83), (1, 1), (2, 3)])
def test_video_round_trip(size, tmp_path):
    height, width = size
    frames = [np.full((height, width, 3), (40 * index, 90, 255 - 40 * index), np.uint8) for index in range(6)]
    with VideoWriter(tmp_path / "out.mp4", fps=10) as writer:
        for frame in frames:
            writer.write(frame)
    video = VideoFile(tmp_path / "out.mp4")
    assert len(video) == 6
    assert video.fps == pytest.approx(10)
    assert video.size == (height + height % 2, width + width % 2)
    for got, frame in zip(video, frames, strict=True):
        np.testing.assert_allclose(got[:height, :width].astype(int), frame, atol=6)
        np.testing.assert_allclose(got[-1, -1].astype(int), frame[-1, -1], atol=6)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_video_is_what_players_expect(tmp_path):
    with VideoWriter(tmp_path / "out.mp4", fps=30000 / 1001) as writer:
        writer.write(np.zeros((720, 1280, 3), np.uint8))
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(30000 / 1001)
        assert stream.codec_context.colorspace == 6
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_frames_are_not_shifted(tmp_path):
    """A single bright column stays in its place."""
    frame = np.zeros((48, 65, 3), np.uint8)
    frame[:, 20:22] = 255
    with VideoWriter(tmp_path / "out.mp4", fps=5) as writer:
        writer.write(frame)
    got = VideoFile(tmp_path / "out.mp4")[0].astype(int).sum((0, 2))
    assert sorted(np.argsort(got)[-2:]) == [20, 21]


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 10000])
def test_impossible_frame_rates(fps, tmp_path):
    with pytest.raises(VOSError, match="frames per second"):
        VideoWriter(tmp_path / "a.mp4", fps)


@pytest.mark.parametrize("fps", [1, 6, 9.81, 23.976, 29.97, 60, np.float32(12.5)])
def test_frame_rates(fps, tmp_path):
    with VideoWriter(tmp_path / "a.mp4", fps) as writer:
        for _ in range(4):
            writer.write(np.zeros((16, 16, 3), np.uint8))
    assert VideoFile(tmp_path / "a.mp4").fps == pytest.approx(float(fps), rel=1e-3)


def test_frames_that_cannot_be_written(tmp_path):
    for frame in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)):
        with pytest.raises(VOSError, match="uint8 of shape"):
            VideoWriter(tmp_path / "a.mp4", 10).write(frame)
    wrong_size = pytest.raises(VOSError, match=r"a\.mp4: a frame of \(4, 8\) after \(4, 4\)")
    with wrong_size, VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(np.zeros((4, 4, 3), np.uint8))
        writer.write(np.zeros((4, 8, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_bad_targets(tmp_path):
    with pytest.raises(VOSError, match=r"end.* so"):
        VideoWriter(tmp_path / "a.avi", 10)
    with pytest.raises(VOSError, match=r"no folder .*gone"):
        VideoWriter(tmp_path / "gone" / "a.mp4", 10)
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "folder.mp4" / "x").write_text("")
    with pytest.raises(VOSError, match="cannot be written"), VideoWriter(tmp_path / "folder.mp4", 10) as writer:
        writer.write(np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mp4"]


@pytest.mark.parametrize("exists", [True, False])
def test_links_to_videos_stay_links(tmp_path, exists):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "real.mp4"
    if exists:
        target.write_bytes(b"old")
    (tmp_path / "link.mp4").symlink_to("elsewhere/real.mp4")
    with VideoWriter(tmp_path / "link.mp4", 10) as writer:
        writer.write(np.zeros((4, 4, 3), np.uint8))
    assert (tmp_path / "link.mp4").is_symlink()
    assert len(VideoFile(target)) == 1
    assert [path.name for path in target.parent.iterdir()] == ["real.mp4"]


def test_pipes_are_no_videos(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VOSError, match=r"pipe\.mp4: an mp4 can't be written to a pipe"):
        VideoWriter(tmp_path / "pipe.mp4", 10)
    assert stat.S_ISFIFO((tmp_path / "pipe.mp4").stat().st_mode)


def test_without_frames_there_is_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_failed_block_keeps_the_old_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), VideoWriter(path, 10) as writer:  # noqa: PT012
        writer.write(np.zeros((4, 4, 3), np.uint8))
        assert path.read_bytes() == b"old"
        raise KeyError
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_closed_video(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 10)
    writer.write(np.zeros((4, 4, 3), np.uint8))
    writer.close()
    writer.close()
    writer.discard()
    assert len(VideoFile(tmp_path / "a.mp4")) == 1
    with pytest.raises(ValueError, match="closed"):
        writer.write(np.zeros((4, 4, 3), np.uint8))
