import json
import os
import shutil
import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError
from vos_lightning.evaluation.command import export_command
from vos_lightning.io.masks import read_mask, read_palette, write_mask

FRAMES = [f"{index:05d}" for index in range(6)]


@pytest.fixture
def youtube(tmp_path, save_masks, scene):
    """Every frame of two videos is predicted, every second one is wanted; ids have gaps."""
    for name in ("003234408d", "0062f687f1"):
        save_masks(tmp_path / "results" / name, scene(6, ids=(2, 5)), FRAMES)
    objects = {"2": {"category": "cow", "frames": FRAMES[::2]}, "5": {"category": "dog", "frames": FRAMES[2::2]}}
    videos = {name: {"objects": objects} for name in ("003234408d", "0062f687f1")}
    (tmp_path / "meta.json").write_text(json.dumps({"videos": videos}))
    return tmp_path / "results", tmp_path / "meta.json"


@pytest.fixture
def images(tmp_path, results):
    """The images of the sequences of `results`."""
    for sequence in results[0].iterdir():
        for mask in sequence.iterdir():
            image = tmp_path / "JPEGImages" / sequence.name / f"{mask.stem}.jpg"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (60, 40)).save(image)
    return tmp_path / "JPEGImages"


def test_youtube_zip_holds_the_wanted_frames_as_they_are(youtube, tmp_path, capsys):
    results, meta = youtube
    assert export_command(results, tmp_path / "out.zip", format="youtube-vos", meta=meta) == 0
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert sorted(archive.namelist()) == [
            f"Annotations/{name}/{frame}.png" for name in ("003234408d", "0062f687f1") for frame in FRAMES[::2]
        ]
        for entry in archive.namelist():
            assert archive.read(entry) == (results / entry.removeprefix("Annotations/")).read_bytes()
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out.zip'}: 6 masks of 2 sequences\n"
    assert "003234408d: 3 of 6 frames not wanted and left out" in captured.err


def test_the_same_masks_give_the_same_zip(youtube, tmp_path):
    for name in ("a.zip", "b.zip"):
        export_command(youtube[0], tmp_path / name, format="youtube-vos", meta=youtube[1])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_davis_folder_has_sequences_at_its_root(results, tmp_path):
    assert export_command(results[0], tmp_path / "new" / "submission") == 0
    written = sorted(str(path.relative_to(tmp_path / "new" / "submission")) for path in tmp_path.glob("new/*/*/*"))
    assert written == sorted(str(path.relative_to(results[0])) for path in results[0].glob("*/*"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["submission"], "no temporary folder is left"


def test_davis_zip_has_no_wrapper_folder(results, images, tmp_path):
    export_command(results[0], tmp_path / "out.zip", reference=images)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"boat", "cow"}
        assert len(archive.namelist()) == 7 + 9


def test_grey_masks_get_a_palette_and_keep_their_ids(tmp_path, save_masks, scene):
    masks = scene(3, ids=(1, 2))
    save_masks(tmp_path / "results" / "boat", masks, mode="L")
    export_command(tmp_path / "results", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        for index, mask in enumerate(masks):
            image = Image.open(BytesIO(archive.read(f"boat/{index:05d}.png")))
            assert image.mode == "P"
            assert np.array_equal(np.array(image), mask)


def test_palettes_are_kept(tmp_path, scene):
    palette = bytes(range(255, -1, -1)) * 3
    (tmp_path / "results" / "boat").mkdir(parents=True)
    write_mask(tmp_path / "results" / "boat" / "00000.png", scene(1)[0], palette)
    export_command(tmp_path / "results", tmp_path / "out")
    assert read_palette(tmp_path / "out" / "boat" / "00000.png") == palette
    assert np.array_equal(read_mask(tmp_path / "out" / "boat" / "00000.png"), scene(1)[0])


def test_the_image_set_chooses_sequences(results, images, tmp_path, capsys):
    (tmp_path / "val.txt").write_text("cow\n")
    export_command(results[0], tmp_path / "out", reference=images, image_set=tmp_path / "val.txt")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["cow"]
    assert "boat not wanted and left out" in capsys.readouterr().err
    with pytest.raises(VOSError, match=r"strict: .*boat not wanted"):
        export_command(results[0], tmp_path / "strict", reference=images, image_set=tmp_path / "val.txt", strict=True)


def test_a_gap_in_the_ids_is_noted(tmp_path, save_masks, scene, capsys):
    save_masks(tmp_path / "results" / "boat", scene(3, ids=(1, 3)))
    export_command(tmp_path / "results", tmp_path / "out")
    assert "the ids are 1, 3, but the official code expects 1 to 2" in capsys.readouterr().err


def repaint(path, mask):
    Image.fromarray(mask).save(path)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda path: path.unlink(), VOSError, r"boat: lacks 00003\.png of the 7 frames wanted"),
        (
            lambda path: repaint(path, np.zeros((20, 30), np.uint8)),
            MaskError,
            r"00003\.png: is 30x20 pixels, the data set",
        ),
        (lambda path: repaint(path, np.full((40, 60), 3, np.uint8)), MaskError, r"00003\.png: holds id 3, but .* 1, 2"),
        (lambda path: repaint(path, np.full((40, 60), 255, np.uint8)), MaskError, r"00003\.png: holds id 255"),
        (lambda path: repaint(path, np.zeros((40, 60, 3), np.uint8)), MaskError, r"00003\.png: .*RGB"),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), CorruptFileError, r"00003\.png"),
    ],
)
def test_nothing_is_written_when_a_mask_is_wrong(results, images, tmp_path, damage, error, message):
    damage(results[0] / "boat" / "00003.png")
    with pytest.raises(error, match=message):
        export_command(results[0], tmp_path / "out", reference=images)
    assert not (tmp_path / "out").exists()


def test_masks_of_a_sequence_have_one_size(results, tmp_path):
    repaint(results[0] / "boat" / "00003.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(MaskError, match=r"00003\.png: is 30x20 pixels, 00000\.png 60x40"):
        export_command(results[0], tmp_path / "out")


def test_metadata_is_obeyed(youtube, tmp_path):
    results, meta = youtube
    repaint(results / "003234408d" / "00002.png", np.full((40, 60), 9, np.uint8))
    with pytest.raises(MaskError, match=r"00002\.png: holds id 9, but the objects are 2, 5"):
        export_command(results, tmp_path / "out.zip", format="youtube-vos", meta=meta)
    (results / "003234408d" / "00002.png").unlink()
    with pytest.raises(VOSError, match=r"003234408d: lacks 00002\.png of the 3 frames wanted"):
        export_command(results, tmp_path / "out.zip", format="youtube-vos", meta=meta)
    for path in (results / "003234408d").iterdir():
        path.unlink()
    with pytest.raises(VOSError, match="lacks 003234408d of 2 sequences"):
        export_command(results, tmp_path / "out.zip", format="youtube-vos", meta=meta)
    assert not (tmp_path / "out.zip").exists()


def test_frames_without_an_object_are_no_first_masks(tmp_path, save_masks):
    save_masks(tmp_path / "results" / "boat", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(MaskError, match="the first mask holds no object"):
        export_command(tmp_path / "results", tmp_path / "out")


@pytest.mark.parametrize("target", ["out", "out.zip"])
def test_backslashes_in_names_are_refused(tmp_path, save_masks, scene, target):
    save_masks(tmp_path / "results" / "a\\..\\..\\evil", scene(2))
    with pytest.raises(VOSError, match="backslash in its name"):
        export_command(tmp_path / "results", tmp_path / target)
    assert not (tmp_path / target).exists()


def test_nothing_is_overwritten(results, tmp_path):
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "broken").symlink_to("nowhere")
    for name in ("out", "pipe.zip", "broken"):
        with pytest.raises(VOSError, match="is there already"):
            export_command(results[0], tmp_path / name)
    assert (tmp_path / "pipe.zip").is_fifo()


@pytest.mark.parametrize("name", ["out.zip", "out"])
def test_folders_are_made_and_files_are_not_taken_for_them(results, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(VOSError, match=r"cannot be written, for .*file is .*no folder"):
        export_command("nothing is read before", tmp_path / "file" / "new" / name)
    export_command(results[0], tmp_path / "new" / "deep" / name)
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == [name]


def test_a_sequence_that_is_listed_twice_is_packed_once(results, tmp_path):
    (tmp_path / "val.txt").write_text("cow\nboat\ncow\n")
    export_command(results[0], tmp_path / "out.zip", image_set=tmp_path / "val.txt")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
    assert len(names) == len(set(names)) == 7 + 9


def test_empty_submissions_are_refused(results, youtube, tmp_path):
    (tmp_path / "val.txt").write_text("\n \n")
    (tmp_path / "images" / "boat").mkdir(parents=True)
    (tmp_path / "meta.json").write_text('{"videos": {}}')
    for options, message in (
        ({"image_set": tmp_path / "val.txt"}, r"val\.txt: names no sequence"),
        ({"reference": tmp_path / "images"}, "images: holds no folder of images"),
        ({"format": "youtube-vos", "meta": tmp_path / "meta.json"}, "the file has no 'videos'"),
    ):
        with pytest.raises(VOSError, match=message):
            export_command(results[0], tmp_path / "out.zip", **options)
    assert not (tmp_path / "out.zip").exists()


def test_image_sets_and_references_must_be_readable(results, images, tmp_path):
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(CorruptFileError, match=r"val\.txt: not a text file"):
        export_command(results[0], tmp_path / "out", image_set=tmp_path / "val.txt")
    (images / "boat" / "00000.jpg").write_bytes(b"no image")
    with pytest.raises(CorruptFileError, match=r"00000\.jpg"):
        export_command(results[0], tmp_path / "out", reference=images)
    shutil.rmtree(images / "boat")
    (tmp_path / "val.txt").write_text("boat")
    with pytest.raises(VOSError, match="boat: cannot list this folder"):
        export_command(results[0], tmp_path / "out", reference=images, image_set=tmp_path / "val.txt")


def test_gaps_in_the_frames_are_noted_without_reference(results, tmp_path, capsys):
    (results[0] / "boat" / "00003.png").unlink()
    export_command(results[0], tmp_path / "out")
    expected = f"{results[0] / 'boat'}: its frames are numbered up to 6, but there is no 3; --reference finds all"
    assert capsys.readouterr().err == f"note: {expected}\n"
    with pytest.raises(VOSError, match=r"strict: .*there is no 3"):
        export_command(results[0], tmp_path / "strict", strict=True)
    for path in (results[0] / "boat").iterdir():
        path.rename(path.with_stem(f"frame{path.stem}"))
    export_command(results[0], tmp_path / "named")
    assert capsys.readouterr().err == ""


def test_objects_before_their_first_frame_are_noted(youtube, tmp_path, capsys):
    results, meta = youtube
    export_command(results, tmp_path / "out.zip", format="youtube-vos", meta=meta)
    errors = capsys.readouterr().err
    for name in ("003234408d", "0062f687f1"):
        assert f"note: {results / name / '00000.png'}: holds id 5 before the frame that introduces it\n" in errors
    videos = json.loads(meta.read_text())
    videos["videos"]["003234408d"]["objects"]["5"]["frames"] = FRAMES[4:]
    meta.write_text(json.dumps(videos))
    export_command(results, tmp_path / "more.zip", format="youtube-vos", meta=meta)
    assert "00000.png: holds id 5 before the frame that introduces it (and 1 more mask)\n" in capsys.readouterr().err
    for folder in results.iterdir():
        for frame in FRAMES[1::2]:
            (folder / f"{frame}.png").unlink(missing_ok=True)
    videos["videos"]["003234408d"]["objects"]["5"]["frames"] = FRAMES[::2]
    meta.write_text(json.dumps(videos))
    with pytest.raises(VOSError, match=r"strict: .*0062f687f1.00000\.png: holds id 5 before the frame"):
        export_command(results, tmp_path / "strict.zip", format="youtube-vos", meta=meta, strict=True)
    assert not (tmp_path / "strict.zip").exists()


def test_the_metadata_of_a_test_set_has_no_categories(youtube, tmp_path):
    results, meta = youtube
    videos = json.loads(meta.read_text())
    for video in videos["videos"].values():
        for entry in video["objects"].values():
            del entry["category"]
    meta.write_text(json.dumps(videos))
    export_command(results, tmp_path / "out.zip", format="youtube-vos", meta=meta)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert len(archive.namelist()) == 6
    video = videos["videos"]["003234408d"]
    video["objects"]["300"] = video["objects"].pop("5")
    meta.write_text(json.dumps(videos))
    with pytest.raises(CorruptFileError, match="object '300' of video '003234408d' has no id between 1 and 254"):
        export_command(results, tmp_path / "other.zip", format="youtube-vos", meta=meta)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"format": "coco"}, VOSError, "unknown format 'coco': choose one of davis, youtube-vos"),
        ({"format": "youtube-vos"}, VOSError, "needs its meta.json"),
        ({"meta": "meta.json"}, VOSError, "--meta has no effect on --format davis; leave it out"),
        ({"format": "youtube-vos", "meta": "m.json", "reference": "."}, VOSError, "--reference has no effect on"),
        ({"format": "youtube-vos", "meta": "m.json", "image_set": "."}, VOSError, "--image-set has no effect on"),
        ({"workers": 0}, VOSError, "--workers 0: give at least one"),
        ({"reference": "nowhere"}, DatasetNotFoundError, "nowhere: no such folder"),
        ({"image_set": "nowhere.txt"}, DatasetNotFoundError, "nowhere.txt: no such file"),
    ],
)
def test_nonsense_is_refused(results, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        export_command(results[0], tmp_path / "out", **options)
