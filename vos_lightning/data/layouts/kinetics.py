"""The Kinetics layouts: class folders or flat folders, with or without the official lists."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError

_COLUMNS = ("youtube_id", "time_start", "time_end")


class KineticsFiles(NamedTuple):
    """Files to train on, and the clips of the list that have none."""

    found: list[Path]
    missing: list[str]


def clip_name(youtube_id: str, start: float, end: float) -> str:
    """File name of a clip without suffix, the same in Kinetics 400, 600 and 700.

    >>> clip_name("-3B32lodo2M", 59, 69)
    '-3B32lodo2M_000059_000069'
    """
    return f"{youtube_id}_{int(start):06d}_{int(end):06d}"


def read_list(path: str | Path, split: str | None = None) -> list[str]:
    """Names of the clips of an official CSV, in its order and without repetition.

    Args:
        path: a CSV with the columns youtube_id, time_start and time_end, among others.
        split: only the rows of this split, where the file has that column.

    Raises:
        DatasetNotFoundError: no such file.
        CorruptFileError: a column is missing, or a time isn't a number.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                raise CorruptFileError(f"{path}: no Kinetics list; its first line must name {', '.join(_COLUMNS)}")
            names = [
                clip_name(row["youtube_id"], float(row["time_start"]), float(row["time_end"]))
                for row in rows
                if split is None or row.get("split") in (None, "", split)
            ]
    except OSError as error:
        raise DatasetNotFoundError(f"{path}: can't read this list ({error.strerror}); check annotations") from error
    except (UnicodeDecodeError, TypeError, ValueError, OverflowError, csv.Error) as error:
        if isinstance(error, CorruptFileError):
            raise
        raise CorruptFileError(f"{path}: no Kinetics list ({error}); download it again") from error
    return list(dict.fromkeys(names))


def kinetics_files(root: str | Path, split: str = "train", annotations: str | Path | None = None) -> KineticsFiles:
    """The clips of a split on disk, whatever folders they are in.

    Args:
        root: the folder that holds the split's folder, or the split's folder itself; below it, files lie flat or in
            one folder per class.
        split: "train", "val", "test", or another folder's name.
        annotations: an official CSV; without it every video file counts.

    Raises:
        DatasetNotFoundError: no video, or none of the list.
    """
    root = Path(root)
    files = find_videos(root / split if (root / split).is_dir() else root, frames=False)
    if annotations is None:
        return KineticsFiles(files, [])
    by_name = {path.stem: path for path in files}
    names = read_list(annotations, split)
    matched = KineticsFiles(
        [by_name[name] for name in names if name in by_name], [name for name in names if name not in by_name]
    )
    if not matched.found:
        raise DatasetNotFoundError(
            f"{root}: none of the {len(names)} clips of {annotations} is there; files are called like {_example(names)}"
        )
    return matched


def _example(names: Sequence[str]) -> str:
    return f"{names[0] if names else clip_name('-3B32lodo2M', 59, 69)}.mp4"
