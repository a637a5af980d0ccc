"""The project folder: what counts as tracked, what comes back, what survives."""

import errno
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytest.importorskip("starlette", reason="needs the studio extra")

from tests.studio.conftest import FRAMES, HEIGHT, WIDTH, truth
from vos_lightning.errors import VOSError
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import write_mask
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


def tracked(ids, uncertainty=0.25) -> TrackedMask:
    """Object 1 as a pass sees it."""
    return TrackedMask(ids, {1: uncertainty}, 255 * (ids[None, ::4, ::4] == 1).astype(np.uint8))


def show(project, one, frame: int):
    """Show a frame as a pass sees it, if it has been there."""
    seen = project.seen(one, frame)
    return None if seen is None else project.show(frame, [side.key for side in project.sides(one)], seen)


def track(project, anchor: int, direction) -> list[int]:
    """Pretends to track a pass; returns its frames."""
    one = project.passes.starting_at(anchor, direction)
    for frame in one.frames:
        project.write_pass(one, frame, tracked(truth(frame)))
    if one.end is not None:
        project.end_pass(one, truth(one.end), arrival=lambda ids, given: {1: float(np.array_equal(ids, given)), 2: 0.0})
    for frame in one.frames:
        show(project, one, frame)
    assert project.is_shown(one)
    return list(one.frames)


def test_a_gap_is_tracked_from_both_ends(project):
    project.give(0, truth(0))
    project.give(7, truth(7))
    assert track(project, 0, "forward") == [1, 2, 3, 4, 5, 6]
    assert track(project, 7, "backward") == [6, 5, 4, 3, 2, 1]
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
        (anchor, direction): project.passes.starting_at(anchor, direction).other
        for anchor in (0, 4, 9)
        for direction in ("forward", "backward")
    }
    assert [others[anchor, "forward"] for anchor in (0, 4, 9)] == [4, 9, 4]
    assert [others[anchor, "backward"] for anchor in (0, 4, 9)] == [4, 0, 4]
    project.set_objects([SQUARE, VideoObject(2, "other", "#00ff00")])
    project.give(9, truth(9) * 2)
    assert project.passes.starting_at(4, "forward").other is None


def test_a_gap_is_shown_when_both_passes_that_are_complete_are_put_together(project):
    project.give(0, truth(0))
    project.give(3, truth(3))
    forward, backward = project.passes.starting_at(0, "forward"), project.passes.starting_at(3, "backward")
    assert (forward.end, backward.end) == (3, 0)
    assert project.passes.starting_at(3, "forward").end is None
    for one, doubt in ((forward, 0.1), (backward, 0.3)):
        for frame in one.frames:
            project.write_pass(one, frame, tracked(truth(frame), doubt))
        assert not project.is_kept(one)  # it has yet to arrive
        project.end_pass(one, truth(one.end), arrival=lambda ids, given, doubt=doubt: {1: 0.5 + doubt})
        assert project.is_kept(one)
        assert project.arrival(one) == {1: 0.5 + doubt}
    for one, doubt in ((forward, 0.1), (backward, 0.3)):
        seen = project.seen(one, 2)
        assert np.array_equal(seen.ids, truth(2))
        assert seen.uncertainty == {1: doubt}
        assert np.array_equal(seen.probabilities, 255 * (truth(2)[None, ::4, ::4] == 1))
    assert project.sides(backward) == [forward, backward]
    for frame in forward.frames:
        project.show(frame, [forward.key], tracked(truth(0), 0.1))
    assert project.statuses()[:4] == "gttg"
    assert not project.is_shown(forward)
    for frame in forward.frames:
        project.show(frame, [forward.key, backward.key], tracked(truth(9), 0.2))
    assert project.is_shown(forward)
    assert project.is_shown(backward)
    assert (project.mask(2) == truth(9)).all()
    assert project.uncertainties() == {frame: {1: 0.2} for frame in (1, 2)}


def test_an_object_given_on_one_side_only_is_tracked_through(project):
    other = VideoObject(2, "other", "#00ff00")
    project.set_objects([SQUARE, other])
    both = truth(8)
    both[60:70, 5:15] = 2
    project.give(0, truth(0))
    project.give(8, both)
    assert len(project.passes.starting_at(8, "backward").frames) == 7
    track(project, 0, "forward")
    one = project.passes.starting_at(8, "backward")
    probabilities = 255 * np.stack([both[::4, ::4] == 1, both[::4, ::4] == 2]).astype(np.uint8)
    project.write_pass(one, 1, TrackedMask(both, {1: 0.1, 2: 0.3}, probabilities))
    assert set(project.seen(project.passes.starting_at(0, "forward"), 1).uncertainty) == {1}
    seen = project.seen(one, 1)
    assert set(seen.uncertainty) == {1, 2}
    assert np.array_equal(seen.probabilities, probabilities)


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


def test_a_video_replaced_by_another_of_its_name_is_another_one(clip, tmp_path):
    video, folder = tmp_path / "video", tmp_path / "project"
    shutil.copytree(clip, video)
    Project(folder, open_frames(video))
    shutil.copy(video / "00000.png", video / "00001.png")
    with pytest.raises(VOSError, match=r"bytes, but .* when this project was made"):
        Project(folder, open_frames(video))
    facts = json.loads((folder / "project.json").read_text())
    del facts["bytes"]  # as versions before wrote it, and the way out for a video that was only compressed anew
    (folder / "project.json").write_text(json.dumps(facts))
    Project(folder, open_frames(video))
    assert json.loads((folder / "project.json").read_text())["bytes"] != facts.get("bytes")


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
    one = project.passes.starting_at(0, "forward")
    project.give(6, truth(6))  # painted while the next frame is being tracked
    project.write_pass(one, 1, tracked(truth(1)))
    project.end_pass(one, truth(6), arrival=lambda ids, given: {1: 1.0})
    assert project.arrival(one) == {}
    assert project.starts(one) is None
    assert project.sides(one) == []
    assert project.show(1, [one.key], tracked(truth(1))) is None
    assert project.statuses() == "g-----g-----"
    project.take_back(6)
    assert project.show(1, [one.key], project.seen(one, 1)) == {
        "status": "t",
        "uncertainty": {1: 0.25},
    }  # it does again


def test_what_an_undone_change_has_outdated_is_shown_again(project):
    project.give(0, truth(0))
    track(project, 0, "forward")
    project.give(6, truth(6))
    one = project.passes.starting_at(0, "forward")
    for frame in one.frames:
        project.write_pass(one, frame, tracked(truth(11), 0.5))
        project.show(frame, [one.key], tracked(truth(11), 0.5))
    project.take_back(6)
    one = project.passes.starting_at(0, "forward")
    assert project.is_kept(one)
    assert not project.is_shown(one)
    for frame in one.frames:
        show(project, one, frame)
    assert project.is_shown(one)
    assert (project.mask(1) == truth(1)).all()
    assert project.uncertainties()[1] == {1: 0.25}


def test_a_damaged_tracked_mask_is_named_and_comes_back(project):
    project.give(0, truth(0))
    track(project, 0, "forward")
    one = project.passes.starting_at(0, "forward")
    (project.folder / "masks" / "00003.png").write_bytes(b"\x89PNG")
    with pytest.raises(VOSError, match="frame 3 has lost its mask"):
        project.mask(3)
    assert project.statuses() == "gtt-" + "t" * (FRAMES - 4)
    assert not project.is_shown(one)
    show(project, one, 3)
    assert (project.mask(3) == truth(3)).all()


@pytest.mark.parametrize("content", [b"\x89PNG", None])
@pytest.mark.parametrize("name", ["00003.png", "00003.probabilities.png"])
def test_a_damaged_mask_of_a_pass_has_to_be_tracked(project, name, content):
    project.give(0, truth(0))
    track(project, 0, "forward")
    one = project.passes.starting_at(0, "forward")
    damaged = project.folder / "passes" / one.key / name
    if content is None:
        damaged.unlink()
    else:
        damaged.write_bytes(content)
    assert show(project, one, 3) is None
    assert not project.is_kept(one)


@pytest.mark.parametrize("content", ["{}", '{"1": NaN}', '{"1": 1e999}', '{"1": -0.1}', "[1]", '{"1": [0.5]}', "{", ""])
def test_a_damaged_arrival_has_to_be_tracked(project, content):
    project.give(0, truth(0))
    project.give(6, truth(6))
    track(project, 0, "forward")
    one = project.passes.starting_at(0, "forward")
    (project.folder / "passes" / one.key / "arrival.json").write_text(content)
    assert not project.is_kept(one)


@pytest.mark.parametrize("scores", [[0.5], {"1": 7.0}, {"1": None}])
def test_a_mask_of_a_pass_that_says_nonsense_has_to_be_tracked(project, scores):
    project.give(0, truth(0))
    track(project, 0, "forward")
    one = project.passes.starting_at(0, "forward")
    png = project.folder / "passes" / one.key / "00003.png"
    text = PngInfo()
    text.add_text("uncertainty", json.dumps(scores))
    Image.open(png).save(png, pnginfo=text)
    assert project.seen(one, 3) is None
    assert not project.is_kept(one)


def test_what_the_studio_did_not_name_is_left_alone(project, clip):
    project.give(0, truth(0))
    given = project.folder / "given"
    for name in ("00000 (copy).png", "99999.png"):  # as file managers do; of a longer video
        shutil.copy(given / "00000.png", given / name)
    (project.folder / "tracked.jsonl").write_bytes(b"\xff\n")
    again = Project(project.folder, open_frames(clip))
    assert again.statuses() == "g" + "-" * (FRAMES - 1)
    assert len(list(given.iterdir())) == 3


def test_a_damaged_given_mask_is_named(project, clip):
    project.give(3, truth(3))
    for content in (b"\x89PNG", (clip / "00000.png").read_bytes()):
        (project.folder / "given" / "00003.png").write_bytes(content)
        with pytest.raises(VOSError, match=r"given/00003\.png"):
            Project(project.folder, open_frames(clip))
    write_mask(project.folder / "given" / "00003.png", np.ones((5, 5), np.uint8))
    with pytest.raises(VOSError, match=r"given/00003\.png is of another size"):
        Project(project.folder, open_frames(clip))


def test_a_full_disk_loses_no_other_line(project, monkeypatch):
    project.give(0, truth(0))
    track(project, 0, "forward")
    lines = (project.folder / "tracked.jsonl").read_bytes()
    one = project.passes.starting_at(0, "forward")

    class FullDisk(io.FileIO):
        def write(self, content):
            return super().write(content[:5])

    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: FullDisk(path, mode))
    with pytest.raises(OSError, match="No space"):
        show(project, one, 1)
    monkeypatch.undo()
    assert (project.folder / "tracked.jsonl").read_bytes() == lines


def test_all_ids_can_be_given_away(project):
    project.set_objects([VideoObject(254, "last", "#ff0000")])
    assert project.new_object() is None
    assert project.objects[0].id == 254
