"""Reports as JSON, CSV and HTML files, there whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from vos_lightning.errors import VOSError
from vos_lightning.evaluation.comparison import compare
from vos_lightning.evaluation.report import MEASURES, Report
from vos_lightning.io.earlier import check_replaceable, is_table_of
from vos_lightning.io.files import atomic_path, is_special
from vos_lightning.io.terminal import plain_cell

TITLE = "J&amp;F of "
"""What the title of a report for the browser begins with."""

_ERRORS = "backslashreplace"
"""Names of files that are no text are escaped."""


def check_outputs(
    json: str | Path | None = None, csv: str | Path | None = None, html: str | Path | None = None
) -> None:
    """Finds out before the work, not after it, that files can't be written, or hold something else.

    Raises:
        VOSError: One can't be written, is there and is no earlier report, or two are the same.
    """
    taken = set[Path]()
    for path, is_earlier in ((json, _is_json), (csv, _is_csv), (html, _is_html)):
        if path is None:
            continue
        check_replaceable(path, is_earlier)
        place = Path(path).resolve()
        if place in taken and not is_special(Path(path)):  # several may go into one pipe
            raise VOSError(f"{path}: is to hold two of --json, --csv and --html; give each a file of its own")
        taken.add(place)


def _is_json(content: bytes) -> bool:
    return is_table_of(content, {"mean", "per_object"}) or is_table_of(content, {"results", "per_sequence"})


def _is_csv(content: bytes) -> bool:
    names = content.partition(b"\n")[0].decode(errors="replace").strip().split(",")
    return {"sequence", "object", *MEASURES} <= set(names)


def _is_html(content: bytes) -> bool:
    return f"<title>{TITLE}".encode() in content[:1000]


def write_json(path: str | Path, reports: Sequence[Report]) -> None:
    """Writes a report, or several side by side, numbers unrounded.

    Raises:
        VOSError: The file can't be written.
    """
    content = reports[0].to_dict() if len(reports) == 1 else compare(reports).to_dict()
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
