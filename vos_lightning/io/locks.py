"""Folders that one process at a time writes to."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vos_lightning.errors import VOSError
from vos_lightning.io.files import temporary_sibling, unwritable

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: what the file says is all there is
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".vos_lightning.lock"
HEARTBEAT = 10.0
"""Seconds from one sign of life to the next."""

_held: set[Path] = set()
_held_guard = threading.Lock()


class FolderInUseError(VOSError):
    """Another process writes to a folder."""


class FolderLock:
    """Holds a folder for this process until it is released or the process ends, however it ends.

    The system's lock on a file tells the processes of one machine apart, and those of several where their file system
    passes it on; the file's content (process, machine) and its time of change (a heartbeat) do where it doesn't.

    Args:
        folder: to hold; created if missing.

    Raises:
        FolderInUseError: another process holds it, or another part of this one; says which.
        UnwritableError: the folder can't be written to.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(os.path.realpath(folder))
        self.path = self.folder / LOCK_NAME
        with _held_guard:
            if self.folder in _held:
                raise FolderInUseError(_busy(self.folder, "this process"))
            _held.add(self.folder)
        try:
            self._file = self._acquire()
        except OSError as error:
            _held.discard(self.folder)
            raise unwritable(Path(folder), error) from error
        except BaseException:
            _held.discard(self.folder)
            raise
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="FolderLock", daemon=True).start()

    def release(self) -> None:
        """Let others have the folder."""
        if self._ended.is_set():
            return
        self._ended.set()
        with suppress(OSError):  # the folder may be gone, which is no reason to fail at the end of the work
            self.path.unlink(missing_ok=True)
        os.close(self._file)
        _held.discard(self.folder)

    def __enter__(self) -> Self:
        """Give the lock."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.release()

    def _acquire(self) -> int:
        """An open file that this process has locked, and that bears the lock's name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o664)
            try:
                self._take(file)
                if self._is_current(file):
                    content = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
                    os.truncate(file, 0)
                    os.write(file, json.dumps(content).encode())
                    return file
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # its holder has removed it since it was opened

    def _take(self, file: int) -> None:
        """Lock an open file.

        Raises:
            FolderInUseError: somebody else has.
        """
        holder, locked = _read(file), _lock(file)
        # processes of other machines, and all where there are no locks, are known by their heartbeat
        unsure = bool(holder) and (locked is None or holder.get("host") != socket.gethostname())
        if locked is False or (unsure and self._beats(file)):
            raise FolderInUseError(_busy(self.folder, _name_of(holder)))

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self.path.stat())
        except FileNotFoundError:
            return False

    def _beats(self, file: int) -> bool:
        """Whether a holder is alive: watched for a few heartbeats, unless it has been silent for long."""
        last, now = os.fstat(file).st_mtime_ns, temporary_sibling(self.path)
        now.touch()
        age = (now.stat().st_mtime_ns - last) / 1e9  # by the clock of the file system
        now.unlink()
        if age > 6 * HEARTBEAT:
            return False
        time.sleep(2.5 * HEARTBEAT)
        try:
            return self.path.stat().st_mtime_ns != last
        except FileNotFoundError:  # released meanwhile
            return False

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with suppress(OSError):
                os.utime(self.path)


def _lock(file: int) -> bool | None:
    """Take the system's lock; None where there is none.

    Processes forked from this one don't inherit it, and it ends with this one.
    """
    if fcntl is None:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return None
    return True


def _read(file: int) -> dict[str, Any]:
    """What a holder has written; nothing where it is just being written, or damaged."""
    try:
        content = json.loads(os.read(file, 4096))
    except (ValueError, RecursionError):
        return {}
    finally:
        os.lseek(file, 0, os.SEEK_SET)
    return content if isinstance(content, dict) else {}


def _name_of(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')}"


def _busy(folder: Path, holder: str) -> str:
    return f"{folder}: is being written to by {holder}; wait until that ends, or choose another folder"
