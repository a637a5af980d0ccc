"""The report for the browser: tables, curves per frame, and the worst frames against their annotations."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

from vos_lightning.evaluation.chart import Series, chart
from vos_lightning.evaluation.comparison import DIFFERENCE, Comparison, compare, mean_table, sequence_table
from vos_lightning.evaluation.files import TITLE
from vos_lightning.evaluation.pictures import COLOURS, error_picture, find_images
from vos_lightning.evaluation.report import MEASURES, YOUTUBE_MEASURES, Report, SequenceResult
from vos_lightning.evaluation.table import Table, counted, number, score_table

_PICTURES = 3


def html_report(reports: Sequence[Report], images: Path | None = None) -> str:
    """One HTML document that needs no other file.

    Args:
        reports: One, or several to compare; of the same sequences.
        images: Folder of sequence folders of images to draw on; left out: `JPEGImages` beside `Annotations`, or plain
            grey.

    Raises:
        VOSError: Reports are of different sequences, or images of another size than the masks.
    """
    images = images or find_images(reports[0].annotations)
    if len(reports) == 1:
        name, body = reports[0].predictions.name, _single(reports[0], images)
    else:
        comparison = compare(reports)
        name, body = ", ".join(comparison.names), _several(comparison, images)
    page = Template(files("vos_lightning.evaluation").joinpath("report.html").read_text(encoding="utf-8"))
    return page.substitute(title=TITLE + escape(name), body=body)


def _single(report: Report, images: Path | None) -> str:
    mean = report.mean()
    measures = [measure for measure in (*YOUTUBE_MEASURES, *MEASURES) if measure in mean]
    cards = (f'<div class="card"><b>{number(mean[name])}</b><span>{escape(name)}</span></div>' for name in measures)
    sections = "".join(_section(report, one, images) for one in sorted(report.sequences, key=lambda one: one.mean))
    return (
        f"<h1>{escape(report.predictions.resolve().name)}</h1>"
        f"<p>{_about(report)}</p>"
        f'<div class="cards">{"".join(cards)}</div>{_notes([report])}'
        f"<h2>Objects</h2>{_table(score_table(report))}"
        f"<h2>Sequences, worst first</h2>{_key()}{sections}"
    )


def _several(comparison: Comparison, images: Path | None) -> str:
    gains = {name: max(scores) - min(scores) for name, scores in comparison.sequences().items()}
    sections = "".join(
        _compared_section(comparison, name, images) for name in sorted(gains, key=lambda name: -gains[name])
    )
    return (
        f"<h1>{escape(', '.join(comparison.names))}</h1><p>{_about(comparison.reports[0])}</p>"
        f"{_table(mean_table(comparison))}{_notes(comparison.reports)}"
        f"<h2>J&amp;F per sequence, and the difference to {escape(comparison.names[0])}</h2>"
        f"{_table(sequence_table(comparison))}"
        f"<h2>Sequences, largest differences first</h2>{_key()}{sections}"
    )


def _section(report: Report, sequence: SequenceResult, images: Path | None) -> str:
    """One sequence: its curves and its worst frames."""
    series = []
    for k, object_id in enumerate(sequence.ids):
        label = f" of {object_id}" if len(sequence.ids) > 1 else ""
        series.append(Series(f"J{label}", sequence.J[:, k], k))
        series.append(Series(f"F{label}", sequence.F[:, k], k, dashed=True))
    per_frame = frame_scores(sequence)
    pictures = "".join(
        _figure(
            error_picture(report, sequence.name, sequence.frames[t], images, closeup=True),
            sequence.name,
            f"{sequence.frames[t]}: J&F {number(float(per_frame[t]))}",
        )
        for t in worst_frames(per_frame, _PICTURES)
    )
    return (
        f"<section><header><h3>{escape(sequence.name)}</h3><span class='soft'>J&amp;F {number(sequence.mean)}, "
        f"{counted(len(sequence.frames), 'frame')}, {counted(len(sequence.ids), 'object')}</span></header>"
        f'{chart(sequence.frames, series)}<div class="pictures">{pictures}</div></section>'
    )


def _compared_section(comparison: Comparison, name: str, images: Path | None) -> str:
    """One sequence in all results: J&F per frame, and the frame on which they differ most."""
    results = [next(one for one in report.sequences if one.name == name) for report in comparison.reports]
    scores = [frame_scores(one) for one in results]
    series = [Series(label, values, k) for k, (label, values) in enumerate(zip(comparison.names, scores, strict=True))]
    spread = np.nan_to_num(np.ptp(np.stack(scores), axis=0), nan=-1.0)
    t = int(spread.argmax())
    frame = results[0].frames[t]
    pictures = "".join(
        _figure(error_picture(report, name, frame, images), name, f"{label}, {frame}: J&F {number(float(values[t]))}")
        for report, label, values in zip(comparison.reports, comparison.names, scores, strict=True)
    )
    means = (f"{escape(label)} {number(one.mean)}" for label, one in zip(comparison.names, results, strict=True))
    return (
        f"<section><header><h3>{escape(name)}</h3><span class='soft'>J&amp;F: {', '.join(means)}</span></header>"
        f'{chart(results[0].frames, series)}<div class="pictures">{pictures}</div></section>'
    )


def frame_scores(sequence: SequenceResult) -> NDArray[np.float64]:
    """J&F of each frame, over the objects that are scored in it; (T,), NaN where there is none."""
    both = (sequence.J + sequence.F) / 2
    scored = ~np.isnan(both)
    means = np.full(len(both), np.nan)
    np.divide(np.where(scored, both, 0).sum(axis=1), scored.sum(axis=1), out=means, where=scored.any(axis=1))
    return means


def worst_frames(scores: NDArray[np.float64], count: int) -> list[int]:
    """Frames of the lowest scores (T,), in the order of time and not all from one bad moment."""
    apart = max(len(scores) // 10, 1)
    chosen = list[int]()
    for t in np.argsort(scores, kind="stable").tolist():
        if len(chosen) < count and not np.isnan(scores[t]) and all(abs(t - other) >= apart for other in chosen):
            chosen.append(t)
    return sorted(chosen)


def _figure(picture: str, sequence: str, caption: str) -> str:
    text = escape(caption)
    return (
        f'<figure><img src="{picture}" alt="{escape(sequence)} {text}" loading="lazy">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    def line(row: Sequence[str], tag: str = "td") -> str:
        classes = ["name"] * table.names + [_gain(*pair) for pair in zip(row, table.header, strict=True)][table.names :]
        return "".join(f'<{tag} class="{kind}">{escape(cell)}</{tag}>' for kind, cell in zip(classes, row, strict=True))

    body = "".join(f"<tr>{line(row)}</tr>" for row in table.rows)
    foot = "".join(f'<tr class="summary">{line(row)}</tr>' for row in table.summary)
    return (
        f'<div class="wide"><table><thead><tr>{line(table.header, "th")}</tr></thead>'
        f"<tbody>{body}</tbody><tfoot>{foot}</tfoot></table></div>"
    )


def _gain(cell: str, column: str) -> str:
    """Class of a cell that is no name."""
    return {"+": "gain", "-": "loss"}.get(cell[0], "") if column == DIFFERENCE and cell else ""


def _about(report: Report) -> str:
    things = {"sequence": len(report.sequences), "object": len(report.objects), "frame": report.frames}
    counts = ", ".join(counted(count, thing) for thing, count in things.items())
    text = f"{report.predictions} against {report.annotations}, {report.protocol}: {counts}."
    if report.empty_share:
        share = f"{100 * report.empty_share:.1f} %"
        text += f" {share} of object-frames have nothing annotated: predicting nothing scores 1."
    return escape(text).replace("/", "/<wbr>")


def _key() -> str:
    entries = "".join(f'<li><i style="background:{colour}"></i>{escape(kind)}</li>' for kind, colour in COLOURS.items())
    outline = '<li><i style="background:#fff;outline:1px solid #888"></i>outline of the annotation</li>'
    return f'<ul class="key">{entries}{outline}</ul>'


def _notes(reports: Sequence[Report]) -> str:
    notes = dict.fromkeys(note for report in reports for note in report.notes)
    return f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in notes)}</ul>' if notes else ""
