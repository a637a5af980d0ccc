import pickle

import pytest

from vos_lightning.data.index import VideoRecord
from vos_lightning.data.opened import OpenedVideos
from vos_lightning.errors import VOSError


@pytest.fixture(scope="module")
def records(tmp_path_factory, make):
    root = tmp_path_factory.mktemp("opened")
    paths = [make.video(root / f"{index}.mp4", make.frames(4)) for index in range(5)]
    return [VideoRecord(str(path), path.stem, 4, 10.0) for path in paths]


def test_a_video_is_opened_once(records):
    opened = OpenedVideos()
    assert opened.get(records[0]) is opened.get(records[0])
    assert opened.get(records[0]) is not opened.get(records[1])
    assert opened.get(records[1]).path.name == "1.mp4"


def test_the_videos_used_last_are_kept(records):
    opened = OpenedVideos(frames=3 * 104)
    first, second, _ = (opened.get(record) for record in records[:3])
    assert opened.get(records[0]) is first
    opened.get(records[3])
    assert len(opened) == 3
    assert opened.get(records[0]) is first
    assert opened.get(records[1]) is not second
    for record in records * 3:
        opened.get(record)
        assert len(opened) == 3


def test_long_videos_are_fewer(records):
    opened = OpenedVideos(frames=1000)
    for record in records:
        opened.get(record._replace(num_frames=400))
    assert len(opened) == 2
    opened.get(records[0]._replace(num_frames=5000))
    assert len(opened) == 0
    for record in records:
        opened.get(record)
    assert len(opened) == 5


def test_a_forgotten_video_is_opened_anew(records):
    opened = OpenedVideos(frames=2 * 104)
    first = opened.get(records[0])
    opened.forget(records[0])
    opened.forget(records[0])
    assert opened.get(records[0]) is not first
    kept = opened.get(records[0])
    opened.get(records[1])
    assert opened.get(records[0]) is kept


def test_copies_for_other_processes_are_empty(records):
    opened = OpenedVideos(frames=2 * 104)
    opened.get(records[0])
    copy = pickle.loads(pickle.dumps(opened))
    assert len(opened) == 1
    assert len(copy) == 0
    for record in records:
        copy.get(record)
    assert len(copy) == 2


def test_folders_are_not_kept_and_missing_files_are_errors(tmp_path, make):
    opened = OpenedVideos()
    folder = make.folder(tmp_path / "frames", make.frames(3))
    assert len(opened.get(VideoRecord(str(folder), "frames", 3, 10.0))) == 3
    with pytest.raises(VOSError, match=r"gone\.mp4"):
        opened.get(VideoRecord(str(tmp_path / "gone.mp4"), "gone", 3, 10.0))
    assert len(opened) == 0
