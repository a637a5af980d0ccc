"""Results of an evaluation and what they come down to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vos_lightning.evaluation.metadata import SEEN_CATEGORIES
from vos_lightning.evaluation.protocols import Protocol
from vos_lightning.functional.measures.statistics import Statistics, statistics

Row = dict[str, str | int | float]

MEASURES = ("J&F-Mean", "J-Mean", "J-Recall", "J-Decay", "F-Mean", "F-Recall", "F-Decay")
YOUTUBE_MEASURES = ("G", "J-Seen", "J-Unseen", "F-Seen", "F-Unseen")


@dataclass(frozen=True)
class SequenceResult:
    """Scores of one sequence, T frames, K objects; NaN where the protocol doesn't score an object.

    Attributes:
        name: Folder's name.
        ids: (K,).
        frames: (T,) names of the scored frames.
        J: (T, K) region similarity.
        F: (T, K) contour accuracy.
        given: (T, K) whether the object is in the annotation.
        categories: (K,) where known.
    """

    name: str
    ids: tuple[int, ...]
    frames: tuple[str, ...]
    J: NDArray[np.float64]
    F: NDArray[np.float64]
    given: NDArray[np.bool_]
    categories: tuple[str, ...] | None = None

    @cached_property
    def objects(self) -> tuple[ObjectResult, ...]:
        """Statistics of each object."""
        categories = self.categories or (None,) * len(self.ids)
        scores = ([statistics(column[~np.isnan(column)]) for column in measure.T] for measure in (self.J, self.F))
        columns = zip(self.ids, *scores, categories, strict=True)
        return tuple(ObjectResult(self.name, *one) for one in columns)

    @property
    def mean(self) -> float:
        """J&F over the objects of the sequence."""
        return float(np.mean([one.mean for one in self.objects]))


@dataclass(frozen=True)
class ObjectResult:
    """Statistics of one object."""

    sequence: str
    object: int
    J: Statistics
    F: Statistics
    category: str | None = None

    @property
    def mean(self) -> float:
        """J&F."""
        return (self.J.mean + self.F.mean) / 2

    def row(self) -> Row:
        """Everything, by the names of the measures."""
        values = (self.mean, *self.J, *self.F)
        row: Row = {"sequence": self.sequence, "object": self.object, **dict(zip(MEASURES, values, strict=True))}
        return row if self.category is None else {**row, "category": self.category}


@dataclass(frozen=True)
class Report:
    """Results of all sequences of a folder.

    Attributes:
        protocol: How they were scored.
        sequences: In the order of their names.
        predictions: The folder that was scored.
        annotations: The folder it was compared to.
        notes: What was left out or superfluous.
        seen_categories: For youtube-vos, the categories of the training set.
    """

    protocol: Protocol
    sequences: tuple[SequenceResult, ...]
    predictions: Path
    annotations: Path
    notes: tuple[str, ...] = ()
    seen_categories: frozenset[str] = SEEN_CATEGORIES

    @property
    def objects(self) -> list[ObjectResult]:
        """Objects of all sequences."""
        return [one for sequence in self.sequences for one in sequence.objects]

    @property
    def frames(self) -> int:
        """Number of scored frames."""
        return sum(len(sequence.frames) for sequence in self.sequences)

    @property
    def empty_share(self) -> float:
        """Share of object-frames without the object in the annotation: there, predicting nothing scores 1."""
        scored = sum(int(np.sum(~np.isnan(one.J))) for one in self.sequences)
        return sum(int(np.sum(~np.isnan(one.J) & ~one.given)) for one in self.sequences) / scored

    def mean(self) -> dict[str, float]:
        """Averages over all objects of all sequences; for youtube-vos also over seen and unseen categories, and G."""
        objects = self.objects
        J, F = _average(one.J for one in objects), _average(one.F for one in objects)
        mean = dict(zip(MEASURES, ((J.mean + F.mean) / 2, *J, *F), strict=True))
        return mean if self.protocol != "youtube-vos" else {**self._youtube_mean(), **mean}

    def to_dict(self) -> dict[str, object]:
        """What the JSON file holds, unrounded; NaN is None."""
        return {
            "mean": _without_nan(self.mean()),
            "per_object": [_without_nan(one.row()) for one in self.objects],
            "protocol": self.protocol,
            "frames": self.frames,
            "objects": len(self.objects),
        }

    def _youtube_mean(self) -> dict[str, float]:
        """J and F over seen and unseen categories, and their mean G; NaN where there is no object of the kind."""
        seen = [one for one in self.objects if one.category in self.seen_categories]
        unseen = [one for one in self.objects if one.category not in self.seen_categories]
        values = [_average(one.J for one in group).mean for group in (seen, unseen)]
        values += [_average(one.F for one in group).mean for group in (seen, unseen)]
        return dict(zip(YOUTUBE_MEASURES, (float(np.mean(values)), *values), strict=True))


def _average(several: Iterable[Statistics]) -> Statistics:
    """Average of each statistic over objects; NaN without objects."""
    table = np.array(list(several), dtype=np.float64).reshape(-1, 3)
    return Statistics(*(table.mean(axis=0).tolist() if len(table) else [float("nan")] * 3))


def _without_nan(row: dict[str, float] | Row) -> dict[str, object]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
