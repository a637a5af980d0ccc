"""What videos a folder holds, how long they are, and which can't be used."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.io.files import natural_key
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES
from vos_lightning.io.frames import open_frames

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})


class VideoRecord(NamedTuple):
    """A readable video: a file, or a folder of frames."""

    path: str
    name: str
    num_frames: int
    fps: float


class VideoIndex(NamedTuple):
    """The usable videos of a dataset, and why the others are not: (name, reason)."""

    videos: list[VideoRecord]
    faults: list[tuple[str, str]]


def find_videos(root: str | Path) -> list[Path]:
    """Video files and folders of frames below `root`, at any depth, in natural order.

    A folder that directly holds images is one video; hidden files and folders are passed over; links are followed.

    Raises:
        DatasetNotFoundError: no such folder, or nothing of the kind in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder; give a folder of video files or of folders of frames")
    found: list[Path] = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        suffixes = [(name, os.path.splitext(name)[1].lower()) for name in files if not name.startswith(".")]  # noqa: PTH122
        found += [Path(folder, name) for name, suffix in suffixes if suffix in VIDEO_SUFFIXES]
        if any(suffix in IMAGE_SUFFIXES for _, suffix in suffixes):
            found.append(Path(folder))
    if not found:
        raise DatasetNotFoundError(f"{root}: no video file and no folder of frames in it or below it")
    return sorted(found, key=lambda path: natural_key(str(path)))


def index_videos(paths: Iterable[Path], root: str | Path, min_frames: int = 1, threads: int = 4) -> VideoIndex:
    """Open every video once: how long is it, can it be read, is it long enough?

    Args:
        paths: video files and folders of frames.
        root: names are paths relative to this, without suffix.
        min_frames: a video with fewer frames is a fault.
        threads: videos probed at a time.
    """
    root = Path(root)

    def probe(path: Path) -> VideoRecord | tuple[str, str]:
        name = path.relative_to(root).with_suffix("").as_posix() if path != root else path.name
        try:
            source = open_frames(path)
            count = len(source)
            if count < min_frames:
                return str(path), f"{count} frames, a clip needs {min_frames}"
            return VideoRecord(str(path), name, count, float(source.fps))
        except VOSError as error:
            return str(path), str(error)

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(probe, paths))
    return VideoIndex(
        [result for result in results if isinstance(result, VideoRecord)],
        [result for result in results if not isinstance(result, VideoRecord)],
    )
