"""The thread that tracks: passes from given frame to given frame, which can be paused and stopped between frames."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frames import FrameSource
from vos_lightning.studio.passes import Direction, TrackingPass
from vos_lightning.studio.project import Project
from vos_lightning.studio.tracking import TrackedMask, Tracker, follow

Mode = Literal["forward", "backward", "all"]
Phase = Literal["idle", "loading", "running", "paused", "error", "interrupted"]
Publish = Callable[[dict[str, Any]], None]

_CHUNK = 8
"""Frames that are decoded at once on the way backward."""
_DIRECTIONS: dict[Mode, tuple[Direction, ...]] = {
    "forward": ("forward",),
    "backward": ("backward",),
    "all": ("forward", "backward"),
}


@dataclass(frozen=True)
class Job:
    """What is asked for: from `frame` on in the direction of `mode`, or all frames."""

    mode: Mode
    frame: int


@dataclass(frozen=True)
class Progress:
    """How far the job is.

    Args:
        phase: what the thread does.
        mode: of the job.
        frame: tracked last.
        done: frames of the job.
        remaining: frames of the job.
        fps: frames per second.
        message: what went wrong.
    """

    phase: Phase = "idle"
    mode: Mode | None = None
    frame: int | None = None
    done: int = 0
    remaining: int = 0
    fps: float = 0.0
    message: str = ""


class Stopped(Exception):  # noqa: N818 - not an error
    """The user stopped the job."""


class Worker:
    """Tracks in a thread of its own.

    Args:
        project: gives the masks and takes the results.
        source: of the frames, for this thread alone.
        load: makes the tracker; called once, in the thread.
        publish: told of every frame and every change of the phase; called in the thread.
    """

    def __init__(self, project: Project, source: FrameSource, load: Callable[[], Tracker], publish: Publish) -> None:
        self.progress = Progress()
        self._project = project
        self._source = source
        self._load = load
        self._publish = publish
        self._tracker: Tracker | None = None
        self._changed = threading.Condition()
        self._wanted: Job | None = None
        self._paused = self._stopped = self._warm = self._closed = False
        self._job_path = project.folder / "job.json"
        if (job := self._interrupted()) is not None:
            if next(self._passes(job), None) is None:
                self._job_path.unlink()
            else:
                self.progress = Progress("interrupted", job.mode, job.frame)
        self._thread = threading.Thread(target=self._run, name="studio-tracking", daemon=True)
        self._thread.start()

    def start(self, mode: Mode, frame: int) -> None:
        """Start a job.

        Raises:
            VOSError: one is running, or there is nothing to follow.
        """
        if mode not in get_args(Mode):
            raise VOSError(f"tracking goes {', '.join(get_args(Mode))}, not {mode!r}")
        job = Job(mode, frame)
        with self._changed:
            if self.progress.phase in ("loading", "running", "paused"):
                raise VOSError("tracking is under way; stop it first")
            if not self._project.passes.anchors:
                raise VOSError("nothing to follow yet: draw a box around an object, or paint it")
            if next(self._passes(job), None) is None:
                raise VOSError(_nothing_to_do(job, self._project))
            with atomic_path(self._job_path) as temporary:
                temporary.write_text(json.dumps(asdict(job)), encoding="utf-8")
            self._wanted, self._paused, self._stopped = job, False, False
            self._tell(Progress("running" if self._tracker else "loading", mode, frame, 0, self._remaining(job)))
            self._changed.notify_all()

    def resume_interrupted(self) -> None:
        """Go on with the job that was under way when the server ended.

        Raises:
            VOSError: there is none.
        """
        job = self._interrupted()
        if job is None:
            raise VOSError("no tracking was interrupted")
        self.start(job.mode, job.frame)

    def pause(self, paused: bool) -> None:
        """Hold the job after the current frame, or go on."""
        with self._changed:
            if self.progress.phase in ("running", "paused"):
                self._paused = paused
                self._tell(replace(self.progress, phase="paused" if paused else "running"))
                self._changed.notify_all()

    def stop(self) -> None:
        """End the job after the current frame; what was tracked stays."""
        with self._changed:
            self._stopped = True
            self._job_path.unlink(missing_ok=True)
            if self.progress.phase in ("error", "interrupted"):
                self._tell(Progress())
            self._changed.notify_all()

    def warm_up(self) -> None:
        """Load the tracker now, so that tracking can start at once later."""
        with self._changed:
            self._warm = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread after the current frame."""
        with self._changed:
            self._closed = self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=30)

    # --- in the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or self._closed or (self._warm and not self._tracker))
                if self._closed:
                    return
                job, self._wanted = self._wanted, None
            try:
                self._tracker = self._tracker or self._load()
                if job is not None:
                    self._track(job)
            except Stopped:
                self._end(Progress())
            except Exception as error:  # told on the page; the thread goes on
                self._end(Progress("error", message=" ".join(str(error).split()) or type(error).__name__))

    def _end(self, progress: Progress) -> None:
        with self._changed:
            self._warm = False
            if not self._closed:
                self._job_path.unlink(missing_ok=True)
            self._tell(progress)

    def _track(self, job: Job) -> None:
        began, done = time.perf_counter(), 0
        while (one := next(self._passes(job), None)) is not None:
            remaining = self._remaining(job)
            for frame, counts in self._follow(one):
                done, remaining = done + counts, remaining - counts
                rate = done / (time.perf_counter() - began)
                phase: Phase = "paused" if self._paused else "running"
                self._tell(Progress(phase, job.mode, frame, done, remaining, rate))
                began += self._wait_while_paused()
        self._end(Progress(mode=job.mode, done=done, fps=done / max(time.perf_counter() - began, 1e-9)))

    def _passes(self, job: Job) -> Iterator[TrackingPass]:
        """Passes that the job still has to do, in order."""
        passes = self._project.passes
        anchors = passes.anchors
        if job.mode == "forward":
            start = max((a for a in anchors if a <= job.frame), default=None)
            anchors = [] if start is None else [a for a in anchors if a >= start]
        elif job.mode == "backward":
            start = min((a for a in anchors if a >= job.frame), default=None)
            anchors = [] if start is None else [a for a in reversed(anchors) if a <= start]
        for anchor in anchors:
            for direction in _DIRECTIONS[job.mode]:
                one = passes.starting_at(anchor, direction)
                if not self._project.is_shown(one):
                    yield one

    def _remaining(self, job: Job) -> int:
        return sum(len(one.frames) for one in self._passes(job))

    def _follow(self, one: TrackingPass) -> Iterator[tuple[int, bool]]:
        """Track and show a pass until it no longer counts; yields frames, and whether they count as progress."""
        kept = self._project.is_kept(one)  # it was tracked before a change that was undone
        if not kept:
            yield from ((frame, True) for frame in self._tracked(one))
        yield from ((frame, kept) for frame in self._shown(one))

    def _tracked(self, one: TrackingPass) -> Iterator[int]:
        """Track along a pass; what it sees is shown at once, unless the other one over these frames is complete."""
        assert self._tracker is not None
        alone, given = not self._project.sides(one), self._project.starts(one)
        if given is None:
            return
        track = self._tracker.start([(self._source[frame], ids) for frame, ids in given])
        for frame, picture in self._pictures(one.frames):
            mask = follow(track, picture)
            self._project.write_pass(one, frame, mask)
            if one.key not in self._project.passes.keys:
                return
            if alone:
                self._show(frame, [one], mask)
            yield frame
        if one.end is not None:
            self._project.end_pass(one, follow(track, self._source[one.end]).ids, self._tracker.arrival)

    def _shown(self, one: TrackingPass) -> Iterator[int]:
        """Show what a complete pass sees, put together with what the other one over these frames sees."""
        assert self._tracker is not None
        sides = self._project.sides(one)
        arrivals = [self._project.arrival(side) for side in sides]
        if not sides or (len(sides) == 2 and not all(arrivals)) or self._project.is_shown(one):
            return
        for frame, picture in self._pictures(sides[0].frames):
            masks = [mask for side in sides if (mask := self._project.seen(side, frame)) is not None]
            if len(masks) < len(sides):  # one is damaged, and its pass no longer complete
                return
            way = (frame - sides[0].anchor) / (len(sides[0].frames) + 1)
            mask = masks[0] if len(sides) == 1 else self._tracker.merge(picture, masks, arrivals, way)
            if not self._show(frame, sides, mask):
                return
            yield frame

    def _show(self, frame: int, sides: Sequence[TrackingPass], mask: TrackedMask) -> bool:
        """Show what passes see in a frame, and tell of it; False if one of them doesn't count any more."""
        shown = self._project.show(frame, [side.key for side in sides], mask)
        if shown is not None:
            self._publish({"type": "tracked", "frame": frame, **shown})
        return shown is not None

    def _pictures(self, frames: range) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Frames with their pictures; backward they are decoded a few at a time."""
        if frames.step > 0:
            for frame in frames:
                yield frame, self._source[frame]
            return
        for start in range(0, len(frames), _CHUNK):
            chunk = frames[start : start + _CHUNK]
            yield from zip(chunk, reversed([self._source[frame] for frame in reversed(chunk)]), strict=True)

    def _wait_while_paused(self) -> float:
        """Seconds spent waiting.

        Raises:
            Stopped: the user stopped the job.
        """
        began = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: not self._paused or self._stopped)
            if self._stopped:
                raise Stopped
        return time.perf_counter() - began

    def _tell(self, progress: Progress) -> None:
        self.progress = progress
        self._publish({"type": "progress", **asdict(progress)})

    def _interrupted(self) -> Job | None:
        try:
            facts = json.loads(self._job_path.read_text(encoding="utf-8"))
            return Job(facts["mode"], int(facts["frame"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _nothing_to_do(job: Job, project: Project) -> str:
    """Why a job has no pass to do."""
    anchors = project.passes.anchors
    if job.mode == "forward" and not any(anchor <= job.frame for anchor in anchors):
        return f"no mask was given at frame {job.frame} or before; paint one here, or track backward"
    if job.mode == "backward" and not any(anchor >= job.frame for anchor in anchors):
        return f"no mask was given at frame {job.frame} or after; paint one here, or track forward"
    return "all of these frames are tracked; paint a frame to mend it, then track again"
