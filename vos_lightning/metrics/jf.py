"""J, F and J&F as torchmetrics classes."""

from __future__ import annotations

from torch import Tensor

from vos_lightning.metrics.sequence import STATISTICS, ObjectScores, SequenceMetric


class RegionSimilarity(SequenceMetric):
    """Region similarity J of whole sequences, averaged over objects.

    Takes the options of `SequenceMetric`; `JFMeasure` gives J and F in one go.

    Example:
        >>> import torch
        >>> target = torch.zeros(4, 8, 8, dtype=torch.uint8)
        >>> target[:, 2:6, 2:6] = 1
        >>> metric = RegionSimilarity()
        >>> metric.update(target.roll(1, dims=2), target, sequence="square")
        >>> metric.compute()
        tensor(0.6000, dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Mean J, a scalar in [0, 1]; NaN without sequences."""
        return self._mean(self._unique_rows(), "J")


class ContourAccuracy(SequenceMetric):
    """Contour accuracy F of whole sequences, averaged over objects.

    Takes the options of `SequenceMetric`; `JFMeasure` gives J and F in one go.

    Example:
        >>> import torch
        >>> target = torch.zeros(4, 8, 8, dtype=torch.uint8)
        >>> target[:, 2:6, 2:6] = 1
        >>> metric = ContourAccuracy()
        >>> metric.update(target.roll(1, dims=2), target, sequence="square")
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    def compute(self) -> Tensor:
        """Mean F, a scalar in [0, 1]; NaN without sequences."""
        return self._mean(self._unique_rows(), "F")


class JFMeasure(SequenceMetric):
    """J, F and their mean over whole sequences, with recall and decay: the table of DAVIS.

    Takes the options of `SequenceMetric`.

    Example:
        >>> import torch
        >>> target = torch.zeros(4, 8, 8, dtype=torch.uint8)
        >>> target[:, 2:6, 2:6] = 1
        >>> metric = JFMeasure()
        >>> metric.update(target.roll(1, dims=2), target, sequence="square")
        >>> {name: round(value.item(), 2) for name, value in metric.compute().items() if "_" not in name}
        {'J': 0.6, 'F': 1.0, 'JF': 0.8}
        >>> [(row["sequence"], row["object"], row["frames"]) for row in metric.per_object()]
        [('square', 1, 2)]
    """

    _objects: list[ObjectScores]

    def compute(self) -> dict[str, Tensor]:
        """Averages over objects, scalars.

        `J`, `F`, `JF`, `J_recall`, `F_recall` are in [0, 1], `J_decay` and `F_decay` in [-1, 1]; NaN without sequences.
        """
        self._objects = self._unique_rows()
        means = {name: self._mean(self._objects, name) for name in STATISTICS}
        return {"J": means.pop("J"), "F": means.pop("F"), "JF": self._mean(self._objects, "J", "F"), **means}

    def per_object(self) -> list[ObjectScores]:
        """One row for every object, of all ranks; every rank must call it, as `compute`."""
        self.compute()
        return self._objects
