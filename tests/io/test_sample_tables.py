import struct

import pytest

from vos_lightning.errors import CorruptFileError
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.sample_tables import check_sample_tables

SHAPES = {
    "plain": {},
    "index first": {"movflags": "faststart"},
    "fragments": {"movflags": "frag_keyframe+empty_moov"},
    "fragments of equal samples": {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mjpeg"])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_videos_pass(name, codec, shape, tmp_path, scene, encode):
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = encode(tmp_path / name, scene(12), codec, pixels, muxing=SHAPES[shape])
    check_sample_tables(path)
    assert len(list(VideoFile(path))) == 12


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.ts", "a.webm"])
def test_other_formats_pass(name, tmp_path, scene, encode):
    check_sample_tables(encode(tmp_path / name, scene(4), "libvpx" if name == "a.webm" else "libx264"))


def test_real_videos_pass(clips):
    for path in clips:
        check_sample_tables(path)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_small_file_that_claims_many_samples_is_named_before_memory_is_taken(
    size, tmp_path, scene, encode, little_memory
):
    path = encode(tmp_path / "a.mp4", scene(3), "mpeg4")
    count, content = 50_000_000, bytearray(path.read_bytes())
    struct.pack_into(">II", content, content.index(b"stsz") + 8, size, count)
    struct.pack_into(">I", content, content.index(b"stts") + 12, count)
    struct.pack_into(">I", content, content.index(b"stsc") + 16, count)
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"a\.mp4: this video claims to hold \d+ bytes in a file of"):
        len(VideoFile(path))


def test_a_small_fragment_that_claims_many_samples_is_named(tmp_path, scene, encode, little_memory):
    path = encode(tmp_path / "a.mp4", scene(3), "mpeg4", muxing=SHAPES["fragments"])
    content = bytearray(path.read_bytes())
    place = content.index(b"trun") + 4
    struct.pack_into(">II", content, place, 1, 50_000_000)  # an offset, and nothing for each sample
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"a\.mp4: this video claims to hold"):
        len(VideoFile(path))


@pytest.mark.parametrize("content", [b"", b"\0\0\0\1ftyp", b"\0\0\0\0moov" * 3000, b"\0\0\0\x08moov" * 3000])
def test_damage_is_left_to_the_decoder(content, tmp_path):
    (tmp_path / "a.mp4").write_bytes(content)
    check_sample_tables(tmp_path / "a.mp4")
