"""Videos and pictures below a folder, at any depth."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from vos_lightning.data.layouts.names import VIDEO_SUFFIXES
from vos_lightning.errors import DatasetNotFoundError, ExhaustedError, read_error
from vos_lightning.io.files import natural_key
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES


def find_videos(root: str | Path, frames: bool = True) -> list[Path]:
    """Video files and folders of frames below `root`, in natural order.

    A folder that directly holds images is one video. A folder that can't be listed counts as a video too, so that it is
    named where videos are opened. Hidden files and folders are ignored; links are followed, except to where they lie
    themselves.

    Args:
        root: folder to search.
        frames: folders of frames count.

    Raises:
        DatasetNotFoundError: no such folder, or nothing of the kind in it.
    """
    found: list[str] = []
    for folder, names in _walk(_checked(root)):
        found += [os.path.join(folder, name) for name in names or () if _suffix(name) in VIDEO_SUFFIXES]  # noqa: PTH118
        if names is None or (frames and any(_suffix(name) in IMAGE_SUFFIXES for name in names)):
            found.append(folder)
    if not found:
        raise DatasetNotFoundError(f"{root}: no video file and no folder of frames in it or below it")
    return [Path(path) for path in sorted(found, key=natural_key)]


def find_images(root: str | Path) -> tuple[list[Path], list[Path]]:
    """Pictures below `root`, in natural order, and the folders that can't be listed.

    Raises:
        DatasetNotFoundError: no such folder, or no picture in it.
    """
    found: list[str] = []
    closed: list[Path] = []
    for folder, names in _walk(_checked(root)):
        found += [os.path.join(folder, name) for name in names or () if _suffix(name) in IMAGE_SUFFIXES]  # noqa: PTH118
        closed += [Path(folder)] if names is None else []
    if not found:
        raise DatasetNotFoundError(f"{root}: no picture ({', '.join(sorted(IMAGE_SUFFIXES))}) in it or below it")
    return [Path(path) for path in sorted(found, key=natural_key)], closed


def first_file_size(path: str) -> int:
    """Bytes of a video file, or of the first image of a folder; 0 if there is none."""
    try:
        if Path(path).is_dir():
            names = [name for name in os.listdir(path) if _suffix(name) in IMAGE_SUFFIXES and name[0] != "."]  # noqa: PTH208
            path = os.path.join(path, min(names))  # noqa: PTH118
        return os.stat(path).st_size  # noqa: PTH116
    except (OSError, ValueError):
        return 0


def _checked(root: str | Path) -> str:
    if not Path(root).is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder; check the path")
    return str(root)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def _walk(root: str) -> Iterator[tuple[str, list[str] | None]]:
    """Folders and the names of their visible files; None for one that can't be listed.

    Raises:
        DatasetNotFoundError: the root itself can't be listed.
    """
    pending, seen = deque([root]), set()
    while pending:
        folder = pending.pop()
        names = []
        try:
            status = os.stat(folder)  # noqa: PTH116
            # links can lead to one place twice, or in a ring
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                visible = sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
        except OSError as error:
            missing = DatasetNotFoundError(f"{folder}: cannot list this folder ({error.strerror}); check the path")
            fault = read_error(folder, error, missing)
            if folder == root or isinstance(fault, ExhaustedError):
                raise fault from error
            yield folder, None
            continue
        for entry in visible:
            if not _is_folder(entry):
                names.append(entry.name)
            elif entry.is_symlink():
                # last, for a place is named after its folder rather than after a link to it
                pending.appendleft(entry.path)
            else:
                pending.append(entry.path)
        yield folder, names


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
