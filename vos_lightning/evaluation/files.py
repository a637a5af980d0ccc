"""Reports as JSON and CSV files, there whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vos_lightning.errors import VOSError
from vos_lightning.evaluation.report import Report
from vos_lightning.io.files import atomic_path, check_writable
from vos_lightning.io.terminal import plain_cell

_ERRORS = "backslashreplace"
"""Names of files that are no text are escaped."""


def check_outputs(*paths: str | Path | None) -> None:
    """Finds out before the work, not after it, that files can't be written.

    Raises:
        VOSError: One can't be written, or two are the same.
    """
    taken = set[Path]()
    for path in paths:
        if path is None:
            continue
        check_writable(path)
        if Path(path).is_file() or not Path(path).exists():  # several may go into one pipe
            if Path(path).resolve() in taken:
                raise VOSError(f"{path}: is to hold two of --json, --csv and --html; give each a file of its own")
            taken.add(Path(path).resolve())


def write_json(path: str | Path, content: Mapping[str, object]) -> None:
    """Writes numbers unrounded.

    Raises:
        VOSError: The file can't be written.
    """
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: str | Path, reports: Sequence[Report]) -> None:
    """Writes one line per object, numbers unrounded; with several reports, the folder of each in the first column.

    Raises:
        VOSError: The file can't be written.
    """
    rows = [one.row() for report in reports for one in report.objects]
    if len(reports) > 1:
        folders = [report.predictions for report in reports for _ in report.objects]
        rows = [{"result": str(folder), **row} for folder, row in zip(folders, rows, strict=True)]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=_ERRORS) as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file.

    Raises:
        VOSError: The file can't be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors=_ERRORS)
