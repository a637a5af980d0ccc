"""Folders in the order people expect, files that are either whole or absent."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from vos_lightning.errors import VOSError

_serial = itertools.count()


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
        raise VOSError(f"{folder}: cannot list this folder ({error.strerror}); check the path") from error
    return sorted((path for path in found if path.is_file()), key=lambda path: (natural_key(path.stem), path.suffix))


def temporary_sibling(path: Path) -> Path:
    """A hidden name beside `path`, unlike any other writer's, from which `os.replace` is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_serial)}.tmp")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to and rename it to `path` at the end, or remove it after an error.

    Raises:
        VOSError: The file can't be written (folder missing, disk full, no permission).
    """
    path = Path(path)
    temporary = temporary_sibling(path)
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: Exception) -> VOSError:
    """Say which file can't be written, why, and what to do."""
    return VOSError(
        f"{path}: cannot be written ({getattr(error, 'strerror', None) or error}); free space or choose another place"
    )
