"""Several results of the same sequences, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vos_lightning.errors import VOSError
from vos_lightning.evaluation.report import MEASURES, YOUTUBE_MEASURES, Report
from vos_lightning.evaluation.table import Table, counted, number

DIFFERENCE = "±"


@dataclass(frozen=True)
class Comparison:
    """Reports of several result folders against the same annotations; the first is what the others are compared to.

    Attributes:
        names: Short and unlike each other.
        reports: As many.
    """

    names: tuple[str, ...]
    reports: tuple[Report, ...]

    def sequences(self) -> dict[str, list[float]]:
        """J&F of each report, for every sequence."""
        scores = [{one.name: one.mean for one in report.sequences} for report in self.reports]
        return {name: [score[name] for score in scores] for name in scores[0]}

    def to_dict(self) -> dict[str, object]:
        """What the JSON file holds: every report, and J&F per sequence with its difference to the first report."""
        per_sequence = []
        for sequence, scores in self.sequences().items():
            named = dict(zip(self.names, scores, strict=True))
            difference = {name: named[name] - scores[0] for name in self.names[1:]}
            per_sequence.append({"sequence": sequence, "J&F-Mean": named, "difference": difference})
        results = {name: report.to_dict() for name, report in zip(self.names, self.reports, strict=True)}
        return {"results": results, "per_sequence": per_sequence}


def compare(reports: Sequence[Report]) -> Comparison:
    """Puts reports side by side.

    Raises:
        VOSError: They are of different sequences, so that their means can't be compared.
    """
    first = reports[0]
    for report in reports[1:]:
        differing = {one.name for one in first.sequences} ^ {one.name for one in report.sequences}
        if differing:
            raise VOSError(
                f"{first.predictions} and {report.predictions} can't be compared: only one of them has "
                f"{', '.join(sorted(differing)[:5])}; predict the same sequences"
            )
    return Comparison(tuple(_names([report.predictions for report in reports])), tuple(reports))


def sequence_table(comparison: Comparison) -> Table:
    """J&F of each sequence in each report, and what the others gain over the first."""
    first, *others = comparison.names
    header = ("sequence", first, *(column for name in others for column in (name, DIFFERENCE)))
    rows = tuple(_line(name, scores) for name, scores in comparison.sequences().items())
    means = [report.mean()["J&F-Mean"] for report in comparison.reports]
    summary = (_line("mean over objects", means),)
    return Table(f"J&F per sequence, and the difference to {first}", header, rows, summary, 1)


def mean_table(comparison: Comparison) -> Table:
    """All measures of all reports."""
    means = [report.mean() for report in comparison.reports]
    measures = [measure for measure in (*YOUTUBE_MEASURES, *MEASURES) if measure in means[0]]
    title = f"{len(means)} results ({comparison.reports[0].protocol}, {counted(comparison.reports[0].frames, 'frame')})"
    header = ("result", *(measure.replace("-Mean", "") for measure in measures))
    cells = (tuple(number(mean[measure]) for measure in measures) for mean in means)
    rows = tuple((name, *row) for name, row in zip(comparison.names, cells, strict=True))
    return Table(title, header, rows, (), 1)


def _line(name: str, scores: Sequence[float]) -> tuple[str, ...]:
    gains = [cell for score in scores[1:] for cell in (number(score), number(score - scores[0], signed=True))]
    return (name, number(scores[0]), *gains)


def _names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or all of it where that isn't enough to tell them apart."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]
