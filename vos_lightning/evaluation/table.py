"""Tables for people: drawn in a terminal, plain lines when piped: no borders there, no name cut off."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from vos_lightning.evaluation.report import MEASURES, Report
from vos_lightning.io.terminal import encoding_of, printable


@dataclass(frozen=True)
class Table:
    """Text cells; the first columns are names, aligned left."""

    title: str  # one line
    header: tuple[str, ...]  # names of the columns
    rows: tuple[tuple[str, ...], ...]  # like `header`
    summary: tuple[tuple[str, ...], ...]  # rows set apart at the end
    names: int  # number of columns that are aligned left


def score_table(report: Report) -> Table:
    """One line per object and one for the mean; for youtube-vos also seen and unseen categories, and G."""
    names = ["sequence", "object"] + ["category"] * (report.protocol == "youtube-vos")
    mean = report.mean()
    summary = [("mean", mean)]
    if report.protocol == "youtube-vos":
        for kind in ("Seen", "Unseen"):
            J, F = mean[f"J-{kind}"], mean[f"F-{kind}"]
            summary.append((kind.lower(), {"J&F-Mean": (J + F) / 2, "J-Mean": J, "F-Mean": F}))
        summary.append(("G", {"J&F-Mean": mean["G"]}))
    rows = [one.row() for one in report.objects]
    counts = f"{counted(report.frames, 'frame')}, {counted(len(rows), 'object')}"
    return Table(
        f"{report.predictions} ({report.protocol}, {counts})",
        (*names, *(measure.removesuffix("-Mean") for measure in MEASURES)),
        tuple((*(str(row[name]) for name in names), *_numbers(row)) for row in rows),
        tuple((name, *[""] * (len(names) - 1), *_numbers(scores)) for name, scores in summary),
        len(names),
    )


def _numbers(scores: Mapping[str, str | int | float]) -> list[str]:
    return [number(scores.get(measure, "")) for measure in MEASURES]


def counted(count: int, thing: str) -> str:
    """A number with what it counts."""
    return f"{count} {thing}{'s' * (count != 1)}"


def print_table(table: Table) -> None:
    """Prints to the standard output: with lines and colours if that is a terminal."""
    table = _printable(table, encoding_of(sys.stdout))
    if sys.stdout.isatty():
        _print_drawn(table)
    else:
        print("\n".join(plain_lines(table)))


def plain_lines(table: Table) -> list[str]:
    """The table as aligned text, however wide that gets."""
    rows = [table.header, *table.rows, *table.summary]
    widths = [max(len(row[column]) for row in rows) for column in range(len(table.header))]
    lines = [table.title]
    for row in rows:
        cells = [
            cell.ljust(width) if column < table.names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def number(value: float | str, signed: bool = False) -> str:
    """Three decimals, as the official tables have."""
    if not isinstance(value, (int, float)):
        return value
    return "-" if math.isnan(value) else f"{value:{'+' if signed else ''}.3f}"


def _printable(table: Table, encoding: str) -> Table:
    """The table with every cell escaped, so that columns stay aligned."""
    header, rows, summary = (
        tuple(tuple(printable(cell, encoding) for cell in row) for row in part)
        for part in ((table.header,), table.rows, table.summary)
    )
    return Table(printable(table.title, encoding), header[0], rows, summary, table.names)


def _print_drawn(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as DrawnTable
    from rich.text import Text

    drawn = DrawnTable(box=box.SIMPLE, collapse_padding=True, pad_edge=False)
    for column, name in enumerate(table.header):
        drawn.add_column(name, justify="left" if column < table.names else "right", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    drawn.add_section()
    for row in table.summary:
        drawn.add_row(*map(Text, row), style="bold")
    console = Console()
    if console.measure(drawn, options=console.options.update(width=10_000)).maximum > console.width:
        print("\n".join(plain_lines(table)))  # wrapped by the terminal, but with every digit
    else:
        print(table.title)
        console.print(drawn)
