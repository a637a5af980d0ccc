"""What is known about video files, kept between runs for as long as the files don't change."""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import NamedTuple

from vos_lightning.errors import VOSError
from vos_lightning.io.files import atomic_path

# of the format; another number in the file makes it void
_VERSION = 2

_log = logging.getLogger(__name__)


class Facts(NamedTuple):
    """Length and rate of a video, or what is wrong with it; whether its frames are masks."""

    num_frames: int
    fps: float
    fault: str
    masks: bool


class IndexCache:
    """Facts by path; an entry is void once the file's size or time of change differs.

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
                    self._entries = {
                        path: ((size, changed), Facts(frames, fps, fault, masks))
                        for path, (size, changed, frames, fps, fault, masks) in stored["videos"].items()
                    }
            except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
                _log.info("%s: ignoring this index (%s)", self.file, error)

    @classmethod
    def of(cls, root: str | Path) -> "IndexCache":
        """The user's cache for a dataset folder, below ``$XDG_CACHE_HOME`` or ``~/.cache``."""
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
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
