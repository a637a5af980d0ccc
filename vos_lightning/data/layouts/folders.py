"""Videos and pictures below a folder, at any depth."""

import os
from collections import deque
from pathlib import Path

from vos_lightning.data.layouts.names import VIDEO_SUFFIXES
from vos_lightning.errors import DatasetNotFoundError
from vos_lightning.io.files import natural_key
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES


def find_videos(root: str | Path) -> list[Path]:
    """Video files and folders of frames below `root`, at any depth, in natural order.

    A folder that directly holds images is one video; hidden files and folders are passed over; links are followed,
    except to where they lie themselves.

    Raises:
        DatasetNotFoundError: no such folder, or nothing of the kind in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder; give a folder of video files or of folders of frames")
    found: list[str] = []
    pending, seen = deque([str(root)]), set()
    while pending:
        folder = pending.pop()
        status = os.stat(folder)  # noqa: PTH116
        # links can lead to one place twice, or in a ring
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        has_images = False
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
            is_folder = _is_folder(entry)
            if suffix in VIDEO_SUFFIXES and not is_folder:
                found.append(entry.path)
            elif suffix in IMAGE_SUFFIXES:
                has_images = True
            elif is_folder and entry.is_symlink():
                # last, for a place is named after its folder rather than after a link to it
                pending.appendleft(entry.path)
            elif is_folder:
                pending.append(entry.path)
        if has_images:
            found.append(folder)
    if not found:
        raise DatasetNotFoundError(f"{root}: no video file and no folder of frames in it or below it")
    return [Path(path) for path in sorted(found, key=natural_key)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder, or a link to one that isn't above it."""
    try:
        if not entry.is_dir():
            return False
    except OSError:  # a link to itself
        return False
    if not entry.is_symlink():
        return True
    here, there = os.path.realpath(os.path.dirname(entry.path)), os.path.realpath(entry.path)  # noqa: PTH120
    return os.path.commonpath([here, there]) != there


def find_images(root: str | Path) -> list[Path]:
    """Pictures below `root`, at any depth, in natural order; hidden ones are passed over.

    Raises:
        DatasetNotFoundError: no such folder, or no picture in it.
    """
    root = Path(root)
    found = [
        path
        for path in root.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    ]
    if not found:
        raise DatasetNotFoundError(f"{root}: no picture ({', '.join(sorted(IMAGE_SUFFIXES))}) in it or below it")
    return sorted(found, key=lambda path: natural_key(str(path)))
