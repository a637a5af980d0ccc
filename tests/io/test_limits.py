import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vos_lightning.data.clips.reading import read_reduced
from vos_lightning.data.layouts.index import probe
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io.decoder import VideoDecoder
from vos_lightning.io.frame_folder import FrameFolder, read_frame
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.limits import VARIABLE, pixel_limit
from vos_lightning.io.masks import read_mask, read_palette, write_mask


@pytest.fixture(autouse=True)
def pillow_limit(monkeypatch):
    """Pillow's own limit comes back after each test."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture(params=[60000, 11000], ids=["beyond Pillow's error", "beyond Pillow's warning"])
def bomb(request, tmp_path):
    """A picture of a hundred bytes that claims billions of pixels, or hundreds of millions."""
    folder = tmp_path / "frames"
    folder.mkdir()
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", request.param, request.param, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    blob = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    (folder / "bomb.png").write_bytes(blob)
    return folder / "bomb.png"


READERS = {
    "frame": read_frame,
    "small frame": lambda path: read_frame(path, 64),
    "square": lambda path: read_reduced(path, 64),
    "size": lambda path: FrameFolder(path.parent).size,
    "mask": read_mask,
    "palette": read_palette,
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_bombs_are_refused_before_they_go_off(bomb, read):
    with pytest.raises(VOSError, match=rf"bomb\.png: .*exceeds|more than the limit.*set {VARIABLE}"):
        read(bomb)


@pytest.mark.filterwarnings("error::PIL.Image.DecompressionBombWarning")
def test_strict_programs_get_the_same_error(bomb):
    with pytest.raises(VOSError, match=r"bomb\.png"):
        read_frame(bomb)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_variable_changes_the_limit(tmp_path, monkeypatch, scene, encode):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    write_mask(tmp_path / "m.png", np.ones((20, 30), np.uint8))
    video = encode(tmp_path / "a.mp4", scene(4))  # 96x128
    monkeypatch.setenv(VARIABLE, "599")
    for path, read in ((tmp_path / "a.png", read_frame), (tmp_path / "m.png", read_mask)):
        with pytest.raises(VOSError, match=rf"{path.name}: 30x20 pixels, more than the limit of 599; .*{VARIABLE}=600"):
            read(path)
    for read in (list, len, lambda source: source.read([1]), lambda source: source[1]):
        with pytest.raises(VOSError, match=r"a\.mp4: 128x96 pixels, more than the limit"):
            read(VideoFile(video))
    with pytest.raises(VOSError, match=r"a\.mp4: 128x96 pixels"):
        probe(str(video))
    monkeypatch.setenv(VARIABLE, str(128 * 96))
    assert read_frame(tmp_path / "a.png").shape == (20, 30, 3)
    assert len(list(VideoFile(video))) == 4
    monkeypatch.setenv(VARIABLE, str(10**9))
    assert pixel_limit() == Image.MAX_IMAGE_PIXELS == 10**9


def test_programs_that_lift_pillows_limit_lift_this_one(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert pixel_limit() is None


def test_slivers_are_not_blown_up(tmp_path, encode):
    """Resized to a short side of 256, these would fill gigabytes."""
    Image.fromarray(np.zeros((1, 9000, 3), np.uint8)).save(tmp_path / "sliver.png")
    assert read_frame(tmp_path / "sliver.png").shape == (1, 9000, 3)
    assert read_reduced(tmp_path / "sliver.png", 256).shape == (1, 9000, 3)
    with pytest.raises(VOSError, match=r"sliver\.png: 2304000x256 pixels"):
        read_frame(tmp_path / "sliver.png", 256)
    video = VideoFile(encode(tmp_path / "sliver.mkv", [np.zeros((2, 4096, 3), np.uint8)] * 2, codec="ffv1"))
    assert video.size == (2, 4096)
    with pytest.raises(VOSError, match=r"sliver\.mkv: 524288x256 pixels"):
        video.read([0], short_side=256)


@pytest.mark.parametrize("value", ["lots", "-5", "0", "1e9", "9" * 5000, "²"])
def test_nonsense_is_refused(tmp_path, monkeypatch, value):
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(VOSError, match=f"{VARIABLE}=.*give a number of pixels"):
        read_frame(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_frame, read_mask, lambda path: list(FrameFolder(path.parent))])
def test_a_lack_of_open_files_is_no_damage(read, tmp_path, no_files_left):
    write_mask(tmp_path / "a.png", np.ones((20, 30), np.uint8))
    read(tmp_path / "a.png")
    with no_files_left(), pytest.raises(ExhaustedError, match=r"too many files are open.*ulimit -n"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("read", [read_frame, read_mask, lambda path: len(VideoFile(path)), VideoDecoder])
def test_a_pipe_is_not_waited_for(read, tmp_path, pipe):
    with pytest.raises(VOSError, match=r"a\.mp4: a pipe or a device"):
        read(pipe(tmp_path / "a.mp4"))
