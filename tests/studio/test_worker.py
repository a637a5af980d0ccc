"""The thread that tracks, with a tracker that makes its masks up."""

import time

import numpy as np
import pytest
import torch

pytest.importorskip("starlette", reason="needs the studio extra")

from tests.studio.conftest import FRAMES, PATIENCE, truth
from vos_lightning.errors import VOSError
from vos_lightning.io.frames import open_frames
from vos_lightning.studio.objects import VideoObject
from vos_lightning.studio.project import Project
from vos_lightning.studio.worker import Worker


class Copies:
    """Tracks by repeating the given mask; `before_step` is called for each frame."""

    def __init__(self, before_step=lambda: None) -> None:
        self.before_step = before_step
        self.steps = 0
        self.arrivals = []

    def start(self, given):
        self.mask = given[-1][1]
        return self

    def arrival(self, ids, given):
        self.arrivals.append(float(np.mean(ids == given)))
        return {1: 0.5}

    def merge(self, frame, masks, arrivals, way):
        assert arrivals == [{1: 0.5}] * 2
        return masks[0] if way <= 0.5 else masks[1]

    uncertainty = {1: 0.5}  # noqa: RUF012 - never changed

    @property
    def probabilities(self):
        return {1: torch.from_numpy(self.mask[::4, ::4] == 1).float()}

    def step(self, _):
        self.steps += 1
        self.before_step()
        return self.mask


@pytest.fixture
def project(clip, tmp_path):
    project = Project(tmp_path / "project", open_frames(clip))
    project.set_objects([VideoObject(1, "square", "#ff0000")])
    project.give(0, truth(0))
    return project


@pytest.fixture
def employ(project, clip):
    """Starts workers."""
    workers = []

    def start(tracker: Copies) -> Worker:
        workers.append(Worker(project, open_frames(clip), lambda: tracker, lambda event: None))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def finish(worker: Worker) -> None:
    """Track all, and wait for it."""
    worker.start("all", 0)
    end = time.monotonic() + PATIENCE
    while worker.progress.phase != "idle":
        assert worker.progress.phase in ("loading", "running"), worker.progress
        assert time.monotonic() < end
        time.sleep(0.01)


def test_painting_while_it_tracks_changes_what_is_tracked(project, employ):
    tracker = Copies()
    tracker.before_step = lambda: tracker.steps == 3 and project.give(8, truth(8))
    finish(employ(tracker))
    assert project.statuses() == "gtttttttgttt"
    assert (project.mask(4) == truth(0)).all()
    assert (project.mask(7) == truth(8)).all()


# steps forward, with given masks in frames 0 and 6: the gap, where that leads to, and the rest
AHEAD = 5 + 1 + FRAMES - 7


def test_a_gap_shows_the_first_pass_until_the_second_is_complete(project, employ):
    project.give(6, truth(6))
    tracker, shown = Copies(), []
    tracker.before_step = lambda: tracker.steps == AHEAD + 4 and shown.append([project.mask(t) for t in range(1, 6)])
    finish(employ(tracker))
    assert all((mask == truth(0)).all() for mask in shown[0])
    expected = [truth(0)] * 3 + [truth(6)] * 2  # as `merge` above says
    assert all((project.mask(t) == mask).all() for t, mask in enumerate(expected, start=1))
    assert tracker.arrivals == [np.mean(truth(0) == truth(6))] * 2
    assert tracker.steps == AHEAD + 5 + 1


def test_a_gap_that_was_stopped_half_way_goes_on_where_it_is_not_complete(project, employ):
    project.give(6, truth(6))
    tracker = Copies()
    worker = employ(tracker)
    tracker.before_step = lambda: tracker.steps == AHEAD + 4 and worker.stop()
    finish(worker)
    assert project.statuses() == "gtttttgttttt"
    assert (project.mask(5) == truth(0)).all()
    finish(worker)
    assert tracker.steps == AHEAD + 4 + 5 + 1  # the pass backward anew
    assert (project.mask(5) == truth(6)).all()


EMPTY = np.zeros_like(truth(0))


@pytest.mark.parametrize("step", [3, 6, AHEAD + 2, AHEAD + 6])  # in the gap, on arrival; the same backward
@pytest.mark.parametrize(
    ("change", "statuses"),
    [
        (lambda project: project.take_back(6), "g" + "t" * (FRAMES - 1)),
        (lambda project: project.take_back(0), "tttttt" + "g" + "t" * (FRAMES - 7)),
        (lambda project: project.give(6, EMPTY), "gttttt" + "g" + "t" * (FRAMES - 7)),
    ],
)
def test_an_end_of_a_gap_may_go_while_it_is_tracked(project, employ, step, change, statuses):
    project.give(6, truth(6))
    tracker = Copies()
    tracker.before_step = lambda: tracker.steps == step and change(project)
    finish(employ(tracker))
    assert project.statuses() == statuses


def test_a_job_that_was_interrupted_after_its_last_frame_is_done(project, employ):
    finish(employ(Copies()))
    job = project.folder / "job.json"
    job.write_text('{"mode": "all", "frame": 0}')
    assert employ(Copies()).progress.phase == "idle"
    assert not job.exists()


def test_after_a_change_is_undone_nothing_is_tracked_twice(project, employ):
    tracker = Copies()
    worker = employ(tracker)
    finish(worker)
    project.give(6, truth(6))
    finish(worker)
    assert (project.mask(9) == truth(6)).all()
    project.take_back(6)
    assert project.statuses() == "gooooot" + "o" * (FRAMES - 7)  # nothing had been put over the mask of 6
    steps = tracker.steps
    finish(worker)
    assert tracker.steps == steps
    assert project.statuses() == "g" + "t" * (FRAMES - 1)
    assert all(np.array_equal(project.mask(frame), truth(0)) for frame in range(1, FRAMES))
    with pytest.raises(VOSError, match="all of these frames are tracked"):
        worker.start("all", 0)


def test_a_damaged_mask_is_tracked_again(project, employ):
    tracker = Copies()
    worker = employ(tracker)
    finish(worker)
    for png in [*project.folder.glob("passes/*/00005.png"), project.folder / "masks" / "00005.png"]:
        png.write_bytes(b"")
    with pytest.raises(VOSError, match="track again"):
        project.mask(5)
    finish(worker)
    assert (project.mask(5) == truth(0)).all()
