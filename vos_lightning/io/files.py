"""Folders in the order people expect, files that are either whole or absent."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from vos_lightning.errors import VOSError, read_error

_serial = itertools.count()


class UnwritableError(VOSError):
    """A result can't be written: no input is to blame, so there's no point in going on with the next one."""


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorting key that reads digits as numbers: 2 before 10.

    >>> sorted(["10-19", "2", "10-2", "1"], key=natural_key)
    ['1', '2', '10-2', '10-19']
    """
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], name


def list_files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Visible files of a folder with one of these lower-case suffixes (".png"), naturally sorted by stem.

    Raises:
        VOSError: The folder is missing, isn't one or can't be read.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    except OSError as error:
        fault = VOSError(f"{folder}: cannot list this folder ({error.strerror}); check the path")
        raise read_error(folder, error, fault) from error
    return sorted((path for path in found if path.is_file()), key=lambda path: (natural_key(path.stem), path.suffix))


def temporary_sibling(path: Path) -> Path:
    """A hidden name beside `path`, unlike any other writer's, from which `os.replace` is atomic."""
    # cut, as a name has at most 255 bytes
    kept = os.fsencode(path.name)[:200].decode(errors="ignore")
    return path.with_name(f".{kept}.{os.getpid()}-{next(_serial)}.tmp")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to and rename it to `path` at the end, or remove it after an error.

    A link stays one: what it points to is replaced. What is neither file nor folder, such as a pipe, is written to
    directly.

    Raises:
        UnwritableError: The file can't be written (folder missing, disk full, no permission).
    """
    path = Path(path)
    try:
        if is_special(path):
            yield path
            return
        target = Path(os.path.realpath(path))
        temporary = temporary_sibling(target)
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def check_writable(path: str | Path) -> None:
    """Find out before the work, not after it, that a file can't be written.

    Raises:
        VOSError: Its folder is missing or may not be written to, or `path` is a folder itself.
    """
    path = Path(path)
    if path.is_dir():
        raise VOSError(f"{path}: cannot be written, for it is a folder; give the name of a file")
    target = path if is_special(path) else Path(os.path.realpath(path)).parent
    if not target.exists():
        raise VOSError(f"{path}: cannot be written, for there is no folder {target}; create it")
    if not os.access(target, os.W_OK) or not (target == path or target.is_dir()):
        raise VOSError(f"{path}: cannot be written, for {target} is write-protected or no folder; choose another place")


def unwritable(path: Path, error: Exception) -> UnwritableError:
    """Say which file can't be written, why, and what to do."""
    return UnwritableError(
        f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); free space or choose another place"
    )


def is_special(path: Path) -> bool:
    """Whether a path is a pipe or a device, which can't be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()
