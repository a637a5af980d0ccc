import json

import numpy as np
import pytest

from vos_lightning.data.index import find_videos, index_videos
from vos_lightning.data.prepare import Encoding, prepare_dataset, training_videos
from vos_lightning.data.synthetic_data import SyntheticSpec, write_davis_tree
from vos_lightning.errors import DatasetNotFoundError, VOSError
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
    assert json.loads(json.dumps(report.as_dict()))["written"] == 6


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
