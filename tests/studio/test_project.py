"""The project folder: what counts as tracked, what comes back, what survives."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the studio extra")

from tests.studio.conftest import FRAMES, HEIGHT, WIDTH, truth
from vos_lightning.errors import VOSError
from vos_lightning.io.frames import open_frames
from vos_lightning.studio.folder import ProjectFolder
from vos_lightning.studio.objects import VideoObject
from vos_lightning.studio.project import Project
from vos_lightning.studio.tracking import TrackedMask

SQUARE = VideoObject(1, "square", "#ff0000")


@pytest.fixture
def project(clip, tmp_path):
    project = Project(tmp_path / "project", open_frames(clip))
    project.set_objects([SQUARE])
    return project


def track(project, anchor: int, direction, *, whole: bool = False) -> list[int]:
    """Pretends to track a pass; returns its frames."""
    one = project.passes.starting_at(anchor, direction, whole=whole)
    for frame in one.frames:
        project.write_pass(one.key, frame, TrackedMask(truth(frame), {1: 0.25}))
    assert project.missing(one) == 0
    return list(one.frames)


def test_each_half_of_a_gap_is_tracked_from_its_end(project):
    project.give(0, truth(0))
    project.give(7, truth(7))
    assert track(project, 0, "forward") == [1, 2, 3]
    assert track(project, 7, "backward") == [6, 5, 4]
    assert track(project, 7, "forward") == [8, 9, 10, 11]
    assert project.statuses() == "gttttttgtttt"


def test_repainting_outdates_its_neighbourhood_and_undo_brings_it_back(project):
    project.give(0, truth(0))
    track(project, 0, "forward")
    project.give(6, truth(5))
    assert project.statuses() == "gooooogooooo"  # frames before it look back at it too
    project.take_back(6)
    assert project.statuses() == "g" + "t" * (FRAMES - 1)
    project.give(0, truth(1))
    assert project.statuses() == "g" + "o" * (FRAMES - 1)
    project.give(0, truth(0))
    assert project.statuses() == "g" + "t" * (FRAMES - 1)


def test_a_pass_looks_back_at_the_given_frame_it_goes_to(project):
    for frame in (0, 4, 9):
        project.give(frame, truth(frame))
    others = {
        (anchor, direction): project.passes.starting_at(anchor, direction, whole=False).other
        for anchor in (0, 4, 9)
        for direction in ("forward", "backward")
    }
    assert [others[anchor, "forward"] for anchor in (0, 4, 9)] == [4, 9, 4]
    assert [others[anchor, "backward"] for anchor in (0, 4, 9)] == [4, 0, 4]
    project.set_objects([SQUARE, VideoObject(2, "other", "#00ff00")])
    project.give(9, truth(9) * 2)
    assert project.passes.starting_at(4, "forward", whole=False).other is None


def test_the_nearer_pass_is_shown(project):
    project.give(0, truth(0))
    project.give(6, truth(6))
    forward, backward = (project.passes.starting_at(*way, whole=True) for way in ((0, "forward"), (6, "backward")))
    for frame in range(1, 6):
        project.write_pass(forward.key, frame, TrackedMask(truth(0), {1: 0.1}))
        project.write_pass(backward.key, frame, TrackedMask(truth(6), {1: 0.2}))
    shown = [0 if (project.mask(frame) == truth(0)).all() else 6 for frame in range(1, 6)]
    assert shown == [0, 0, 0, 6, 6]
    assert project.uncertainties()[2] == {1: 0.1}


def test_an_object_given_on_one_side_only_is_tracked_through(project):
    other = VideoObject(2, "other", "#00ff00")
    project.set_objects([SQUARE, other])
    both = truth(8)
    both[60:70, 5:15] = 2
    project.give(0, truth(0))
    project.give(8, both)
    assert len(project.passes.starting_at(8, "backward", whole=False).frames) == 7
    track(project, 0, "forward", whole=True)
    one = project.passes.starting_at(8, "backward", whole=True)
    project.write_pass(one.key, 1, TrackedMask(both, {1: 0.1, 2: 0.3}))
    assert set(np.unique(project.mask(1))) == {0, 1, 2}
    assert (project.mask(1)[truth(1) > 0] == 1).all()


def test_an_empty_given_frame_ends_no_pass(project):
    project.give(0, truth(0))
    project.give(5, np.zeros((HEIGHT, WIDTH), np.uint8))
    assert project.passes.anchors == [0]
    assert len(track(project, 0, "forward")) == FRAMES - 1
    assert not project.mask(5).any()


def test_objects_join_end_go_and_come_back(project):
    project.give(0, truth(0))
    track(project, 0, "forward")
    project.set_objects([VideoObject(1, "square", "#ff0000", first=2, last=4)])
    assert [bool(project.mask(frame).any()) for frame in range(1, 6)] == [False, True, True, True, False]
    project.set_objects([])
    assert project.passes.anchors == []
    assert project.new_object().id == 2
    project.set_objects([SQUARE])
    assert project.statuses() == "g" + "t" * (FRAMES - 1)


def test_reopened_as_it_was(project, clip):
    project.give(0, truth(0))
    track(project, 0, "forward")
    with (project.folder / "tracked.jsonl").open("a") as file:
        file.write('{"frame": 3, "pas')  # a line that a crash cut off
    again = Project(project.folder, open_frames(clip))
    assert again.objects == (SQUARE,)
    assert again.statuses() == project.statuses()
    assert again.uncertainties() == project.uncertainties()
    assert all(json.loads(line) for line in (project.folder / "tracked.jsonl").read_text().splitlines())


def test_a_damaged_project_is_named(project, clip):
    (project.folder / "project.json").write_text("{}")
    with pytest.raises(VOSError, match=r"project\.json"):
        Project(project.folder, open_frames(clip))


def test_a_video_of_the_same_size_is_another_one_unless_it_was_moved(clip, tmp_path):
    first, second, folder = tmp_path / "first", tmp_path / "second", tmp_path / "project"
    shutil.copytree(clip, first)
    shutil.copytree(clip, second)
    Project(folder, open_frames(first)).set_objects([SQUARE])
    with pytest.raises(VOSError, match="another video") as caught:
        Project(folder, open_frames(second))
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    shutil.rmtree(first)
    assert Project(folder, open_frames(second)).objects == (SQUARE,)
    assert json.loads((folder / "project.json").read_text())["video"] == str(second.resolve())


def test_a_folder_of_something_else_is_left_alone(clip, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(VOSError, match="neither empty nor a project"):
        Project(tmp_path, open_frames(clip))
    with pytest.raises(VOSError, match=r"thesis\.txt: is a file"):
        Project(tmp_path / "thesis.txt", open_frames(clip))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_may_not_be_read_is_named(clip, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    source = open_frames(clip)
    monkeypatch.setattr(Path, "exists", refuse)  # permissions don't bind root, who may run the tests
    with pytest.raises(VOSError, match=r"mine: may not be read \(permission denied\)"):
        ProjectFolder(tmp_path / "mine").facts(source)


def test_an_empty_folder_becomes_a_project(clip, tmp_path):
    (tmp_path / ".DS_Store").touch()
    Project(tmp_path, open_frames(clip))
    assert (tmp_path / "project.json").is_file()


def test_ids_are_checked(project):
    with pytest.raises(VOSError, match="no object"):
        project.give(0, truth(0) * 9)
    with pytest.raises(VOSError, match="different ones"):
        project.set_objects([SQUARE, SQUARE])


def test_a_mask_that_comes_after_a_change_no_longer_counts(project):
    project.give(0, truth(0))
    one = project.passes.starting_at(0, "forward", whole=False)
    project.give(6, truth(6))  # painted while the next frame is being tracked
    assert project.write_pass(one.key, 1, TrackedMask(truth(1), {1: 0.25})) is None
    assert project.statuses() == "g-----g-----"
    project.take_back(6)
    assert project.missing(one) == FRAMES - 2  # it does again
