"""Scores folders of masks, frame by frame, on several cores; no more than one frame per core is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.evaluation.folders import Plan, plan_sequences
from vos_lightning.evaluation.metadata import SEEN_CATEGORIES, read_metadata
from vos_lightning.evaluation.protocols import (
    IdMask,
    check_known,
    check_protocol,
    predicted_ids,
    some,
    target_ids,
    unknown_ids,
)
from vos_lightning.evaluation.report import Report, SequenceResult
from vos_lightning.evaluation.workers import parallel_map, worker_count
from vos_lightning.functional.measures.frame_scores import FrameScores, score_frame
from vos_lightning.io.masks import read_mask

_CHUNK = 32
_WORTH_WORKERS = 100

LateIds: TypeAlias = dict[int, str]
"""Ids that are annotated but not scored, as the official code has it, and the frames in which they first appear."""


def evaluate_folder(
    predictions: str | Path,
    annotations: str | Path,
    protocol: str = "davis2017",
    *,
    meta: str | Path | None = None,
    seen_categories: frozenset[str] = SEEN_CATEGORIES,
    strict: bool = False,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Scores a folder of results as the field does.

    Args:
        predictions: Folder of sequence folders of PNGs; every sequence in it is scored.
        annotations: Folder of sequence folders of PNGs.
        protocol: davis2017 (several objects, 255 is void), davis2016 (all labels are one object) or youtube-vos.
        meta: For youtube-vos, its `meta.json`; left out: the one beside `annotations`.
        seen_categories: For youtube-vos, the categories of the training set.
        strict: Refuse what is only noted otherwise: sequences or frames left out, superfluous frames.
        workers: Processes; left out: one per core.
        on_progress: Called with the number of frames that are done, and of all.

    Raises:
        VOSError: Something can't be scored; the message names the file.
    """
    predictions, annotations, protocol = Path(predictions), Path(annotations), check_protocol(protocol)
    workers = worker_count(workers)
    videos = read_metadata(meta or annotations.parent / "meta.json") if protocol == "youtube-vos" else None
    plans, notes = plan_sequences(predictions, annotations, protocol, videos)
    total = sum(len(plan.frames) for plan in plans)
    workers = workers if total >= _WORTH_WORKERS else 1
    notes += chain.from_iterable(parallel_map(unscored_faults, plans, workers))
    if strict:
        refuse(notes)
    results = []
    for plan, scores, late in _score_all(plans, total, workers, on_progress or (lambda done, total: None)):
        notes += [
            f"{plan.name}: id {new}, annotated from {frame} on, is not scored; the objects are {some(plan.known_ids)}"
            for new, frame in late.items()
        ]
        results.append(_result(plan, scores, notes))
    if strict:
        refuse(notes)
    return Report(protocol, tuple(results), predictions, annotations, tuple(notes), seen_categories)


def score_frames(plan: Plan) -> tuple[FrameScores, LateIds]:
    """Scores the frames of a plan: (T, K) of everything, and ids of the annotation that are not to be scored."""
    scores, late = [], LateIds()
    for frame in plan.frames:
        prediction, target = _read_pair(plan, frame)
        scores.append(score_frame(prediction, target, plan.ids))
        for new in unknown_ids(target, plan.known_ids):
            late.setdefault(new, frame)
    return _joined(scores, np.stack), late


def unscored_faults(plan: Plan) -> list[str]:
    """What is wrong with the masks that the protocol doesn't score: it is no error, but a server may refuse them."""
    faults = []
    for frame in plan.unscored:
        try:
            _read_pair(plan, frame)
        except VOSError as error:
            faults.append(f"not scored, but wrong: {error}")
    return faults


def refuse(notes: list[str]) -> None:
    """Raises if there is anything to note.

    Raises:
        VOSError: With the first note.
    """
    if notes:
        raise VOSError(f"strict: {notes[0]}" + (f" (and {len(notes) - 1} more)" if len(notes) > 1 else ""))


def _read_pair(plan: Plan, frame: str) -> tuple[IdMask, IdMask]:
    """Prediction and annotation of a frame, as the protocol sees them."""
    path, annotation = plan.predictions / f"{frame}.png", plan.annotations / f"{frame}.png"
    prediction = predicted_ids(read_mask(path), plan.protocol)
    target = target_ids(read_mask(annotation), plan.protocol)
    if prediction.shape != target.shape:
        (height, width), (expected_height, expected_width) = prediction.shape, target.shape
        raise MaskError(
            f"{path}: is {width}x{height} pixels, {annotation} is {expected_width}x{expected_height}; "
            "write masks at the size of the annotation"
        )
    check_known(prediction, plan.known_ids, path)
    return prediction, target


def _score_all(
    plans: list[Plan], total: int, workers: int, on_progress: Callable[[int, int], None]
) -> Iterator[tuple[Plan, FrameScores, LateIds]]:
    """Scores all sequences, in order.

    Work is dealt out in short runs of frames, so that one long sequence keeps all cores busy.
    """
    done = 0
    jobs = [
        replace(plan, frames=plan.frames[start : start + _CHUNK])
        for plan in plans
        for start in range(0, len(plan.frames), _CHUNK)
    ]
    scored = zip(jobs, parallel_map(score_frames, jobs, workers), strict=True)
    whole = {plan.name: plan for plan in plans}
    for name, parts in groupby(scored, key=lambda pair: pair[0].name):
        runs, late = [], LateIds()
        for _, (run, new) in parts:
            runs.append(run)
            late = new | late  # the earlier frame
            done += len(run.J)
            on_progress(done, total)
        yield whole[name], _joined(runs, np.concatenate), late


def _joined(several: list[FrameScores], join: Callable[[tuple[NDArray[Any], ...]], NDArray[Any]]) -> FrameScores:
    return FrameScores(*(join(column) for column in zip(*several, strict=True)))


def _result(plan: Plan, scores: FrameScores, notes: list[str]) -> SequenceResult:
    """Collects a sequence, without the ids that its annotations skip."""
    annotated = np.isin(plan.ids, plan.first_ids) | scores.given.any(axis=0)
    for k in np.flatnonzero(~annotated).tolist():
        if scores.predicted[:, k].any():
            raise MaskError(f"{plan.predictions}: holds id {plan.ids[k]}, which no annotation of {plan.name} has")
        notes.append(f"{plan.name}: id {plan.ids[k]} is in no annotation and left out; the official code scores it 1")
    kept = np.flatnonzero(annotated)
    scored = np.ones(scores.J.shape, dtype=bool)
    if plan.spans is not None:
        scored = np.array([[frame in span for span in plan.spans] for frame in plan.frames])
    return SequenceResult(
        plan.name,
        tuple(plan.ids[k] for k in kept),
        plan.frames,
        np.where(scored, scores.J, np.nan)[:, kept],
        np.where(scored, scores.F, np.nan)[:, kept],
        scores.given[:, kept],
        None if plan.categories is None else tuple(plan.categories[k] for k in kept),
    )
