import json

import numpy as np
import pytest
from PIL import Image

from vos_lightning.commands.audit import main
from vos_lightning.data.synthetic.datasets import SyntheticSpec, write_davis_tree
from vos_lightning.data.tools.audit import audit_dataset
from vos_lightning.errors import DatasetNotFoundError, ExhaustedError, VOSError
from vos_lightning.io.masks import read_mask, write_mask

SPEC = SyntheticSpec(num_frames=4, size=(48, 64), num_objects=2)
JPEG, PNG = "JPEGImages/480p/synthetic-00001", "Annotations/480p/synthetic-00001"


@pytest.fixture
def davis(tmp_path):
    write_davis_tree(tmp_path, train=[1], val=[2, 3], spec=SPEC)
    return tmp_path


def named(report):
    return {(problem.kind, problem.path.rsplit("/", 1)[-1]) for problem in report.problems}


def test_a_sound_tree_passes_and_is_counted(davis):
    report = audit_dataset(davis, "davis")
    assert report.exit_code == 0
    assert (report.videos, report.frames, report.masks, report.trainable) == (3, 12, 12, 3)
    assert report.splits == {"2017/train": 1, "2017/val": 2}
    assert report.sizes == {"48x64": 3}
    assert report.objects == {"2": 3}
    assert any("test-dev.txt: split absent" in note for note in report.notes)


def break_frame(root):
    (root / JPEG / "00001.jpg").write_bytes(b"\xff\xd8\xff")


def lose_frame(root):
    (root / JPEG / "00002.jpg").unlink()


def lose_frame_and_mask(root):
    (root / JPEG / "00001.jpg").unlink()
    (root / PNG / "00001.png").unlink()


def lose_mask(root):
    (root / PNG / "00003.png").unlink()


def colour_mask(root):
    Image.new("RGB", (64, 48)).save(root / PNG / "00002.png")


def break_mask(root):
    (root / PNG / "00002.png").write_bytes(b"\x89PNG\r\n\x1a\n")


def shrink_mask(root):
    write_mask(root / PNG / "00001.png", np.ones((24, 32), dtype=np.uint8))


def shrink_frame(root):
    Image.new("RGB", (32, 24)).save(root / JPEG / "00003.jpg")


def lose_sequence(root):
    (root / "ImageSets/2017/train.txt").write_text("synthetic-00001\ncamel\n")


@pytest.mark.parametrize(
    ("damage", "problems"),
    [
        (break_frame, {("corrupt", "00001.jpg")}),
        (lose_frame, {("missing", "00002.jpg")}),
        (lose_frame_and_mask, {("missing", "00001.jpg"), ("missing", "00001.png")}),
        (lose_mask, {("missing", "00003.png")}),
        (colour_mask, {("invalid", "00002.png")}),
        (break_mask, {("corrupt", "00002.png")}),
        (shrink_mask, {("invalid", "00001.png")}),
        (shrink_frame, {("invalid", "00003.jpg"), ("invalid", "00003.png")}),
        (lose_sequence, {("missing", "camel")}),
    ],
)
def test_every_fault_is_named_once_and_fails_the_audit(davis, damage, problems):
    damage(davis)
    report = audit_dataset(davis, "davis")
    assert named(report) == problems
    assert len(report.problems) == len(problems)
    assert report.exit_code == 1
    assert report.trainable == (3 if damage is lose_sequence else 2)
    for problem in report.problems:
        assert sum(problem.path in line for line in report.lines()) == 1


def test_unusual_things_are_noted_only(davis):
    mask = read_mask(davis / PNG / "00002.png")
    write_mask(davis / PNG / "00002.png", np.where(mask == 2, 9, mask))
    write_mask(davis / PNG / "extra.png", mask)
    (davis / "JPEGImages/480p/zebra").mkdir()
    report = audit_dataset(davis, "davis")
    notes = "\n".join(report.notes)
    assert report.exit_code == 0
    assert "00002.png: unusual ids [9]" in notes
    assert "ids [1, 2, 9] are not 1 to 3" in notes
    assert "extra.png: no frame of this name" in notes
    assert "zebra: on no list" in notes


@pytest.mark.parametrize("year", ["2016", "2017"])
def test_both_editions_and_255(tmp_path, year):
    write_davis_tree(tmp_path, train=[], val=[2], spec=SPEC, year=year)
    path = tmp_path / "Annotations/480p/synthetic-00002/00001.png"
    mask = read_mask(path)
    mask[0, 0] = 255
    write_mask(path, mask)
    report = audit_dataset(tmp_path, "davis")
    assert report.exit_code == 0
    assert not any("unusual" in note for note in report.notes)
    assert report.objects == ({"1": 1} if year == "2016" else {"2": 1})


def test_test_dev_needs_first_masks_only(davis):
    (davis / "ImageSets/2017/test-dev.txt").write_text("synthetic-00001\n")
    (davis / "ImageSets/2017/train.txt").unlink()
    for index in (1, 2, 3):
        (davis / PNG / f"0000{index}.png").unlink()
    assert audit_dataset(davis, "davis").exit_code == 0
    (davis / PNG / "00000.png").unlink()
    assert named(audit_dataset(davis, "davis")) == {("missing", "00000.png")}


def test_youtube_vos(youtube_tree):
    report = audit_dataset(youtube_tree, "youtube-vos")
    assert report.exit_code == 0
    assert report.splits == {"train": 2, "valid": 2, "valid, all frames": 2}
    assert any("the complete releases have 2018: 474, 2019: 507" in note for note in report.notes)
    assert not any("are not 1 to" in note for note in report.notes)
    (youtube_tree / "valid/JPEGImages/late/00030.jpg").unlink()
    (youtube_tree / "valid/Annotations/late/00020.png").unlink()
    (youtube_tree / "train/Annotations/run/00010.png").unlink()
    (youtube_tree / "all_frames/valid_all_frames/JPEGImages/late/00010.jpg").unlink()
    expected = {("missing", name) for name in ("00030.jpg", "00020.png", "00010.png", "00010.jpg")}
    assert named(audit_dataset(youtube_tree, "youtube-vos")) == expected


def test_youtube_vos_objects_that_do_not_enter_are_noted(youtube_tree):
    path = youtube_tree / "valid/Annotations/late/00020.png"
    mask = read_mask(path)
    write_mask(path, np.where(mask == 7, 0, mask))
    (youtube_tree / "valid/JPEGImages/unknown").mkdir()
    report = audit_dataset(youtube_tree, "youtube-vos")
    assert report.exit_code == 0
    assert any("the objects [7] should enter here" in note for note in report.notes)
    assert any("unknown: not in meta.json" in note for note in report.notes)
    (youtube_tree / "valid/meta.json").write_text("{")
    assert ("corrupt", "meta.json") in named(audit_dataset(youtube_tree, "youtube-vos"))


def test_videos(spoiled, make):
    root, bad = spoiled
    make.folder(root / "frames", make.frames(3, 20, 30))
    report = audit_dataset(root, "videos")
    assert sorted(problem.path for problem in report.problems) == sorted(str(p) for p in bad if p.stem != "single")
    assert {problem.kind for problem in report.problems if "audio" in problem.path} == {"invalid"}
    assert any("single.mp4: short, 1 frames" in note for note in report.notes)
    assert report.trainable == 7
    assert report.fps == {"10": 7}
    (root / "frames" / "00001.jpg").write_bytes(b"")
    assert ("corrupt", "00001.jpg") in named(audit_dataset(root, "videos"))


def test_short_videos_alone_do_not_fail(make, tmp_path):
    make.video(tmp_path / "single.mp4", make.frames(1))
    report = audit_dataset(tmp_path, "videos")
    assert (report.exit_code, report.trainable) == (0, 0)


def test_kinetics_lists(make, tmp_path):
    make.video(tmp_path / "train/dancing/aaa_000001_000011.mp4", make.frames(3))
    rows = ["label,youtube_id,time_start,time_end,split", "dancing,aaa,1,11,train", "dancing,bbb,2,12,train"]
    assert audit_dataset(tmp_path, "kinetics").exit_code == 0
    (tmp_path / "train.csv").write_text("\n".join(rows))
    report = audit_dataset(tmp_path, "kinetics")
    assert named(report) == {("missing", "bbb_000002_000012.mp4")}
    assert report.splits == {"train": 2}


def test_reports_are_json_and_plain_lines(spoiled):
    report = audit_dataset(spoiled[0], "videos")
    stored = json.loads(json.dumps(report.as_dict()))
    assert stored["problems"][0].keys() == {"kind", "path", "reason"}
    assert stored["fps"] == {"10": 7}
    assert stored["trainable"] == 6
    assert all("\n" not in line and "\x1b" not in line for line in report.lines())
    assert report.lines()[-1] == "4 problems: 0 missing, 3 corrupt, 1 invalid"


@pytest.mark.parametrize("format", ["davis", "youtube-vos", "kinetics", "videos"])
def test_an_empty_folder_is_not_a_dataset(tmp_path, format):
    with pytest.raises(DatasetNotFoundError):
        audit_dataset(tmp_path, format)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(VOSError, match="format='coco'"):
        audit_dataset(tmp_path, "coco")


def meta(root, change):
    path = root / "valid/meta.json"
    content = json.loads(path.read_text())
    change(content["videos"])
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda videos: videos.update({"../../evil": videos["plain"]}),
        lambda videos: videos["plain"]["objects"]["1"]["frames"].append("/etc/passwd"),
        lambda videos: videos["plain"]["objects"].update({"300": videos["plain"]["objects"]["1"]}),
        lambda videos: videos["plain"].update(objects={}),
    ],
)
def test_what_no_meta_may_say_is_invalid(youtube_tree, change):
    meta(youtube_tree, change)
    report = audit_dataset(youtube_tree, "youtube-vos")
    assert named(report) == {("invalid", "meta.json")}
    assert report.exit_code == 1


def test_a_nested_meta_is_corrupt(youtube_tree):
    (youtube_tree / "valid/meta.json").write_text("[" * 100_000)
    assert named(audit_dataset(youtube_tree, "youtube-vos")) == {("corrupt", "meta.json")}


def test_names_that_lead_out_of_davis_are_invalid(davis):
    (davis / "ImageSets/2017/val.txt").write_text("../../evil\n")
    report = audit_dataset(davis, "davis")
    assert named(report) == {("invalid", "val.txt")}
    assert "'../../evil' can't be the name" in report.problems[0].reason


def test_nothing_to_track_is_invalid(youtube_tree, davis):
    path = youtube_tree / "valid/Annotations/late/00005.png"
    write_mask(path, np.zeros_like(read_mask(path)))
    report = audit_dataset(youtube_tree, "youtube-vos")
    assert named(report) == {("invalid", "00005.png")}
    assert "none of the objects [2] in it" in report.problems[0].reason
    mask = read_mask(davis / PNG / "00000.png")
    write_mask(davis / PNG / "00000.png", np.where(mask > 0, 255, 0))
    report = audit_dataset(davis, "davis")
    assert named(report) == {("invalid", "00000.png")}
    assert report.exit_code == 1


def test_two_frames_of_one_name_are_invalid(davis):
    Image.new("RGB", (64, 48)).save(davis / JPEG / "00001.png")
    assert named(audit_dataset(davis, "davis")) == {("invalid", "00001.png")}


def test_rot_in_the_middle_of_a_video_is_corrupt(make, tmp_path):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 255, (12, 32, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    path = make.video(tmp_path / "rot.mp4", [scene[:, index : index + 128] for index in range(30)])
    assert audit_dataset(tmp_path, "videos").exit_code == 0
    content = bytearray(path.read_bytes())
    # a decoder can miss damage that happens to decode
    for place in range(len(content) // 5, 4 * len(content) // 5, len(content) // 10):
        content[place : place + 64] = rng.bytes(64)
    path.write_bytes(content)
    report = audit_dataset(tmp_path, "videos")
    assert named(report) == {("corrupt", "rot.mp4")}
    assert "rot.mp4: " in report.problems[0].reason
    assert report.frames == 30


def test_folders_of_masks_are_noted_not_read(davis):
    report = audit_dataset(davis, "videos")
    assert (report.exit_code, report.videos, report.frames) == (0, 3, 12)
    assert sum("palette PNGs are masks" in note for note in report.notes) == 3


@pytest.mark.parametrize("options", [{"clip_length": 0}, {"threads": 0}, {"threads": -1}])
def test_nonsense_is_refused_by_name(spoiled, options):
    with pytest.raises(VOSError, match=f"{next(iter(options))}="):
        audit_dataset(spoiled[0], "videos", **options)


def test_a_report_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("vos_lightning.data.tools.audit.audit_dataset", lambda *_: pytest.fail("audited first"))
    with pytest.raises(VOSError, match="missing"):
        main([str(tmp_path), "--format", "videos", "--json", str(tmp_path / "missing" / "out.json")])


def test_pipes_are_named_and_not_waited_for(tmp_path, make, pipe):
    make.video(tmp_path / "good.mp4", make.frames(3))
    pipe(tmp_path / "pipe.mp4")
    report = audit_dataset(tmp_path, "videos")
    assert named(report) == {("invalid", "pipe.mp4")}
    assert "a pipe or a device" in report.problems[0].reason
    assert (report.videos, report.frames) == (2, 3)


def test_lists_that_are_pipes_are_not_waited_for(youtube_tree, pipe):
    (youtube_tree / "valid" / "meta.json").unlink()
    pipe(youtube_tree / "valid" / "meta.json")
    assert named(audit_dataset(youtube_tree, "youtube-vos")) == {("invalid", "meta.json")}


def test_a_folder_that_cannot_be_listed_is_one_problem(tmp_path, make, locked):
    make.video(tmp_path / "good.mp4", make.frames(3))
    make.folder(tmp_path / "frames", make.frames(3))
    locked(tmp_path / "frames")
    report = audit_dataset(tmp_path, "videos")
    assert named(report) == {("invalid", "frames")}
    assert report.trainable == 1


@pytest.mark.parametrize("kind", ["JPEGImages", "Annotations"])
def test_a_sequence_that_cannot_be_listed_is_one_problem(davis, locked, kind):
    locked(davis / kind / "480p" / "synthetic-00001")
    report = audit_dataset(davis, "davis")
    assert {name for _, name in named(report)} == {"synthetic-00001"}
    assert report.trainable == 2


def test_a_lack_of_open_files_is_no_damage(tmp_path, make, no_files_left):
    make.video(tmp_path / "good.mp4", make.frames(3))
    assert audit_dataset(tmp_path, "videos", threads=1).exit_code == 0
    with no_files_left(), pytest.raises(ExhaustedError, match="too many files are open"):
        audit_dataset(tmp_path, "videos", threads=1)
