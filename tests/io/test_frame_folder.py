import pickle
import random

import numpy as np
import pytest
from PIL import Image

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io.frame_folder import read_frame
from vos_lightning.io.frames import FrameFolder, VideoFile, open_frames


def _image(value, height=12, width=20):
    return Image.fromarray(np.full((height, width, 3), value, np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Twelve frames whose grey value is their number, written in random order, among other files."""
    path = tmp_path / "frames"
    path.mkdir()
    numbers = list(range(12))
    random.Random(0).shuffle(numbers)
    for number in numbers:
        _image(number).save(path / f"{number}.{('png', 'bmp')[number % 2]}")
    (path / "notes.txt").write_text("not a frame")
    (path / "._0.png").write_bytes(b"what macOS leaves")
    (path / ".DS_Store").write_bytes(b"")
    (path / "3.png.tmp").write_bytes(b"half")
    (path / "inner.png").mkdir()
    return path


def test_natural_order(folder):
    frames = FrameFolder(folder)
    assert frames.names == [str(number) for number in range(12)]
    assert len(frames) == 12
    assert [int(frame[0, 0, 0]) for frame in frames] == list(range(12))
    assert frames[10][0, 0, 0] == 10
    assert frames[-1][0, 0, 0] == 11
    assert frames.size == (12, 20)
    assert frames[0].dtype == np.uint8
    assert frames[0].flags["WRITEABLE"]


def test_reading_some(folder):
    frames = FrameFolder(folder)
    assert [int(frame[0, 0, 0]) for frame in frames.read([7, 2, 7, -12])] == [7, 2, 7, 0]
    assert frames.read([]) == []
    small = frames.read([5], short_side=6)[0]
    assert small.shape == (6, 10, 3)
    assert (small == 5).all()
    for index in (12, -13):
        with pytest.raises(IndexError, match="12 frames"):
            frames.read([index])
        with pytest.raises(IndexError):
            frames[index]


def test_frame_rate_is_the_given_one(folder):
    assert FrameFolder(folder).fps == 24
    assert FrameFolder(folder, fps=6.0).fps == 6


def test_pickles(folder):
    copy = pickle.loads(pickle.dumps(FrameFolder(folder)))
    assert copy.names == FrameFolder(folder).names
    np.testing.assert_array_equal(copy[4], FrameFolder(folder)[4])


def test_upper_case_and_webp(tmp_path):
    _image(1).save(tmp_path / "A.PNG")
    _image(2).save(tmp_path / "b.webp", lossless=True)
    _image(3).save(tmp_path / "c.JPEG", quality=100)
    assert FrameFolder(tmp_path).names == ["A", "b", "c"]
    assert [int(frame.max()) for frame in FrameFolder(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("mode", ["L", "P", "1", "RGBA", "LA", "CMYK"])
def test_other_colour_modes_become_rgb(mode, tmp_path):
    suffix = "jpg" if mode == "CMYK" else "png"
    _image(255).convert(mode).save(tmp_path / f"a.{suffix}")
    frame = read_frame(tmp_path / f"a.{suffix}")
    assert frame.shape == (12, 20, 3)
    assert frame.min() >= 253


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(CorruptFileError, match=r"deep\.png: frames have 8 bits"):
        read_frame(tmp_path / "deep.png")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(96, 160), (960, 1600)])
def test_exif_orientation(orientation, size, tmp_path):
    height, width = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = 255  # the bright quarter tells how it is turned
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(tmp_path / "phone.jpg", exif=exif)
    turned = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, -1),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, 1),
    }[orientation]
    frames = FrameFolder(tmp_path)
    assert frames.size == turned.shape[:2]
    assert np.abs(frames[0].astype(int) - turned).mean() < 2
    small = frames.read([0], short_side=60)[0]
    step = height // 60 if height % 60 == 0 else None
    assert sorted(small.shape[:2]) == [60, 100]
    assert (small.shape[0] < small.shape[1]) == (turned.shape[0] < turned.shape[1])
    if step:
        assert np.abs(small.astype(int) - turned[step // 2 :: step, step // 2 :: step]).mean() < 8


@pytest.mark.parametrize("short_side", [20, 33, 100, 256, 300])
def test_shrinking_a_jpeg_is_filtered(short_side, tmp_path):
    """The decoder's own scaling must not change size or content."""
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=95)
    got = read_frame(tmp_path / "a.jpg", short_side)
    slow = Image.open(tmp_path / "a.jpg").resize((round(400 * short_side / 300), short_side), Image.Resampling.BILINEAR)
    assert got.shape == np.asarray(slow).shape
    assert np.abs(got.astype(int) - np.asarray(slow)).mean() < 8


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(VOSError, match="gone: cannot list"):
        FrameFolder(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VOSError, match=r"empty: no frames .*\.jpg"):
        FrameFolder(tmp_path / "empty")


def test_two_frames_of_one_name(tmp_path):
    _image(0).save(tmp_path / "1.png")
    _image(0).save(tmp_path / "1.jpg")
    with pytest.raises(VOSError, match=r"1\.jpg and 1\.png would share one mask name"):
        FrameFolder(tmp_path)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
@pytest.mark.parametrize("short_side", [None, 8])
def test_unreadable_frame_is_named(suffix, short_side, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"00007.{suffix}"
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    for content in (data[: len(data) // 2], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match=rf"00007\.{suffix}: this frame cannot be decoded"):
            read_frame(path, short_side)
    with pytest.raises(CorruptFileError, match="00007"):
        _ = FrameFolder(tmp_path).size


def test_frame_that_vanished(folder):
    frames = FrameFolder(folder)
    (folder / "4.png").unlink()
    with pytest.raises(CorruptFileError, match=r"4\.png"):
        frames[4]


def test_open_frames_picks(folder, tmp_path, scene, encode):
    assert isinstance(open_frames(folder), FrameFolder)
    assert isinstance(open_frames(str(encode(tmp_path / "a.mp4", scene(2)))), VideoFile)
    with pytest.raises(VOSError, match=r"gone: no such file or folder; give a video"):
        open_frames(tmp_path / "gone")
    with pytest.raises(VOSError, match=r"0\.png: this is one image; give the folder"):
        open_frames(folder / "0.png")
    assert repr(open_frames(folder)) == f"FrameFolder({str(folder)!r})"
