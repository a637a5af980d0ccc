import numpy as np
import pytest
from PIL import Image

from vos_lightning.data.layouts import index as index_module
from vos_lightning.data.layouts.folders import find_images, find_videos
from vos_lightning.data.layouts.index import IndexCache, index_videos, read_skip_list
from vos_lightning.data.layouts.names import video_names
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, ExhaustedError, VOSError
from vos_lightning.io.masks import write_mask

FACTS = ('"many", 10.0, false', "-1, 10.0, false", "1e25, 10.0, false", "9, NaN, false", '9, "10", false')


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


def counting(monkeypatch):
    calls = []
    real = index_module.probe
    monkeypatch.setattr(index_module, "probe", lambda path: (calls.append(path), real(path))[1])
    return calls


def test_what_is_known_is_not_opened_again(spoiled, monkeypatch):
    root, bad = spoiled
    first = index_videos(find_videos(root), root, 2, IndexCache.of(root))
    calls = counting(monkeypatch)
    assert index_videos(find_videos(root), root, 2, IndexCache.of(root)) == first
    assert sorted(calls) == sorted(str(path) for path in bad if path.stem != "single")


def test_what_changed_is_opened_again(spoiled, make, monkeypatch):
    root, bad = spoiled
    make.folder(root / "frames", make.frames(3))
    for path in bad:
        path.unlink()
    make.video(root / "empty.mp4", make.frames(2))
    index_videos(find_videos(root), root, 2, IndexCache.of(root))
    calls = counting(monkeypatch)
    make.video(bad[1], make.frames(5))
    make.folder(root / "frames", make.frames(1), ["late"])
    (root / "good0.mp4").unlink()
    make.video(root / "new.mp4", make.frames(4))
    index = index_videos(find_videos(root), root, 2, IndexCache.of(root))
    assert sorted(calls) == sorted(map(str, (bad[1], root / "frames", root / "new.mp4")))
    lengths = {video.name: video.num_frames for video in index.videos}
    assert (lengths["empty"], lengths["frames"], lengths["new"]) == (5, 4, 4)
    assert "good0" not in lengths


@pytest.mark.parametrize(
    "content",
    [
        *("", "{}", "[1]", '{"version": 0, "videos": {}}', '{"version": 3, "videos": []}'),
        *(f'{{"version": 3, "videos": {{"PATH": [SIZE, CHANGED, {facts}]}}}}' for facts in ("1", *FACTS)),
    ],
)
def test_a_damaged_cache_is_an_empty_one(videos, tmp_path, content):
    first = videos / "clip2.mp4"
    status = {"PATH": first, "SIZE": first.stat().st_size, "CHANGED": first.stat().st_mtime_ns}
    for word, value in status.items():
        content = content.replace(word, str(value))
    (tmp_path / "index.json").write_text(content)
    index = index_videos(find_videos(videos), videos, 1, IndexCache(tmp_path / "index.json"))
    assert [video.num_frames for video in index.videos[:2]] == [9, 12]
    assert IndexCache(tmp_path / "index.json").get(index.videos[0].path) is not None


def test_a_cache_that_cannot_be_written_is_done_without(videos, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert len(index_videos(find_videos(videos), videos, 1, IndexCache(tmp_path / "file" / "index.json")).videos) == 6


def test_limits_are_drawn_by_seed_and_keep_the_order(videos):
    index = index_videos(find_videos(videos), videos)
    assert index.limited(None, 0) == index.limited(10, 0) == index
    chosen = index.limited(3, 1).videos
    assert chosen == index.limited(3, 1).videos
    assert [video for video in index.videos if video in chosen] == chosen
    assert len({tuple(index.limited(3, seed).videos) for seed in range(8)}) > 2


def test_a_loop_of_links_ends(make, tmp_path):
    make.video(tmp_path / "a" / "one.mp4", make.frames(2))
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [path.name for path in find_videos(tmp_path)] == ["one.mp4"]


def test_names_keep_dots_that_are_no_suffix():
    assert video_names(["/data/v1.5/clip.final.mp4", "/data/shot.3"], "/data") == ["v1.5/clip.final", "shot.3"]


def test_skip_lists(tmp_path):
    (tmp_path / "skip.txt").write_text("# broken downloads\nclip2\n\nwalks/park  # dark\n")
    assert read_skip_list(tmp_path / "skip.txt") == {"clip2", "walks/park"}
    (tmp_path / "odd.txt").write_bytes(b"caf\xe9\n")
    assert read_skip_list(tmp_path / "odd.txt") == {"caf\udce9"}
    with pytest.raises(VOSError, match="skip_list"):
        read_skip_list(tmp_path / "none.txt")


def test_equal_stems_are_two_videos(make, tmp_path):
    for name in ("a.mp4", "a.mov", "b.mp4"):
        make.video(tmp_path / "sub" / name, make.frames(2))
    index = index_videos(find_videos(tmp_path), tmp_path)
    assert sorted(video.name for video in index.videos) == ["sub/a.mov", "sub/a.mp4", "sub/b"]


def test_links_to_where_they_lie_are_not_followed(make, tmp_path):
    root = tmp_path / "root"
    make.video(tmp_path / "outside.mp4", make.frames(2))
    make.video(root / "walks" / "one.mp4", make.frames(2))
    (root / "walks" / "above").symlink_to(tmp_path)
    (root / "walks" / "here").symlink_to(".")
    (root / "self").symlink_to("self")
    (root / "gone").symlink_to("nowhere")
    (root / "another").symlink_to("walks")
    assert [path.relative_to(root).as_posix() for path in find_videos(root)] == ["walks/one.mp4"]


def test_a_ring_of_links_ends(make, tmp_path):
    for here, there in (("a", "b"), ("b", "a")):
        make.video(tmp_path / here / f"{here}.mp4", make.frames(2))
        (tmp_path / here / "on").symlink_to(tmp_path / there)
    assert [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)] == ["a/a.mp4", "b/b.mp4"]


def test_folders_of_masks_are_no_videos(make, tmp_path, monkeypatch):
    make.folder(tmp_path / "frames", make.frames(3))
    (tmp_path / "masks").mkdir()
    (tmp_path / "pictures").mkdir()
    for index in range(3):
        write_mask(tmp_path / "masks" / f"{index:05d}.png", np.eye(8, dtype=np.uint8))
        Image.fromarray(np.eye(8, dtype=np.uint8)).convert("RGB").save(tmp_path / "pictures" / f"{index:05d}.png")
    index = index_videos(find_videos(tmp_path), tmp_path, 1, IndexCache.of(tmp_path))
    assert [video.name for video in index.videos] == ["frames", "pictures"]
    assert (index.masks, index.faults) == ([str(tmp_path / "masks")], [])
    calls = counting(monkeypatch)
    assert index_videos(find_videos(tmp_path), tmp_path, 1, IndexCache.of(tmp_path)) == index
    assert calls == []


def test_what_could_not_be_read_once_is_read_again(videos, monkeypatch):
    def forbidden(path):
        raise VOSError(f"{path}: may not be read (permission denied); change its permissions")

    with monkeypatch.context() as patch:
        patch.setattr(index_module, "open_frames", forbidden)
        assert len(index_videos(find_videos(videos), videos, 1, IndexCache.of(videos)).faults) == 6
    index = index_videos(find_videos(videos), videos, 1, IndexCache.of(videos))
    assert (len(index.videos), index.faults) == (6, [])


def test_a_folder_of_masks_whose_first_could_not_be_read_is_looked_at_again(tmp_path, monkeypatch):
    for index in range(3):
        write_mask(tmp_path / f"{index:05d}.png", np.eye(8, dtype=np.uint8))

    def failing(path):
        raise CorruptFileError(f"{path}: I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(index_module, "opened_image", failing)
        index_videos([tmp_path], tmp_path, 1, IndexCache.of(tmp_path))
    assert index_videos([tmp_path], tmp_path, 1, IndexCache.of(tmp_path)).masks == [str(tmp_path)]


def test_a_lack_of_open_files_is_no_fault_of_the_videos(videos, no_files_left):
    paths = find_videos(videos)
    assert len(index_videos(paths, videos).videos) == 6
    with no_files_left(), pytest.raises(ExhaustedError, match="too many files are open"):
        index_videos(paths, videos)


def test_a_folder_that_cannot_be_listed_is_a_fault_and_the_rest_is_found(videos, locked):
    (videos / "lost+found").mkdir(exist_ok=True)
    locked(videos / "lost+found")
    index = index_videos(find_videos(videos), videos)
    assert len(index.videos) == 6
    assert [name for name, _ in index.faults] == [str(videos / "lost+found")]
    assert "may not be read (permission denied)" in index.faults[0][1]


def test_a_root_that_cannot_be_listed_is_said_by_name(videos, locked):
    locked(videos)
    with pytest.raises(VOSError, match=r"may not be read \(permission denied\)"):
        find_videos(videos)


def test_pictures_beside_a_folder_that_cannot_be_listed(tmp_path, make, locked):
    make.folder(tmp_path / "a", make.frames(2))
    (tmp_path / "b").mkdir()
    locked(tmp_path / "b")
    assert find_images(tmp_path) == ([tmp_path / "a/00000.jpg", tmp_path / "a/00001.jpg"], [tmp_path / "b"])
