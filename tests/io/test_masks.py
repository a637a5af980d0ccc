import multiprocessing
import os

import numpy as np
import pytest
from PIL import Image

from vos_lightning.errors import CorruptFileError, MaskError, VOSError
from vos_lightning.io import masks
from vos_lightning.io.masks import read_mask, read_palette, write_mask
from vos_lightning.io.palette import DAVIS_PALETTE


@pytest.fixture
def ids():
    return np.random.default_rng(0).choice([0, 1, 2, 7, 200, 254, 255], (37, 53)).astype(np.uint8)


@pytest.mark.parametrize("palette", [None, bytes(range(12)), bytes(reversed(DAVIS_PALETTE))])
def test_ids_and_palette_round_trip(palette, tmp_path, ids):
    path = tmp_path / "00000.png"
    write_mask(path, ids, palette)
    np.testing.assert_array_equal(read_mask(path), ids)
    stored = read_palette(path)
    assert len(stored) == 768
    expected = palette or DAVIS_PALETTE
    assert stored[: len(expected)] == expected
    write_mask(tmp_path / "again.png", ids, stored)
    assert read_palette(tmp_path / "again.png") == stored


@pytest.mark.parametrize("value", range(0, 256, 15))
def test_every_single_id_survives(value, tmp_path):
    write_mask(tmp_path / "a.png", np.full((5, 3), value, np.uint8))
    assert np.unique(read_mask(tmp_path / "a.png")).tolist() == [value]


def test_few_ids_and_few_colours_keep_eight_bits(tmp_path):
    """Encoders store 2 bits per pixel for a palette of 4 colours: 255 would turn into 3."""
    mask = np.array([[0, 3], [4, 255]], np.uint8)
    write_mask(tmp_path / "a.png", mask, palette=bytes(12))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), mask)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.int8, np.uint16])
def test_integer_types_are_accepted(dtype, tmp_path):
    mask = np.array([[0, 1, 1]]).astype(dtype)
    write_mask(tmp_path / "a.png", mask)
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 1, 1]]
    assert read_mask(tmp_path / "a.png").dtype == np.uint8


@pytest.mark.parametrize(
    ("mask", "fault"),
    [
        (np.array([[-1]]), "0 and 255"),
        (np.array([[256]]), "0 and 255"),
        (np.array([[0.5]]), "integer"),
        (np.zeros((2, 2, 3), np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
    ],
)
def test_what_is_no_mask_is_not_written(mask, fault, tmp_path):
    with pytest.raises(MaskError, match=fault):
        write_mask(tmp_path / "a.png", mask)
    assert list(tmp_path.iterdir()) == []


def test_bad_palette_is_refused(tmp_path):
    for palette in (bytes(4), bytes(771)):
        with pytest.raises(ValueError, match="three bytes per id"):
            write_mask(tmp_path / "a.png", np.zeros((2, 2), np.uint8), palette)


def test_grey_and_one_bit_files(tmp_path):
    grey = np.array([[0, 255], [255, 7]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "grey.png"), grey)
    assert read_palette(tmp_path / "grey.png") is None
    Image.fromarray(grey > 100).save(tmp_path / "bit.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "bit.png"), [[0, 1], [1, 0]])


def test_short_palette_is_read_as_stored(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([0, 0, 0, 9, 8, 7, 1, 2, 3])
    image.save(tmp_path / "a.png")
    assert read_palette(tmp_path / "a.png")[:9] == bytes([0, 0, 0, 9, 8, 7, 1, 2, 3])


@pytest.mark.parametrize(("mode", "fault"), [("RGB", "RGB"), ("RGBA", "RGBA"), ("LA", "alpha"), ("I;16", "16 bits")])
def test_wrong_kind_is_named(mode, fault, tmp_path):
    path = tmp_path / "rgb.png"
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(MaskError, match=rf"rgb\.png: .*{fault}.*; save it as a palette"):
        read_mask(path)


def test_lossy_file_is_refused(tmp_path):
    Image.new("L", (16, 16)).save(tmp_path / "mask.png", format="JPEG")
    with pytest.raises(MaskError, match=r"mask\.png: this mask is a JPEG file"):
        read_mask(tmp_path / "mask.png")


def _disc(size, scale=1):
    y, x = np.mgrid[:size, :size] / scale
    centre = size / scale / 2
    return ((y - centre) ** 2 + (x - centre) ** 2 < (0.4 * size / scale) ** 2).astype(np.uint8)


@pytest.mark.parametrize("method", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
@pytest.mark.parametrize("size", [50, 97, 300])
def test_antialiased_mask_is_refused(method, size, tmp_path):
    path = tmp_path / "soft.png"
    Image.fromarray(_disc(200) * 255).resize((size, size), method).save(path)
    with pytest.raises(MaskError, match=r"soft\.png: .* antialiased; save it without smoothing"):
        read_mask(path)


def test_many_real_objects_are_not_mistaken_for_smooth_edges(tmp_path):
    mask = np.arange(1, 101, dtype=np.uint8).reshape(10, 10).repeat(3, 0).repeat(3, 1)
    Image.fromarray(mask).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), mask)
    few_thin = mask.copy()
    few_thin[::3, ::3] = 200 + np.arange(10, dtype=np.uint8)
    Image.fromarray(few_thin).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png"), few_thin)


@pytest.mark.parametrize("objects", ["lines", "points", "crossing lines"])
def test_many_thin_objects_are_not_mistaken_for_smooth_edges(tmp_path, objects):
    mask = np.zeros((120, 120), np.uint8)
    ids = np.arange(1, 31, dtype=np.uint8)
    if objects == "points":
        mask[2:92:3, 50] = ids
    else:
        mask[2:92:3, 10:90] = ids[:, None]
    if objects == "crossing lines":
        mask[5:100, 12:72:4] = np.arange(100, 115, dtype=np.uint8)
    Image.fromarray(mask).save(tmp_path / "thin.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "thin.png"), mask)


def test_missing_file_is_named(tmp_path):
    for read in (read_mask, read_palette):
        with pytest.raises(VOSError, match=r"gone\.png: no such mask"):
            read(tmp_path / "gone.png")


def test_folder_instead_of_file(tmp_path):
    with pytest.raises(CorruptFileError):
        read_mask(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 30, 60, 0.5, -200])
def test_truncated_file(keep, tmp_path):
    path = tmp_path / "half.png"
    noise = np.random.default_rng(0).integers(0, 9, (60, 80)).astype(np.uint8)
    write_mask(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(CorruptFileError, match=r"half\.png: this mask cannot be decoded"):
        read_mask(path)


def test_text_and_damaged_checksums(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("not a picture")
    with pytest.raises(CorruptFileError):
        read_mask(path)
    write_mask(path, np.eye(20, dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[data.index(b"PLTE") + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError):
        read_mask(path)


def test_folder_is_missing(tmp_path):
    with pytest.raises(VOSError, match=r"nowhere/a\.png: cannot be written \(No such file"):
        write_mask(tmp_path / "nowhere" / "a.png", np.zeros((2, 2), np.uint8))


def test_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_mask(path, np.full((4, 4), 1))

    def full_disk(image, target, **_):
        target.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(VOSError, match=r"a\.png: cannot be written \(No space left on device\); free space"):
        write_mask(path, np.full((4, 4), 2))
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert read_mask(path).max() == 1


def _write_and_die(path):
    def die(image, target, **_):
        target.write_bytes(b"half a file")
        os._exit(9)

    masks.Image.Image.save = die
    write_mask(path, np.full((4, 4), 2))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_killed_writer_leaves_no_half_file(tmp_path):
    path = tmp_path / "a.png"
    process = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert not path.exists()
    assert list(tmp_path.glob("*.png")) == []


def test_written_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_text("")
    write_mask(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode
