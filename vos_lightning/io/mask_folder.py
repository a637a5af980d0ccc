"""A folder of results that is filled, or filled anew, without losing what lies in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vos_lightning.errors import VOSError
from vos_lightning.io.files import atomic_path, temporary_sibling, unwritable
from vos_lightning.io.locks import FolderLock

MANIFEST_NAME = ".vos_lightning.json"
_SUFFIXES = (".png", ".mp4")

Stamps = dict[str, list[int] | None]
"""Size and time of change of files by name; None where the run that was to write them was cut short."""


class MaskFolder:
    """Masks, and perhaps a video, that one run writes into a folder.

    What an earlier run has written there is replaced as a whole when this run is complete, and its files that this one
    doesn't have are removed; if this run fails, they stay. In a folder without earlier results, files appear as they
    are written, and stay if the run fails. A manifest says which files are results; nothing else is ever replaced or
    removed.

    Args:
        folder: of the results; created if missing.
        names: of all files that may be written: .png or .mp4.
        command: that writes them.
        shared: several processes of one run write the same files; otherwise the folder is locked.

    Raises:
        VOSError: on entering, a file of one of these names is there, and no earlier run has written it; or the folder
            is a file, or in use.
    """

    def __init__(self, folder: str | Path, names: Sequence[str], command: str, shared: bool = False) -> None:
        self.folder, self.names, self.command = Path(folder), list(names), command
        self._shared = shared
        self._lock: FolderLock | None = None
        self._earlier: Stamps = {}
        self._staged = False

    @property
    def path(self) -> Path:
        """Where to write: the folder itself, or a hidden one in it."""
        return self._staging if self._staged else self.folder

    def __enter__(self) -> Self:
        """Create the folder, and say in it which files are to come."""
        if self.folder.exists() and not self.folder.is_dir():
            raise VOSError(f"{self.folder}: is a file, and results go into a folder; choose another name")
        self._lock = None if self._shared else FolderLock(self.folder)
        try:
            self._prepare()
        except OSError as error:
            self._unlock()
            raise unwritable(self.folder, error) from error
        except VOSError:
            self._unlock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Replace the earlier results, or leave them as they are."""
        try:
            if kind is None:
                self._complete()
            else:
                written: Stamps = {} if self._staged else {n: _stamp(self.folder / n) for n in self._written()}
                self._write_manifest(self._earlier | written)
        except OSError as reason:
            if kind is None:
                raise unwritable(self.folder, reason) from reason
        finally:
            if self._staged:
                shutil.rmtree(self._staging, ignore_errors=True)
            self._unlock()

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._earlier = read_manifest(self.folder)[1]
        present = [name for name in self.names if (self.folder / name).is_symlink() or (self.folder / name).exists()]
        foreign = [name for name in present if not _is_result(self.folder / name, self._earlier)]
        if foreign:
            more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
            raise VOSError(
                f"{self.folder / foreign[0]}{more}: would be replaced, but no earlier run has written it, or it has "
                "changed since; choose another folder, or move it away"
            )
        if not self._shared:
            for left in self.folder.glob(".results.*.tmp"):  # by runs that were killed
                shutil.rmtree(left, ignore_errors=True)
        self._staged, self._staging = bool(present), temporary_sibling(self.folder / "results")
        self.path.mkdir(exist_ok=True)
        self._write_manifest(dict.fromkeys(self.names) | self._earlier)

    def _complete(self) -> None:
        written = self._written()
        if self._staged:
            self._write_manifest(dict.fromkeys(written) | {n: s for n, s in self._earlier.items() if n not in written})
            for name in written:
                (self.path / name).replace(self.folder / name)
        remove_results(self.folder, self._earlier, except_for=written)
        self._write_manifest({name: _stamp(self.folder / name) for name in written})

    def _written(self) -> list[str]:
        return [name for name in self.names if (self.path / name).is_file()]

    def _write_manifest(self, stamps: Stamps) -> None:
        with atomic_path(self.folder / MANIFEST_NAME) as temporary:
            content = {"command": self.command, "files": stamps}
            temporary.write_text(json.dumps(content, indent=0), encoding="utf-8")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()


def read_manifest(folder: Path) -> tuple[str, Stamps]:
    """The command that has written a folder's results, and the results; an empty one where there is no manifest.

    Names that lead out of the folder, or belong to no result, are left out: others may have written the manifest.
    """
    try:
        content = json.loads((folder / MANIFEST_NAME).read_bytes())
        files = dict[str, Any](content["files"]).items()
        results = {name: stamp for name, stamp in files if Path(name).name == name and name.endswith(_SUFFIXES)}
        return str(content["command"]), results
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "", {}


def is_complete(folder: Path, names: Collection[str]) -> bool:
    """Whether a run has written all of these files, and nobody has changed one since."""
    stamps = read_manifest(folder)[1]
    return all(stamps.get(name) is not None and _is_result(folder / name, stamps) for name in names)


def remove_results(folder: Path, stamps: Stamps, except_for: Collection[str] = ()) -> None:
    """Remove results that nobody has changed since they were written."""
    for name in stamps.keys() - set(except_for):
        if _is_result(folder / name, stamps):
            with suppress(FileNotFoundError):
                (folder / name).unlink()


def _is_result(path: Path, stamps: Stamps) -> bool:
    """Whether a run has written a file, and nobody has changed it since."""
    if path.name not in stamps or path.is_symlink() or not path.is_file():
        return False
    return stamps[path.name] in (None, _stamp(path))


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
