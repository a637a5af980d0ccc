"""The early-stopping curve (SSVOS Fig. 3): scores of the adapter against propagated masks and ground truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vos_lightning.functional.measures.frame_scores import FrameScores, score_frame
from vos_lightning.inference.adaptation.adapter import SequenceAdapter
from vos_lightning.inference.packed_mask import Ids


@dataclass(frozen=True)
class CurvePoint:
    """The network alone after some steps; scores are means over frames and objects, in [0, 1].

    Attributes:
        step: steps taken.
        loss: of the last one.
        J_propagated: region similarity to the propagated masks.
        F_propagated: contour accuracy against them.
        J: region similarity to the ground truth, None without.
        F: contour accuracy against it.
    """

    step: int
    loss: float
    J_propagated: float
    F_propagated: float
    J: float | None = None
    F: float | None = None

    def metrics(self) -> dict[str, float]:
        """Values by name, as loggers take them; without those that are None."""
        scores = {
            "loss": self.loss,
            "J_propagated": self.J_propagated,
            "F_propagated": self.F_propagated,
            "JF_propagated": (self.J_propagated + self.F_propagated) / 2,
        }
        if self.J is not None and self.F is not None:
            scores |= {"J": self.J, "F": self.F, "JF": (self.J + self.F) / 2}
        return {f"adapter/{name}": value for name, value in scores.items()}


class Monitor:
    """Scores an adapter during training; the masks it returns stay the same.

    Args:
        report: called with each point of the curve, such as
            ``lambda point: logger.log_metrics(point.metrics(), point.step)`` with any of Lightning's loggers.
        every: steps between two points.
        targets: ground truth, (H, W) uint8 ids or None for each frame; never used for training.
        num_frames: number of training frames scored for each point, evenly spread.

    Attributes:
        points: the curve so far.
    """

    def __init__(
        self,
        report: Callable[[CurvePoint], object] | None = None,
        every: int = 10,
        targets: Sequence[Ids | None] | None = None,
        num_frames: int = 10,
    ) -> None:
        self.every = every
        self.points: list[CurvePoint] = []
        self._report = report
        self._targets = targets
        self._num_frames = num_frames

    def score(self, adapter: SequenceAdapter) -> None:
        """Add a point to the curve."""
        frames = [(image, frame) for image, frame in adapter.training_frames() if frame.given is None]
        spread = np.linspace(0, len(frames) - 1, min(self._num_frames, len(frames))).round().astype(int)
        propagated, true = list[FrameScores](), list[FrameScores]()
        for image, frame in (frames[i] for i in spread):
            ids, known = adapter.predict(image, frame), adapter.object_ids[: frame.num_classes - 1]
            propagated.append(score_frame(ids, frame.mask.ids(), known))
            target = None if self._targets is None else self._targets[frame.t]
            if target is not None:
                true.append(score_frame(ids, target, known))
        if not propagated:
            return
        point = CurvePoint(adapter.network.step, adapter.network.loss, *_means(propagated), *_means(true))
        self.points.append(point)
        if self._report is not None:
            self._report(point)


def _means(scores: list[FrameScores]) -> tuple[float, float] | tuple[()]:
    """J and F over frames and objects; nothing without frames."""
    if not scores:
        return ()
    return float(np.mean([frame.J for frame in scores])), float(np.mean([frame.F for frame in scores]))
