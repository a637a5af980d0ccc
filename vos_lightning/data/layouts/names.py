"""Names of videos, frames and objects: safe as parts of a path, and distinct."""

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from vos_lightning.errors import VOSError
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"})

# separators of any system, and a drive's colon
_SEPARATORS = frozenset("/\\:")
_LAST_ID = 254


def plain_name(name: object, source: Path) -> str:
    """A name that a list gives, if it can only mean something inside the dataset's folders.

    Args:
        name: of a video or a frame; it becomes one part of a path.
        source: the list.

    Raises:
        VOSError: it is empty, hidden, or holds a separator or something unprintable.
    """
    if not isinstance(name, str) or not name or name[0] == "." or not name.isprintable() or _SEPARATORS & set(name):
        raise VOSError(f"{source}: {name!r} can't be the name of a video or a frame; correct this file")
    return name


def object_id(text: object, source: Path) -> int:
    """An object's id as meta.json has it.

    Args:
        text: a whole number in decimal digits.
        source: the meta.json.

    Raises:
        VOSError: not a number from 1 to 254; 0 is background, 255 void.
    """
    if not isinstance(text, str) or not re.fullmatch("[1-9][0-9]{0,2}", text) or int(text) > _LAST_ID:
        raise VOSError(f"{source}: {text!r} can't be the id of an object, from 1 to {_LAST_ID}; correct this file")
    return int(text)


def video_names(
    paths: Sequence[str | Path], root: str | Path, suffixes: Collection[str] = VIDEO_SUFFIXES | IMAGE_SUFFIXES
) -> list[str]:
    """Names of files in batches, reports and copies: the paths relative to `root`, without suffix.

    Names that would be equal (``a.mp4`` and ``a.avi``) keep their suffixes, so that all are distinct.

    Args:
        paths: different files and folders.
        root: of the dataset.
        suffixes: what is left out of a name, in lower case; other dots belong to it.
    """
    whole = [_relative(os.fspath(path), os.fspath(root)) for path in paths]
    short = [
        stem if suffix.lower() in suffixes else name
        for name, (stem, suffix) in zip(whole, map(os.path.splitext, whole), strict=True)
    ]
    claims = Counter(name for pair in zip(whole, short, strict=True) for name in set(pair))
    return [brief if claims[brief] == 1 else name for name, brief in zip(whole, short, strict=True)]


def other_root(root: Path, *parts: str) -> str:
    """A hint at the folder above or below `root` that has the parts of the dataset; empty if none has."""
    if all((root / part).is_dir() for part in parts):
        return ""
    below = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    found = next((place for place in (root.parent, *below) if all((place / part).is_dir() for part in parts)), None)
    return "" if found is None else f"did you mean root={found}? "


def _relative(path: str, root: str) -> str:
    # tens of thousands of paths, almost all of this kind
    inside = path.startswith(root + os.sep) and os.pardir not in path
    relative = path[len(root) + 1 :] if inside else os.path.relpath(path, root)
    return Path(path).resolve().name if relative == os.curdir else relative.replace(os.sep, "/")
