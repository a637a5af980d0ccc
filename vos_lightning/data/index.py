"""What videos a folder holds, how long they are, and which can't be used."""

import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from vos_lightning.data.index_cache import Facts, IndexCache
from vos_lightning.data.names import VIDEO_SUFFIXES, video_names
from vos_lightning.data.progress import map_files
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.io.files import natural_key
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES, FrameFolder
from vos_lightning.io.frames import open_frames
from vos_lightning.io.limits import opened_image

_log = logging.getLogger(__name__)

T = TypeVar("T")


class VideoRecord(NamedTuple):
    """A readable video: a file, or a folder of frames."""

    path: str
    name: str
    num_frames: int
    fps: float


class VideoIndex(NamedTuple):
    """The usable videos of a dataset, why others are not, (path, reason), and the folders that hold masks."""

    videos: list[VideoRecord]
    faults: list[tuple[str, str]]
    masks: list[str]

    def limited(self, count: int | None, seed: int) -> "VideoIndex":
        """A random subset of the usable videos; see `draw_subset`."""
        return self._replace(videos=draw_subset(self.videos, count, seed))


def draw_subset(items: Sequence[T], count: int | None, seed: int) -> list[T]:
    """Draw `count` items, the same for equal seeds, in their old order; None keeps all."""
    if count is None or count >= len(items):
        return list(items)
    chosen = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))[:count]
    return [items[place] for place in chosen.sort().values.tolist()]


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


def index_videos(
    paths: Sequence[str | Path], root: str | Path, min_frames: int = 1, cache: IndexCache | None = None
) -> VideoIndex:
    """Learn of every video whether it can be read and how long it is, opening those the cache doesn't know.

    Args:
        paths: video files and folders of frames.
        root: names are paths relative to this, see `video_names`.
        min_frames: a video with fewer frames is a fault.
        cache: what is known already; it is completed and saved.
    """
    cache = cache or IndexCache(None)
    unknown = [path for path in map(str, paths) if cache.get(path) is None]
    if unknown:
        _log.info("reading %d videos for the index", len(unknown))
        facts_found = map_files(probe, unknown, f"indexing {len(unknown)} videos")
        for path, found in zip(unknown, facts_found, strict=True):
            cache.put(path, found)
        cache.save()
    index = VideoIndex([], [], [])
    for path, name in zip(map(str, paths), video_names(paths, root), strict=True):
        facts = cache.get(path)
        if facts is None:
            index.faults.append((path, f"{path}: vanished while the folder was read"))
        elif facts.masks:
            index.masks.append(path)
        elif facts.fault:
            index.faults.append((path, facts.fault))
        elif facts.num_frames < min_frames:
            index.faults.append((path, f"{path}: {facts.num_frames} frames, a clip needs {min_frames}"))
        else:
            index.videos.append(VideoRecord(path, name, facts.num_frames, facts.fps))
    return index


def read_skip_list(path: str | Path) -> set[str]:
    """Names of videos to leave out: one per line, ``#`` starts a comment.

    Raises:
        VOSError: no such file.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise VOSError(f"{path}: can't read this skip-list ({error.strerror}); check skip_list") from error
    return {name for line in lines if (name := line.split("#")[0].strip())}


def probe(path: str) -> Facts:
    """Open one video and count its frames; nothing is decoded."""
    try:
        source = open_frames(path)
        masks = isinstance(source, FrameFolder) and _is_mask(source.path / f"{source.names[0]}.png")
        return Facts(len(source), float(source.fps), "", masks)
    except VOSError as error:
        return Facts(0, 0.0, str(error), False)


def holds_masks(path: Path) -> bool:
    """Whether this is a folder of masks, as beside the videos of DAVIS or YouTube-VOS; one image of it is looked at."""
    return path.is_dir() and probe(str(path)).masks


def _is_mask(path: Path) -> bool:
    """Whether this is a PNG with a palette, as masks are and frames aren't."""
    try:
        with opened_image(path) as image:
            return image.mode in ("P", "1")
    except VOSError:
        return False
