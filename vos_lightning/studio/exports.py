"""What can be taken away from a project, each form as one file in its folder `exports`."""

from __future__ import annotations

import re
from pathlib import Path

from vos_lightning.errors import VOSError
from vos_lightning.io.frames import open_frames
from vos_lightning.studio.project import Project

FORMS = ("masks", "overlay", "cutouts", "cutout-video", "coco", "davis-layout", "youtube-layout")
_DULL = re.compile(r"[^A-Za-z0-9._-]+")


def export(project: Project, form: str) -> Path:
    """Write one form; returns the file.

    Raises:
        VOSError: unknown form, nothing to export, or a file that can't be written.
    """
    if form not in FORMS:
        raise VOSError(f"{form!r} is no export; there are {', '.join(FORMS)}")
    if not project.objects:
        raise VOSError("there is no object to take away yet; point at one first")
    from vos_lightning.evaluation.masked_video import FORMS as WRITERS
    from vos_lightning.evaluation.masked_video import MaskedVideo

    name = plain_name(project.video)
    labels = {one.id: one.name for one in project.objects}
    video = MaskedVideo(name, open_frames(project.video), project.mask, project.palette(), labels)
    path = project.folder / "exports" / f"{name}{WRITERS[form].suffix}"
    WRITERS[form].write(video, path)
    return path


def exported(project: Project, name: str) -> Path:
    """The file of an earlier export.

    Raises:
        VOSError: there is none of that name.
    """
    files = {path.name: path for path in (project.folder / "exports").iterdir() if not path.name.startswith(".")}
    if name not in files:
        raise VOSError(f"{name}: no such export; make it first")
    return files[name]


def plain_name(video: Path) -> str:
    """A name for files and folders that every tool takes."""
    return _DULL.sub("_", video.stem if video.is_file() else video.name).strip("._") or "video"
