"""How long videos are and which can't be used, kept between runs for as long as the files don't change."""

import hashlib
import json
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from vos_lightning.data.layouts.names import video_names
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io.files import atomic_path
from vos_lightning.io.frame_folder import FrameFolder
from vos_lightning.io.frames import open_frames
from vos_lightning.io.limits import opened_image
from vos_lightning.io.progress import map_files

# of the cache's format; a file with another number is ignored
_VERSION = 3

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


class Facts(NamedTuple):
    """Length and rate of a readable video, and whether its frames are masks."""

    num_frames: int
    fps: float
    masks: bool


def _entry(row: list[Any]) -> tuple[tuple[int, int], Facts]:
    """A row of the cache's file: size and time of change of a video, and its facts."""
    size, changed, frames, fps, masks = row
    if not isinstance(frames, int) or frames < 1 or not 0 < fps < math.inf:
        raise ValueError(f"{row} can't be the length and rate of a video")
    return (size, changed), Facts(frames, fps, bool(masks))


class IndexCache:
    """Facts by path, valid while the file's size and time of change stay. Videos that can't be read are never kept.

    Args:
        file: where entries are kept; None keeps them in memory.
    """

    def __init__(self, file: str | Path | None) -> None:
        """Read what there is; an unreadable or outdated cache is an empty one."""
        self.file = None if file is None else Path(file)
        self._entries: dict[str, tuple[tuple[int, int], Facts]] = {}
        self._stamps: dict[str, tuple[int, int] | None] = {}
        if self.file is not None and self.file.is_file():
            try:
                stored = json.loads(self.file.read_bytes())
                if stored["version"] == _VERSION:
                    self._entries = {path: _entry(row) for path, row in stored["videos"].items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                _log.info("%s: ignoring this index (%s)", self.file, error)

    @classmethod
    def of(cls, root: str | Path) -> "IndexCache":
        """The user's cache for a dataset folder, below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
        try:
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        except RuntimeError:  # the system knows no home of this user
            return cls(None)
        key = hashlib.sha1(os.fsencode(Path(root).resolve()), usedforsecurity=False).hexdigest()[:16]
        return cls(home / "vos_lightning" / f"index-{key}.json")

    def get(self, path: str) -> Facts | None:
        """What is known of a file as it is now."""
        entry = self._entries.get(path)
        if entry is None or entry[0] != self._stamp(path):
            return None
        return entry[1]

    def put(self, path: str, facts: Facts) -> None:
        """Remember what was found."""
        stamp = self._stamp(path)
        if stamp is not None:
            self._entries[path] = (stamp, facts)

    def save(self) -> None:
        """Write all entries, whole or not at all; a place that can't be written to costs only the next run's time."""
        if self.file is None:
            return
        rows = {path: (*stamp, *facts) for path, (stamp, facts) in self._entries.items()}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.file) as temporary:
                temporary.write_text(json.dumps({"version": _VERSION, "videos": rows}), encoding="utf-8")
        except (OSError, VOSError) as error:
            _log.info("%s: the index can't be kept (%s)", self.file, error)

    def _stamp(self, path: str) -> tuple[int, int] | None:
        """Size and time of change, looked up once; of a folder, the change of its list of files."""
        if path not in self._stamps:
            try:
                status = os.stat(path)  # noqa: PTH116
                self._stamps[path] = (status.st_size, status.st_mtime_ns)
            except OSError:
                self._stamps[path] = None
        return self._stamps[path]


def index_videos(
    paths: Sequence[str | Path], root: str | Path, min_frames: int = 1, cache: IndexCache | None = None
) -> VideoIndex:
    """Find out of every video whether it can be read and how long it is, opening those the cache doesn't know.

    Args:
        paths: video files and folders of frames.
        root: names are paths relative to this, see `video_names`.
        min_frames: a video with fewer frames is a fault.
        cache: what is known already; it is completed and saved.
    """
    cache = cache or IndexCache(None)
    found: dict[str, Facts | VOSError | None] = {path: cache.get(path) for path in map(str, paths)}
    unknown = [path for path, facts in found.items() if facts is None]
    if unknown:
        _log.info("reading %d videos for the index", len(unknown))
        found |= zip(unknown, map_files(_try_probe, unknown, f"indexing {len(unknown)} videos"), strict=True)
        for path in unknown:
            if isinstance(facts := found[path], Facts):
                cache.put(path, facts)
        cache.save()
    index = VideoIndex([], [], [])
    for path, name in zip(map(str, paths), video_names(paths, root), strict=True):
        facts = found[path]
        if not isinstance(facts, Facts):
            index.faults.append((path, str(facts)))
        elif facts.masks:
            index.masks.append(path)
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
        lines = Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise VOSError(f"{path}: can't read this skip-list ({error.strerror}); check skip_list") from error
    return {name for line in lines if (name := line.split("#")[0].strip())}


def probe(path: str) -> Facts:
    """Open one video and count its frames; nothing is decoded.

    Raises:
        VOSError: it can't be read.
    """
    source = open_frames(path)
    masks = isinstance(source, FrameFolder) and _is_mask(source.path / f"{source.names[0]}.png")
    return Facts(len(source), float(source.fps), masks)


def _try_probe(path: str) -> Facts | VOSError:
    try:
        return probe(path)
    except ExhaustedError:
        raise
    except VOSError as error:
        return error


def holds_masks(path: Path) -> bool:
    """Whether this is a folder of masks, as beside the videos of DAVIS or YouTube-VOS; one image of it is looked at."""
    facts = _try_probe(str(path)) if path.is_dir() else None
    return isinstance(facts, Facts) and facts.masks


def _is_mask(path: Path) -> bool:
    """Whether this is a PNG with a palette, as masks are and frames aren't."""
    if not path.is_file():
        return False
    with opened_image(path) as image:
        return image.mode in ("P", "1")
