"""The studio's state: which video is open, and what serves it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError
from vos_lightning.io.files import natural_key
from vos_lightning.io.frames import IMAGE_SUFFIXES, open_frames
from vos_lightning.io.locks import FolderLock
from vos_lightning.studio.events import Events
from vos_lightning.studio.folder import ProjectFolder
from vos_lightning.studio.ground import Box
from vos_lightning.studio.outline import Outliner
from vos_lightning.studio.pictures import Pictures
from vos_lightning.studio.project import Project
from vos_lightning.studio.tracking import Tracker, TrackerSettings
from vos_lightning.studio.worker import Worker

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif"})
PROJECT_SUFFIX = ".studio"
_THUMBNAIL_SIDE = 72
NEARBY = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24)
"""How far off the frames lie that show what moves."""
_MOST_CHOICES = 500


class Session:
    """One open video; holds its project folder until it is closed.

    Args:
        video: a file, or a folder of frames.
        folder: of the project.
        settings: of the tracker.
        events: told of what happens.

    Raises:
        VOSError: the video can't be read, or the folder belongs to another one or is open elsewhere.
    """

    def __init__(self, video: Path, folder: Path, settings: TrackerSettings, events: Events) -> None:
        source = open_frames(video)
        if folder.resolve() == video.resolve():
            raise VOSError(f"{folder}: holds the frames themselves; choose another --project")
        ProjectFolder(folder).facts(source)  # before the lock, which writes a file there
        self._lock = FolderLock(folder)
        try:
            self.project = Project(folder, source)
            self.pictures = Pictures(video)
            self.thumbnails = Pictures(video, _THUMBNAIL_SIDE)
            self.events = events
            self._outliner: tuple[tuple[int, Box], Outliner] | None = None
            self.worker = Worker(self.project, open_frames(video), lambda: Tracker(settings), events.publish)
        except BaseException:
            self._lock.release()
            raise

    def state(self) -> dict[str, Any]:
        """Everything that a page shows, but pictures and masks."""
        project = self.project
        return {
            "video": {
                "name": project.video.name,
                "project": str(project.folder),
                "frames": project.num_frames,
                "height": project.size[0],
                "width": project.size[1],
                "fps": project.fps,
            },
            "objects": [asdict(one) for one in project.objects],
            "suggestion": self._suggestion(),
            "statuses": project.statuses(),
            "uncertainty": project.uncertainties(),
            "progress": asdict(self.worker.progress),
        }

    def tell_changes(self, frame: int | None, page: str) -> dict[str, Any]:
        """Tell all pages that a given mask or the objects have changed.

        Args:
            frame: whose mask; None if it was the objects.
            page: that did it.

        Returns:
            What the page that did it has to know.
        """
        project = self.project
        news = {"suggestion": self._suggestion(), "statuses": project.statuses()}
        objects = [asdict(one) for one in project.objects]
        self.events.publish({"type": "changed", "frame": frame, "page": page, "objects": objects, **news})
        return news

    def _suggestion(self) -> dict[str, Any] | None:
        """The next object, None if there can't be one."""
        one = self.project.new_object()
        return asdict(one) if one else None

    def outliner(self, frame: int, box: Box) -> Outliner:
        """For a box in a frame; the last one is kept, so that strokes are answered soon.

        Raises:
            VOSError: no such frame, or one is damaged.
        """
        kept = self._outliner
        if kept is None or kept[0] != (frame, box):
            kept = self._outliner = (frame, box), Outliner(self._pictures_around(frame), box)
        return kept[1]

    def _pictures_around(self, frame: int) -> list[NDArray[np.uint8]]:
        """A frame in full size, RGB (H, W, 3), and some on that side of it where there are more."""
        count = self.project.num_frames
        if not 0 <= frame < count:
            raise VOSError(f"there is no frame {frame}; the video has {count}")
        way = 1 if 2 * frame < count else -1
        near = [frame + way * step for step in NEARBY if 0 <= frame + way * step < count]
        return open_frames(self.project.video).read([frame, *near])

    def close(self) -> None:
        """End what runs and let others have the folder."""
        self.worker.close()
        self._lock.release()

    def shows(self, video: Path, folder: Path) -> bool:
        """Is it this video that is open, with this project folder?"""
        return (video.resolve(), folder.resolve()) == (self.project.video, self.project.folder.resolve())


class Studio:
    """What the pages talk to: a choice of videos, and the one that is open.

    Args:
        settings: of the tracker.
        here: folder whose videos can be opened, and where projects go.
    """

    def __init__(self, settings: TrackerSettings, here: Path) -> None:
        self.events = Events()
        self._settings = settings
        self._here = here
        self._session: Session | None = None
        self._opening = threading.Lock()

    @property
    def session(self) -> Session:
        """The open video.

        Raises:
            VOSError: none is.
        """
        if self._session is None:
            raise VOSError("no video is open; choose one")
        return self._session

    def state(self) -> dict[str, Any]:
        """See `Session.state`; without a video, those that can be opened."""
        return self._session.state() if self._session else {"video": None, "choices": list(self.choices())}

    def open(self, video: Path, folder: Path | None = None) -> None:
        """Open a video; nothing happens if it is open already.

        Raises:
            VOSError: see `Session`.
        """
        folder = folder or self._here / f"{video.resolve().name}{PROJECT_SUFFIX}"
        with self._opening:
            before = self._session
            if before is None or not before.shows(video, folder):
                self._session = Session(video, folder, self._settings, self.events)
                if before is not None:
                    before.close()
        self.events.publish({"type": "opened"})

    def choose(self, name: str) -> None:
        """Open one of the choices.

        Raises:
            VOSError: it is none of them, or can't be opened.
        """
        if name not in set(self.choices()):
            raise VOSError(f"{name}: no video of {self._here}; choose one of the list")
        self.open(self._here / name)

    def choices(self) -> Iterator[str]:
        """Videos and folders of frames here and one folder down, as paths relative to here."""
        found = [path for top in _visible(self._here) for path in (top, *_visible(top))]
        videos = (path for path in found if _is_video(path))
        for path, _ in zip(videos, range(_MOST_CHOICES), strict=False):
            yield path.relative_to(self._here).as_posix()

    def close(self) -> None:
        """End what runs."""
        if self._session is not None:
            self._session.close()


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir() or folder.suffix == PROJECT_SUFFIX:
        return []
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []
    return sorted(found, key=lambda path: natural_key(path.name))


def _is_video(path: Path) -> bool:
    if path.is_file():
        return path.suffix.lower() in VIDEO_SUFFIXES
    return path.suffix != PROJECT_SUFFIX and any(one.suffix.lower() in IMAGE_SUFFIXES for one in _visible(path))
