import pytest

from vos_lightning.data.index import find_videos, index_videos
from vos_lightning.errors import DatasetNotFoundError


def test_files_and_folders_of_frames_at_any_depth_in_natural_order(videos):
    found = [path.relative_to(videos).as_posix() for path in find_videos(videos)]
    assert found == ["clip2.mp4", "clip10.mp4", "frames/a", "frames/b", "walks/old/lake.mkv", "walks/park.mp4"]


def test_records_say_how_long_and_how_fast(videos):
    index = index_videos(find_videos(videos), videos)
    lengths = {video.name: video.num_frames for video in index.videos}
    assert lengths == {"clip2": 9, "clip10": 12, "frames/a": 7, "frames/b": 3, "walks/old/lake": 5, "walks/park": 20}
    assert index.videos[0].fps == pytest.approx(10)
    assert index.faults == []


def test_a_folder_of_frames_may_be_the_root(make, tmp_path):
    make.folder(tmp_path / "only", make.frames(4))
    index = index_videos(find_videos(tmp_path / "only"), tmp_path / "only")
    assert [(video.name, video.num_frames) for video in index.videos] == [("only", 4)]


def test_links_are_followed(videos, tmp_path):
    (tmp_path / "link").symlink_to(videos)
    assert len(find_videos(tmp_path)) == 6


def test_every_bad_video_is_a_fault_that_names_it(spoiled):
    root, bad = spoiled
    index = index_videos(find_videos(root), root, min_frames=2)
    assert len(index.videos) == 6
    assert sorted(name for name, _ in index.faults) == sorted(map(str, bad))
    assert all(reason for _, reason in index.faults)


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_nothing_to_train_on_is_said_by_name(name, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetNotFoundError, match=name):
        find_videos(tmp_path / name)
