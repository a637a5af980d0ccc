"""The commands `evaluate` and `export`, without the parsing of their arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.evaluation.comparison import compare, mean_table, sequence_table
from vos_lightning.evaluation.export import (
    FORMATS,
    check_items,
    check_new,
    plan_davis,
    plan_youtube,
    write_submission,
)
from vos_lightning.evaluation.files import check_outputs, write_csv, write_json, write_text
from vos_lightning.evaluation.metadata import SEEN_CATEGORIES, read_metadata
from vos_lightning.evaluation.report import Report
from vos_lightning.evaluation.scoring import evaluate_folder, refuse
from vos_lightning.evaluation.table import counted, print_table, score_table
from vos_lightning.evaluation.workers import worker_count
from vos_lightning.io.terminal import printable, say


def evaluate_command(
    predictions: Sequence[str | Path],
    annotations: str | Path,
    *,
    protocol: str = "davis2017",
    meta: str | Path | None = None,
    train_meta: str | Path | None = None,
    json: str | Path | None = None,
    csv: str | Path | None = None,
    html: str | Path | None = None,
    frames: str | Path | None = None,
    strict: bool = False,
    workers: int | None = None,
) -> int:
    """Scores one folder of results, or several side by side, and prints a table.

    Args:
        predictions: Folders of sequence folders of PNGs.
        annotations: Folder of sequence folders of PNGs.
        protocol: davis2017, davis2016 or youtube-vos.
        meta: For youtube-vos: its `meta.json`; left out: the one beside `annotations`.
        train_meta: For youtube-vos: the training set's `meta.json`, whose categories are the seen ones; left out: the
            65 of YouTube-VOS 2018 and 2019.
        json: Where to write all numbers.
        csv: Where to write one line per object.
        html: Where to write a report for the browser.
        frames: Folder of sequence folders of images, to draw on in the report; left out: those beside `annotations`.
        strict: Refuse what is only noted otherwise.
        workers: Processes; left out: one per core.

    Returns:
        0.

    Raises:
        VOSError: Something can't be scored or written, or an option has no effect; the message names it.
    """
    if protocol != "youtube-vos":
        _refuse_options(f"--protocol {protocol}", {"--meta": meta, "--train-meta": train_meta})
    if html is None:
        _refuse_options("a call without --html", {"--frames": frames})
    if frames is not None and not Path(frames).is_dir():
        raise DatasetNotFoundError(f"{frames}: no such folder; expected {Path(frames).name}/<sequence>/<frame>.jpg")
    check_outputs(json=json, csv=csv, html=html)
    seen = SEEN_CATEGORIES
    if train_meta is not None:
        seen = frozenset(entry.category for video in read_metadata(train_meta).values() for entry in video.objects)
    reports = []
    for folder in predictions:
        with _progress(Path(folder).name) as bar:
            report = evaluate_folder(
                folder,
                annotations,
                protocol,
                meta=meta,
                seen_categories=seen,
                strict=strict,
                workers=workers,
                on_progress=bar,
            )
        reports.append(report)
    _print(reports)
    if json is not None:
        write_json(json, reports)
    if csv is not None:
        write_csv(csv, reports)
    if html is not None:
        from vos_lightning.evaluation.html import html_report  # here: it needs the readers of images

        write_text(html, html_report(reports, _path(frames)))
    return 0


def export_command(
    predictions: str | Path,
    output: str | Path,
    *,
    format: str = "davis",
    meta: str | Path | None = None,
    reference: str | Path | None = None,
    image_set: str | Path | None = None,
    strict: bool = False,
    workers: int | None = None,
) -> int:
    """Packs a folder of results for a server, after checking every mask.

    Args:
        predictions: Folder of sequence folders of PNGs.
        output: A new folder, or a zip file if its name ends so.
        format: davis or youtube-vos.
        meta: For youtube-vos: its `meta.json`, which lists the videos, objects and frames to pack.
        reference: For davis: folder of sequence folders of its images or annotations, which tell the frames to pack.
        image_set: For davis: text file of the sequences to pack.
        strict: Refuse what is only noted otherwise: superfluous sequences or frames, gaps, objects that come too early.
        workers: Processes; left out: one per core.

    Returns:
        0.

    Raises:
        VOSError: Something is missing or wrong, or an option has no effect; the message names it, and nothing is
            written.
    """
    predictions, output, workers = Path(predictions), Path(output), worker_count(workers)
    check_new(output)
    if format == "youtube-vos":
        if meta is None:
            raise VOSError("youtube-vos needs its meta.json: give --meta valid/meta.json")
        _refuse_options(f"--format {format}", {"--reference": reference, "--image-set": image_set})
        items, notes = plan_youtube(predictions, read_metadata(meta, need_categories=False))
    elif format == "davis":
        _refuse_options(f"--format {format}", {"--meta": meta})
        items, notes = plan_davis(predictions, _path(reference), _path(image_set))
    else:
        raise VOSError(f"unknown format {format!r}: choose one of {', '.join(FORMATS)}")
    if strict:
        refuse(notes)
    notes += check_items(items, workers)
    if strict:
        refuse(notes)
    write_submission(items, output)
    _print_notes(notes)
    sequences = len({item.sequence for item in items})
    say(f"{output}: {counted(len(items), 'mask')} of {counted(sequences, 'sequence')}")
    return 0


def _refuse_options(where: str, options: dict[str, object]) -> None:
    """Raises if options are given that would be ignored."""
    for name, value in options.items():
        if value is not None:
            raise VOSError(f"{name} has no effect on {where}; leave it out")


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def _print(reports: list[Report]) -> None:
    if len(reports) == 1:
        print_table(score_table(reports[0]))
    else:
        comparison = compare(reports)
        print_table(mean_table(comparison))
        print()
        print_table(sequence_table(comparison))
    _print_notes(dict.fromkeys(note for report in reports for note in report.notes))


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        say(f"note: {note}", sys.stderr)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal; nothing when piped."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(escape(printable(name)), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total, refresh=True)
