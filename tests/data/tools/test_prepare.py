import json
import os
import shutil
from dataclasses import asdict
from functools import partial

import numpy as np
import pytest

from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.data.layouts.index import index_videos
from vos_lightning.data.shards import writing as writing_module
from vos_lightning.data.shards.writing import prepare_shards
from vos_lightning.data.synthetic.datasets import SyntheticSpec, write_davis_tree
from vos_lightning.data.tools import prepare as prepare_module
from vos_lightning.data.tools.encoding import Encoding, encode_video
from vos_lightning.data.tools.prepare import prepare_dataset, training_videos
from vos_lightning.errors import DatasetNotFoundError, ExhaustedError, VOSError
from vos_lightning.io.files import temporary_sibling
from vos_lightning.io.frames import open_frames

SMALL = Encoding(short_side=24, gop=2)


def lengths(root):
    return {video.name: video.num_frames for video in index_videos(find_videos(root), root).videos}


def test_every_video_becomes_one_small_mp4(videos, tmp_path):
    report = prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    assert (report.written, report.kept, report.frames) == (6, 0, 56)
    assert lengths(tmp_path / "out") == lengths(videos)
    for path in find_videos(tmp_path / "out"):
        source = open_frames(path)
        assert path.suffix == ".mp4"
        assert min(source.size) == 24
    before, after = (open_frames(root / "clip2.mp4") for root in (videos, tmp_path / "out"))
    assert after.fps == pytest.approx(before.fps)
    levels = [[frame.mean() for frame in source] for source in (before, after)]
    assert np.allclose(levels[0], levels[1], atol=2)


def test_small_videos_are_not_enlarged_and_sides_are_even(make, tmp_path):
    make.folder(tmp_path / "in" / "odd", make.frames(3, 33, 45))
    prepare_dataset(tmp_path / "in", tmp_path / "out")
    assert open_frames(tmp_path / "out" / "odd.mp4").size == (32, 44)


def test_it_goes_on_where_it_stopped(videos, tmp_path):
    prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    kept = (tmp_path / "out/clip2.mp4").stat().st_mtime_ns
    (tmp_path / "out/walks/park.mp4").unlink()
    report = prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    assert (report.written, report.kept) == (1, 5)
    assert (tmp_path / "out/clip2.mp4").stat().st_mtime_ns == kept


def test_bad_videos_are_left_out_and_named_once(spoiled, tmp_path_factory):
    root, bad = spoiled
    named = []
    report = prepare_dataset(root, tmp_path_factory.mktemp("out"), report=lambda path, reason: named.append(path))
    assert report.written == 7  # one frame is a video too
    assert sorted(named) == sorted(str(path) for path in bad if path.stem != "single")
    assert [path for path, _ in report.faults] == named


def test_the_report_says_what_is_saved(videos, tmp_path):
    report = prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    assert report.bytes_after == sum(path.stat().st_size for path in find_videos(tmp_path / "out"))
    assert "6 videos written, 0 kept, 0 left out" in report.summary()
    assert "\n" not in report.summary()
    assert json.loads(json.dumps(asdict(report)))["written"] == 6


def test_another_encoding_needs_another_folder(videos, tmp_path):
    prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    with pytest.raises(VOSError, match="choose another folder"):
        prepare_dataset(videos, tmp_path / "out", encoding=Encoding(short_side=24, gop=3))
    with pytest.raises(VOSError, match="outside of the dataset"):
        prepare_dataset(videos, videos / "out")


def test_the_training_videos_of_every_format(videos, youtube_tree, tmp_path):
    assert len(training_videos(videos, "kinetics")[0]) == 6
    assert [path.name for path in training_videos(youtube_tree, "youtube-vos")[0]] == ["run", "walk"]
    write_davis_tree(tmp_path, train=[1, 2], val=[3], spec=SyntheticSpec(2, (32, 48), 1))
    assert [path.name for path in training_videos(tmp_path, "davis")[0]] == ["synthetic-00001", "synthetic-00002"]
    with pytest.raises(DatasetNotFoundError):
        training_videos(videos, "youtube-vos")
    with pytest.raises(VOSError, match="format='ucf'"):
        training_videos(videos, "ucf")


@pytest.mark.parametrize("options", [{"short_side": 2}, {"gop": 0}, {"crf": 60}])
def test_nonsense_is_refused_by_name(options):
    with pytest.raises(VOSError, match=next(iter(options))):
        Encoding(**options)


def test_equal_stems_are_two_copies(make, tmp_path):
    for name, count in (("a.mp4", 3), ("a.mov", 5), ("b.mp4", 2)):
        make.video(tmp_path / "in/sub" / name, make.frames(count))
    assert prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL).written == 3
    counts = {path.name: len(open_frames(path)) for path in (tmp_path / "out/sub").iterdir()}
    assert counts == {"a.mp4.mp4": 3, "a.mov.mp4": 5, "b.mp4": 2}
    assert prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL).kept == 3


def empty(source, copy, make):
    copy.write_bytes(b"")


def replace(source, copy, make):
    make.video(source, make.frames(7))


def touch(source, copy, make):
    os.utime(source, ns=(1, 1))


@pytest.mark.parametrize("change", [empty, replace, touch])
def test_stale_and_empty_copies_are_written_again(make, tmp_path, change):
    sources = [make.video(tmp_path / "in" / name, make.frames(4)) for name in ("a.mp4", "b.mp4")]
    make.folder(tmp_path / "in" / "frames", make.frames(3))
    prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    change(sources[0], tmp_path / "out/a.mp4", make)
    report = prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    assert (report.written, report.kept) == (1, 2)
    assert len(open_frames(tmp_path / "out/a.mp4")) == len(open_frames(sources[0]))
    (tmp_path / "in/frames/00001.jpg").unlink()
    assert prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL).written == 1
    assert len(open_frames(tmp_path / "out/frames.mp4")) == 2


def cut(copy, make):
    copy.write_bytes(copy.read_bytes()[:-50])


def another(copy, make):
    make.video(copy, make.frames(5))


def link(copy, make):
    copy.rename(copy.with_name("kept"))
    copy.symlink_to("kept.mp4")


@pytest.mark.parametrize("change", [cut, another, link])
def test_what_was_not_prepared_is_not_replaced(make, tmp_path, change):
    sources = [make.video(tmp_path / "in" / name, make.frames(4)) for name in ("a.mp4", "b.mp4")]
    prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    change(copy := tmp_path / "out/a.mp4", make)
    before = copy.is_symlink() or copy.read_bytes()
    os.utime(sources[0], ns=(1, 1))
    report = prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    assert (report.written, report.kept) == (0, 1)
    assert "a.mp4: would be replaced, but wasn't prepared" in report.faults[0][1]
    assert (copy.is_symlink() or copy.read_bytes()) == before


@pytest.mark.parametrize("name", ["shard-00000-of-00001.tar", "shards.json"])
def test_no_file_of_the_users_is_replaced_by_shards(make, tmp_path, name):
    source = make.video(tmp_path / "in/a.mp4", make.frames(4))
    prepare_shards(tmp_path / "in", tmp_path / "out", 1, encoding=SMALL)
    os.utime(source, ns=(1, 1))
    assert prepare_shards(tmp_path / "in", tmp_path / "out", 1, encoding=SMALL).written == 1
    os.utime(source, ns=(2, 2))
    (tmp_path / "out" / name).write_bytes(b"mine")
    with pytest.raises(VOSError, match=f"{name}: (would be replaced, but|is there already, and)"):
        prepare_shards(tmp_path / "in", tmp_path / "out", 1, encoding=SMALL)
    assert (tmp_path / "out" / name).read_bytes() == b"mine"


def test_what_a_killed_run_left_is_removed(make, tmp_path):
    make.video(tmp_path / "in/sub/a.mp4", make.frames(2))
    prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    others = [tmp_path / "out" / name for name in (".hidden", "sub/.a.mp4.tmp")]
    left = [temporary_sibling(tmp_path / "out/sub/b.mp4"), temporary_sibling(tmp_path / "out/prepared.json")]
    (tmp_path / "out/.shard-abc_1").mkdir()
    for path in [*others, *left, tmp_path / "out/.shard-abc_1/0.mp4"]:
        path.write_bytes(b"half")
    prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    remaining = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")}
    assert remaining == {"sub", "sub/a.mp4", "prepared.json", ".hidden", "sub/.a.mp4.tmp"}


def test_masks_are_not_prepared(tmp_path):
    write_davis_tree(tmp_path / "in", train=[1], val=[2], spec=SyntheticSpec(2, (32, 48), 1))
    assert [path.parent.parent.name for path in training_videos(tmp_path / "in", "videos")[0]] == ["JPEGImages"] * 2


def test_a_damaged_manifest_and_no_threads_are_said_in_a_line(videos, tmp_path):
    with pytest.raises(VOSError, match="threads=0"):
        prepare_dataset(videos, tmp_path / "other", threads=0)
    prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    (tmp_path / "out/prepared.json").write_text("{")
    with pytest.raises(VOSError, match=r"prepared\.json: can't be read"):
        prepare_dataset(videos, tmp_path / "out", encoding=SMALL)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("shards", [None, 2])
def test_swapped_arguments_change_nothing(videos, tmp_path, shards):
    """The folder of copies as the dataset, the dataset as the folder to write to."""
    prepare = partial(prepare_shards, shards=shards) if shards else prepare_dataset
    shutil.copytree(videos, tmp_path / "originals")
    prepare_dataset(videos, tmp_path / "small", encoding=SMALL)
    before = contents(tmp_path)
    with pytest.raises(VOSError, match=r"originals: holds files that weren't prepared here"):
        prepare(tmp_path / "small", tmp_path / "originals", encoding=SMALL)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", [".hidden", "notes.txt", "sub"])
def test_a_folder_with_anything_in_it_is_not_written_to(videos, tmp_path, name):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(VOSError, match=r"out: holds files that weren't prepared here, such as"):
        prepare_dataset(videos, tmp_path / "out", encoding=SMALL)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_what_is_read_is_not_written_to(videos, tmp_path, make):
    out = tmp_path / "out"
    prepare_dataset(videos, out, encoding=SMALL)
    original = make.video(out / "walks" / "mine.mp4", make.frames(4)).read_bytes()
    with pytest.raises(VOSError, match="choose a folder outside of the dataset"):
        prepare_dataset(out / "walks", out, encoding=SMALL)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "mine.mp4").symlink_to(out / "walks" / "mine.mp4")
    with pytest.raises(VOSError, match=r"out: holds .*mine\.mp4, which is to be read"):
        prepare_dataset(tmp_path / "links", out, encoding=SMALL)
    (tmp_path / "alias").symlink_to(videos)
    with pytest.raises(VOSError, match="outside of the dataset"):
        prepare_dataset(videos, tmp_path / "alias" / "copy", encoding=SMALL)
    assert (out / "walks" / "mine.mp4").read_bytes() == original
    assert not (videos / "copy").exists()


@pytest.mark.parametrize("shards", [None, 2])
def test_a_second_one_in_the_same_folder_ends_and_the_first_goes_on(videos, tmp_path, monkeypatch, shards):
    prepare = partial(prepare_shards, shards=shards) if shards else prepare_dataset
    arguments = {"root": videos, "output": tmp_path / "out", "encoding": SMALL, "threads": 1}
    refused = []

    def interfere(source, target, *rest):
        encode_video(source, target, *rest)
        if not refused:
            refused.append(True)
            with pytest.raises(VOSError, match=r"out: is being written to by"):
                prepare(**arguments)

    for module in (prepare_module, writing_module):
        monkeypatch.setattr(module, "encode_video", interfere)
    report = prepare(**arguments)
    assert refused
    assert (report.written, report.faults) == (6, [])
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.parametrize("letter", ["a", "ä"])
def test_long_names_are_cut_and_stay_distinct(make, tmp_path, letter):
    stem = letter * (251 // len(letter.encode()))
    for count, name in enumerate((f"{stem}.mp4", f"{stem}.ts", f"{stem[:-1]}b.mp4", "short.mp4"), start=2):
        make.video(tmp_path / "in" / name, make.frames(count))
    report = prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL)
    assert (report.written, report.faults) == (4, [])
    assert sorted(len(open_frames(path)) for path in (tmp_path / "out").glob("*.mp4")) == [2, 3, 4, 5]
    assert prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL).kept == 4


def test_a_name_that_cannot_be_written_is_one_fault(make, tmp_path):
    make.video(tmp_path / "in" / "a.mp4" / "b.mp4", make.frames(2))
    make.folder(tmp_path / "in" / "a", make.frames(3))
    make.video(tmp_path / "in" / "z.mp4", make.frames(4))
    report = prepare_dataset(tmp_path / "in", tmp_path / "out", encoding=SMALL, threads=1)
    assert (report.written, len(report.faults)) == (2, 1)
    assert "cannot be written" in report.faults[0][1]


def test_a_lack_of_open_files_stops_it(videos, tmp_path, no_files_left, monkeypatch):
    prepare_dataset(videos, tmp_path / "out", encoding=SMALL)

    def exhausted(path):
        with no_files_left():
            return len(open_frames(path))

    monkeypatch.setattr(prepare_module, "open_frames", exhausted)
    with pytest.raises(ExhaustedError, match="too many files are open"):
        prepare_dataset(videos, tmp_path / "out", encoding=SMALL, threads=1)
