"""Folders that prepared videos are written to: marked, used by one at a time, and never the dataset's own."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from vos_lightning.data.tools.encoding import Encoding
from vos_lightning.errors import VOSError
from vos_lightning.io.files import atomic_path, unwritable
from vos_lightning.io.locks import LOCK_NAME, FolderLock

# the mark of a folder of prepared videos, with their encoding
_MANIFEST = "prepared.json"

# what a killed run leaves behind: temporary files, and folders of shards in the making
_LEFTOVERS = re.compile(r"\..+\.[0-9]+-[0-9]+\.tmp|\.shard-[^.]+|" + re.escape(LOCK_NAME))

# bytes of a file's name, on all usual file systems
_LONGEST_NAME = 255


@contextmanager
def prepared_folder(output: Path, encoding: Encoding, root: Path, videos: Sequence[Path]) -> Iterator[None]:
    """Make a folder for prepared videos, or go on in one, and hold it for the time of the block.

    What a killed run left there is removed.

    Args:
        output: the folder.
        encoding: of the videos in it.
        root: the dataset.
        videos: what is going to be read.

    Raises:
        VOSError: the folder holds anything that wasn't prepared, or with another encoding, or what is to be read;
            it lies in the dataset; or another process writes there.
        UnwritableError: it can't be made or written to.
    """
    _check_apart(output, root, videos)
    _check_mark(output, encoding)
    with FolderLock(output):
        if not _check_mark(output, encoding):
            with atomic_path(output / _MANIFEST) as temporary:
                temporary.write_text(json.dumps(asdict(encoding)), encoding="utf-8")
        for leftover in [path for path in output.rglob(".*") if _LEFTOVERS.fullmatch(path.name)]:
            if leftover.is_dir():
                shutil.rmtree(leftover)
            elif leftover != output / LOCK_NAME:
                leftover.unlink(missing_ok=True)
        yield


def copy_path(output: Path, name: str) -> Path:
    """Where the copy of a video lies; a name that is too long for a file is cut, and stays distinct.

    >>> copy_path(Path("out"), "walks/park").as_posix(), len(copy_path(Path("out"), "a" * 255).name)
    ('out/walks/park.mp4', 255)
    """
    folder, last = os.path.split(name)
    if len(os.fsencode(last)) + len(".mp4") > _LONGEST_NAME:
        digest = hashlib.sha1(os.fsencode(last), usedforsecurity=False).hexdigest()[:8]
        kept = os.fsencode(last)[: _LONGEST_NAME - len(f"-{digest}.mp4")]
        last = f"{kept.decode(errors='ignore')}-{digest}"
    return output / folder / f"{last}.mp4"


def check_prepared(target: Path, known: bool) -> None:
    """Refuse to replace what was not prepared.

    Args:
        target: file to write.
        known: whether it says of itself that it was prepared.

    Raises:
        VOSError: it is there, holds something, and isn't known.
    """
    if os.path.lexists(target) and not known and not (target.is_file() and not target.stat().st_size):
        raise VOSError(f"{target}: would be replaced, but wasn't prepared, or is damaged; move it away, or remove it")


def _check_apart(output: Path, root: Path, videos: Sequence[Path]) -> None:
    """Raise if a folder is where something is read from."""
    place, source = output.resolve(), root.resolve()
    if any(path.exists() and path.samefile(source) for path in (place, *place.parents)):
        raise VOSError(f"{output}: lies in {root}; choose a folder outside of the dataset")
    if not output.exists():
        return
    inside = str(place) + os.sep
    for path in (source, *videos):
        if os.path.realpath(path).startswith(inside):
            raise VOSError(f"{output}: holds {path}, which is to be read; choose a folder outside of the dataset")


def _check_mark(output: Path, encoding: Encoding) -> bool:
    """Whether a folder is marked as of prepared videos of this encoding; one without a mark must be empty.

    Raises:
        VOSError: it can't be used.
    """
    manifest, wanted = output / _MANIFEST, asdict(encoding)
    if manifest.is_file():
        try:
            found = json.loads(manifest.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise VOSError(f"{manifest}: can't be read ({error}); choose another folder") from error
        if found != wanted:
            raise VOSError(f"{manifest}: prepared with {found}, now {wanted} is asked for; choose another folder")
        return True
    try:
        names = [path.name for path in output.iterdir()] if output.exists() else []
    except OSError as error:
        raise unwritable(output, error) from error
    if others := [name for name in names if not _LEFTOVERS.fullmatch(name)]:
        raise VOSError(
            f"{output}: holds files that weren't prepared here, such as {min(others)}; give the dataset first, then a "
            "new or empty folder for the copy"
        )
    return False
