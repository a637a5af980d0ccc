"""What lies in tar shards: the list of them, and the videos in each.

Limits hold before anything is read, and shards are taken as they are, neither compressed nor sparse: so a small file
can't become a large one.
"""

import json
import math
import re
import tarfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from vos_lightning.data.layouts.names import plain_name
from vos_lightning.data.shards.writing import SHARD_LIST
from vos_lightning.errors import DatasetNotFoundError, VOSError, read_error
from vos_lightning.io.limits import check_regular

MOST_BYTES = 2 * 2**30
"""Of a video in a shard."""

_MOST_LIST_BYTES = 64 * 2**20
_MOST_FACTS_BYTES = 2**16
_MOST = 10**9  # videos of a shard, and frames of a video
_DAMAGE = (tarfile.TarError, OSError, ValueError, EOFError, OverflowError, RecursionError)


def webdataset() -> Any:  # noqa: ANN401
    """The engine, an optional extra.

    Raises:
        VOSError: it isn't installed.
    """
    try:
        return import_module("webdataset")
    except ImportError as error:
        raise VOSError("shards are read by webdataset: pip install 'vos_lightning[shards]'") from error


def read_shard_list(location: str) -> dict[str, int]:
    """URLs of the shards of a folder, and how many videos each holds.

    Args:
        location: a local folder, or any prefix that WebDataset opens (``https://…``, ``pipe:…``).

    Raises:
        DatasetNotFoundError: there is no list of shards.
        VOSError: a name in it that can't be one.
    """
    path = f"{location.rstrip('/')}/{SHARD_LIST}"
    try:
        with _opened(path) as file:
            listed = json.loads(file.read(_MOST_LIST_BYTES))["shards"].items()
            counts = {plain_name(name, Path(path)): _number(count) for name, count in listed}
    except VOSError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        missing = DatasetNotFoundError(f"{path}: no list of shards ({error}); write it with prepare --shards")
        raise read_error(path, error, missing) from error
    return {f"{location.rstrip('/')}/{name}": count for name, count in counts.items()}


class ShardVideo(NamedTuple):
    """One video of a shard: its number, its facts, and the file."""

    number: int
    name: str
    num_frames: int
    fps: float
    content: bytes

    @classmethod
    def of(cls, shard: str, key: str, parts: dict[str, bytes]) -> "ShardVideo":
        """Check and unpack what lies under one key.

        Args:
            shard: its URL.
            key: digits.
            parts: contents of the files by suffix.

        Raises:
            VOSError: a part is missing or damaged.
        """
        where = f"{shard}, {key}"
        try:
            if not re.fullmatch("[0-9]{1,12}", key):
                raise ValueError(key)
            facts = json.loads(parts["json"])
            name, fps = facts["name"], float(facts["fps"])
            if not isinstance(name, str) or not 0 < fps < math.inf:
                raise ValueError(facts)
            return cls(int(key), name, _number(facts["num_frames"]), fps, parts["mp4"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise VOSError(f"{where}: no prepared video ({error!r}); write this shard again") from error


def read_shard(shard: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The files of a shard: for each key in turn, contents by suffix.

    Args:
        shard: its URL.

    Raises:
        VOSError: it can't be read, or a file in it is too large or sparse.
    """
    parts: dict[str, bytes] = {}
    current = ""
    try:
        with _opened(shard) as file, tarfile.open(fileobj=file, mode="r|", tarinfo=_Entry) as tar:
            for entry in tar:
                name = Path(entry.name)
                if not entry.isreg() or name.suffix not in (".json", ".mp4"):
                    continue
                if name.stem != current and parts:
                    yield current, parts
                    parts = {}
                current = name.stem
                _check(entry, MOST_BYTES if name.suffix == ".mp4" else _MOST_FACTS_BYTES)
                content = tar.extractfile(entry)
                assert content is not None
                parts[name.suffix[1:]] = content.read()
        if parts:
            yield current, parts
    except VOSError:
        raise
    except _DAMAGE as error:
        damaged = VOSError(f"{shard}: this shard can't be read ({' '.join(str(error).split())}); write it again")
        raise read_error(shard, error, damaged) from error


class _Entry(tarfile.TarInfo):
    """An entry of a tar file; lists of attributes, which the library reads by itself, are checked before it does."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Entry":
        """Read a header."""
        entry = super().frombuf(buf, encoding, errors)
        _check(entry, MOST_BYTES if entry.isreg() else _MOST_FACTS_BYTES)
        return entry


def _check(entry: tarfile.TarInfo, most: int) -> None:
    """Raise if reading an entry would take too much memory."""
    if entry.issparse() or entry.type == tarfile.GNUTYPE_SPARSE or not 0 <= entry.size <= most:
        raise tarfile.ReadError(f"{entry.name!r} is sparse, or of {entry.size} bytes, more than the limit of {most}")


def _opened(url: str) -> Any:  # noqa: ANN401
    """A file, local or not, to be read in order.

    Raises:
        VOSError: it is a pipe or a device.
    """
    if "://" not in url and not url.startswith("pipe:"):
        check_regular(url)
    return webdataset().gopen(url)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
        raise ValueError(f"{value!r} is no number from 0 to {_MOST}")
    return value
