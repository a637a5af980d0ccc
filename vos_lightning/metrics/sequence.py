"""What the metrics share: sequences in, one row per object out, no row twice."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from vos_lightning.functional.measures.contour import check_bound
from vos_lightning.functional.measures.frame_scores import FrameScores, score_frame
from vos_lightning.functional.measures.statistics import statistics
from vos_lightning.ids import VOID, scored_ids

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

_NAME_BYTES = 256
STATISTICS = ("J", "J_recall", "J_decay", "F", "F_recall", "F_decay")

IdMask: TypeAlias = NDArray[Any] | Tensor
Result: TypeAlias = Tensor | dict[str, Tensor]


class ObjectScores(TypedDict):
    """Statistics of one object of one sequence; `frames` is the number of frames that were scored."""

    sequence: str
    object: int
    frames: int
    J: float
    J_recall: float
    J_decay: float
    F: float
    F_recall: float
    F_decay: float


class SequenceMetric(Metric):
    """Collects one row per object and averages over objects, whichever sequence they belong to.

    Rows carry the name of their sequence and are counted once. So results under DDP are exact, although its sampler
    repeats sequences to deal out equal shares, and ranks may hold any number of sequences, none included.

    Objects are scored by the ids that they have. The official code counts from 1 to the largest id of the first mask
    and scores an id that no mask has 1; here it is left out.

    Args:
        bound_th: Tolerance of the contour accuracy; see `functional.contour_accuracy`.
        skip_first: Leave out the first annotated frame: its mask was given.
        skip_last: Leave out the last annotated frame, as the official code does.
        remove_void: Remove pixels that the target marks as void (255) from both masks (unsupervised protocol).
            Otherwise they are background of the target, as in the semi-supervised protocol.
        kwargs: Options of `torchmetrics.Metric`.

    Raises:
        ValueError: `bound_th` is no tolerance.
    """

    is_differentiable: ClassVar[bool] = False  # type: ignore[misc]
    higher_is_better: ClassVar[bool] = True  # type: ignore[misc]
    full_state_update: ClassVar[bool] = False  # type: ignore[misc]
    plot_lower_bound: ClassVar[float] = 0.0  # type: ignore[misc]
    plot_upper_bound: ClassVar[float] = 1.0  # type: ignore[misc]

    names: list[Tensor]
    rows: list[Tensor]

    def __init__(
        self,
        bound_th: float = 0.008,
        skip_first: bool = True,
        skip_last: bool = True,
        remove_void: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Keep the options, start without rows."""
        super().__init__(**kwargs)
        check_bound(bound_th)
        self.bound_th = bound_th
        self.skip_first = skip_first
        self.skip_last = skip_last
        self.remove_void = remove_void
        self.add_state("names", default=[], dist_reduce_fx="cat")
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(
        self,
        predictions: Iterable[IdMask],
        targets: Iterable[IdMask | None],
        sequence: str,
        object_ids: Sequence[int] | None = None,
    ) -> None:
        """Scores one sequence, frame by frame: iterators are consumed, never held.

        Args:
            predictions: T masks of integer ids (H, W), arrays or tensors, or one (T, H, W). Ids that are not scored
                count as background.
            targets: Like `predictions`; `None` stands for a frame without annotation, which is not scored.
            sequence: Name; a sequence that comes twice counts once.
            object_ids: Objects to score, 255 only alone. Left out: those of the first annotated mask, 255 being
                void beside other ids.

        Raises:
            TypeError: Masks hold no integers, or the name is no string.
            ValueError: Numbers of frames or sizes of masks differ, or an id is background or void.
        """
        _encode(sequence)  # a bad name is refused before the work
        ids, frames = _checked(object_ids, sequence), list[FrameScores]()
        for index, (prediction, target) in enumerate(_pairs(predictions, targets, sequence)):
            if target is None:
                continue
            target = _beside(prediction, target)
            ids = scored_ids(target) if ids is None else ids
            void = target == VOID if self.remove_void else None
            try:
                frames.append(score_frame(prediction, target, ids, self.bound_th, void))
            except (TypeError, ValueError) as error:
                raise type(error)(f"sequence {sequence!r}, frame {index}: {error}") from error
        self._add_rows(sequence, ids or [], frames, keep_absent=object_ids is not None)

    def sync(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Gathers the rows of all ranks."""
        if not self.names:  # a rank without sequences has to send tensors of the others' types
            self.names = [torch.empty(0, _NAME_BYTES, dtype=torch.uint8, device=self.device)]
            self.rows = [torch.empty(0, 2 + len(STATISTICS), dtype=self._precision, device=self.device)]
        super().sync(*args, **kwargs)

    def plot(
        self, val: Result | Sequence[Result] | None = None, ax: matplotlib.axes.Axes | None = None
    ) -> tuple[matplotlib.figure.Figure, matplotlib.axes.Axes | NDArray[np.object_]]:
        """Draws a result with matplotlib, or several as a curve.

        Args:
            val: What `compute` or `forward` returned, or a list of such; left out: what `compute` returns now.
            ax: Where to draw; left out: a new figure.
        """
        return self._plot(val, ax)  # type: ignore[arg-type]

    def _add_rows(self, sequence: str, ids: Sequence[int], frames: list[FrameScores], keep_absent: bool) -> None:
        given = [k for k in range(len(ids)) if keep_absent or any(frame.given[k] for frame in frames)]
        scored = frames[int(self.skip_first) : len(frames) - int(self.skip_last)]
        if not scored or not given:
            reason = "no frame is left to score" if not scored else "its targets hold no object"
            warnings.warn(f"sequence {sequence!r} is left out: {reason}", stacklevel=3)
            return
        rows = []
        for k in given:
            J, F = statistics([frame.J[k] for frame in scored]), statistics([frame.F[k] for frame in scored])
            rows.append([ids[k], len(scored), *J, *F])
        self.names.append(_encode(sequence).to(self.device).repeat(len(rows), 1))
        self.rows.append(torch.tensor(rows, dtype=torch.float64).to(self._precision).to(self.device))

    def _unique_rows(self) -> list[ObjectScores]:
        """Rows of all sequences, sorted, each once."""
        unique: dict[tuple[str, int], ObjectScores] = {}
        names, rows = (dim_zero_cat(state).cpu().numpy() if len(state) else () for state in (self.names, self.rows))
        for name, (object_id, frames, *values) in zip(names, rows, strict=True):
            sequence, object_id = bytes(name).rstrip(b"\0").decode(), int(object_id)
            scores = dict(zip(STATISTICS, map(float, values), strict=True))
            row = {"sequence": sequence, "object": object_id, "frames": int(frames), **scores}
            unique.setdefault((sequence, object_id), cast(ObjectScores, row))
        return [unique[key] for key in sorted(unique)]

    def _mean(self, rows: list[ObjectScores], *columns: str) -> Tensor:
        """Average over objects, and over columns; NaN without objects."""
        values = [row[column] for row in rows for column in columns]  # type: ignore[literal-required]
        mean = float(np.mean(values)) if values else float("nan")
        return torch.tensor(mean, dtype=self._precision, device=self.device)

    @property
    def _precision(self) -> torch.dtype:
        return torch.float32 if self.device.type == "mps" else torch.float64


def _pairs(
    predictions: Iterable[IdMask], targets: Iterable[IdMask | None], sequence: str
) -> Iterator[tuple[IdMask, IdMask | None]]:
    """Predictions with their targets; raises at the end if one has more frames."""
    missing = object()
    for prediction, target in zip_longest(predictions, targets, fillvalue=missing):
        if prediction is missing or target is missing:
            raise ValueError(f"sequence {sequence!r}: predictions and targets differ in their number of frames")
        yield cast(tuple[IdMask, IdMask | None], (prediction, target))


def _beside(prediction: IdMask, target: IdMask) -> IdMask:
    """The target, where the prediction is."""
    if isinstance(prediction, Tensor):
        return torch.as_tensor(target).to(prediction.device)
    return target.cpu().numpy() if isinstance(target, Tensor) else target


def _checked(object_ids: Sequence[int] | None, sequence: str) -> list[int] | None:
    """The ids as numbers, none of them background, or void beside others."""
    if object_ids is None:
        return None
    ids = [int(one) for one in object_ids]
    if any(one < 1 for one in ids) or (VOID in ids and len(ids) > 1):
        raise ValueError(f"sequence {sequence!r}: object_ids are from 1 on, 0 is background and 255 void, not {ids}")
    return ids


def _encode(sequence: str) -> Tensor:
    """The name as bytes, so that ranks can exchange it."""
    if not isinstance(sequence, str):
        raise TypeError(f"sequence must be the name of a sequence, a string, not {type(sequence).__name__}")
    name = sequence.encode()
    if not name or len(name) > _NAME_BYTES:
        raise ValueError(f"the name of a sequence must have 1 to {_NAME_BYTES} bytes, not {len(name)}: {sequence!r}")
    return torch.frombuffer(bytearray(name.ljust(_NAME_BYTES, b"\0")), dtype=torch.uint8)
