"""Finds the masks to compare and refuses what can't be compared before anything is scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.evaluation.metadata import Video
from vos_lightning.evaluation.protocols import Protocol, objects_of, some, target_ids
from vos_lightning.ids import present_ids
from vos_lightning.io.files import list_files, natural_key
from vos_lightning.io.masks import read_mask


@dataclass(frozen=True)
class Plan:
    """What to score in one sequence."""

    name: str  # folder's name
    protocol: Protocol  # how ids are read
    predictions: Path  # folder of PNGs
    annotations: Path  # folder of PNGs
    frames: tuple[str, ...]  # names of the scored frames, without suffix
    unscored: tuple[str, ...]  # names of annotated frames that are predicted and not scored
    ids: tuple[int, ...]  # K objects
    known_ids: tuple[int, ...]  # what a prediction may hold
    first_ids: tuple[int, ...]  # objects that are certain to be annotated
    spans: tuple[frozenset[str], ...] | None = None  # for each object the frames in which it is scored; `None`: in all
    categories: tuple[str, ...] | None = None  # for each object its category, where known


def sequence_folders(root: Path, role: str) -> dict[str, Path]:
    """Sequence folders below `root`: those that hold PNGs, by name, naturally sorted.

    Raises:
        DatasetNotFoundError: `root` is missing, or holds PNGs or a data set instead of sequence folders.
    """
    if not root.is_dir():
        raise DatasetNotFoundError(f"{root}: no such folder of {role}; expected {root.name}/<sequence>/<frame>.png")
    folders = sorted(
        (path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: natural_key(path.name),
    )
    if found := {path.name: path for path in folders if list_files(path, (".png",))}:
        return found
    if list_files(root, (".png",)):
        wanted = f"give the folder that holds one folder per sequence: {root.parent}"
        raise DatasetNotFoundError(f"{root}: holds PNGs itself; {wanted}")
    for nested in ("Annotations/480p", "Annotations/Full-Resolution", "Annotations"):
        if (root / nested).is_dir():
            raise DatasetNotFoundError(f"{root}: holds no sequence folders; did you mean {root / nested}?")
    raise DatasetNotFoundError(f"{root}: holds no folder with PNGs; expected {root.name}/<sequence>/<frame>.png")


def plan_sequences(
    predictions: Path, annotations: Path, protocol: Protocol, videos: dict[str, Video] | None = None
) -> tuple[list[Plan], list[str]]:
    """Pairs predicted sequences with their annotations.

    Args:
        predictions: Folder of sequence folders.
        annotations: Folder of sequence folders.
        protocol: Which frames are scored: davis2016 and davis2017 leave out the first and the last annotated one.
        videos: For youtube-vos, what `meta.json` says.

    Returns:
        One plan for each predicted sequence, and notes on what is left out or superfluous.

    Raises:
        VOSError: A prediction has no annotation or lacks a frame, a sequence is empty, or no frame is left to score.
    """
    given = sequence_folders(annotations, "annotations")
    predicted = sequence_folders(predictions, "predictions")
    _check_names(predictions, predicted, annotations, given)
    plans, notes = [], list[str]()
    for name, folder in predicted.items():
        if videos is None:
            plan = _plan_davis(name, folder, given[name], protocol, notes)
        else:
            plan = _plan_youtube(name, folder, given[name], videos, notes)
        if plan is not None:
            plans.append(plan)
    if not plans:
        raise VOSError(f"{predictions}: no frame is left to score; {notes[0]}")
    if videos is not None:
        notes += _unannotated(videos, given, annotations)
    if missing := [name for name in given if name not in predicted]:
        notes.append(f"not scored, for there are no predictions: {some(missing)} of {annotations}")
    return plans, notes


def _check_names(predictions: Path, predicted: Iterable[str], annotations: Path, given: dict[str, Path]) -> None:
    if unknown := [predictions / name for name in predicted if name not in given]:
        raise VOSError(f"{unknown[0]}: there is no sequence of that name in {annotations}; rename or remove it")
    for path in predictions.iterdir():
        if path.name in given and path.name not in predicted:
            raise VOSError(f"{path}: holds no PNG; write one per frame, or remove the folder to leave the sequence out")


def _plan_davis(name: str, folder: Path, annotated: Path, protocol: Protocol, notes: list[str]) -> Plan | None:
    frames = frame_names(annotated)
    first = annotated / f"{frames[0]}.png"
    first_mask = read_mask(first)
    ids = tuple(objects_of(first_mask, protocol, first))
    scored, first_ids = tuple(frames[1:-1]), tuple(present_ids(target_ids(first_mask, protocol)))
    unscored = _check_frames(folder, scored, frames, notes)
    if not scored:
        notes.append(f"{name}: left out, for none of its {len(frames)} frames is left without the first and the last")
        return None
    return Plan(name, protocol, folder, annotated, scored, unscored, ids, ids, first_ids)


def _plan_youtube(name: str, folder: Path, annotated: Path, videos: dict[str, Video], notes: list[str]) -> Plan | None:
    if name not in videos:
        raise VOSError(f"{folder}: meta.json has no video {name!r}; give the meta.json of these annotations")
    frames, listed = frame_names(annotated), videos[name].objects
    spans = [frozenset(entry.frames[1:]) & frozenset(frames) for entry in listed]
    scored = [frame for frame in frames if any(frame in span for span in spans)]
    unscored = _check_frames(folder, scored, frames, notes)
    kept = [(entry, span) for entry, span in zip(listed, spans, strict=True) if span]
    left_out = [entry.id for entry, span in zip(listed, spans, strict=True) if not span]
    notes += [f"{name}: object {one} is left out, for no frame after its first is annotated" for one in left_out]
    if not kept:
        return None
    ids, listed_ids = tuple(entry.id for entry, _ in kept), tuple(entry.id for entry in listed)
    kept_spans, categories = tuple(span for _, span in kept), tuple(entry.category for entry, _ in kept)
    scored_frames = tuple(scored)
    return Plan(
        name, "youtube-vos", folder, annotated, scored_frames, unscored, ids, listed_ids, ids, kept_spans, categories
    )


def _unannotated(videos: dict[str, Video], given: dict[str, Path], annotations: Path) -> list[str]:
    """What `meta.json` lists and the annotations lack."""
    notes = []
    if missing := [name for name in videos if name not in given]:
        notes.append(f"{annotations}: lacks {some(missing)} of the {len(videos)} videos in meta.json")
    for name, folder in given.items():
        wanted = videos[name].frames if name in videos else ()
        if lacking := sorted(set(wanted).difference(frame_names(folder))):
            notes.append(f"{folder}: lacks {some(lacking)} of the {len(wanted)} frames in meta.json, so not scored")
    return notes


def _check_frames(folder: Path, scored: Sequence[str], annotated: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """Raises if a frame to score is missing; returns the frames that are annotated and predicted, but not scored."""
    predicted = frame_names(folder)
    require_frames(folder, predicted, scored, "to score")
    present, known = set(predicted), set(annotated)
    if unscored := [frame for frame in annotated if frame not in present]:
        names = some(unscored)
        notes.append(f"{folder}: no prediction for {names}, which the protocol doesn't score; a server may want it")
    if extra := [frame for frame in predicted if frame not in known]:
        notes.append(f"{folder}: {some(extra)} not annotated and so not scored")
    return tuple(sorted(known.intersection(present).difference(scored)))


def require_frames(folder: Path, present: Sequence[str], wanted: Sequence[str], purpose: str) -> None:
    """Checks that a folder has all frames that are needed.

    Raises:
        VOSError: It lacks one.
    """
    there = set(present)
    if missing := [f"{frame}.png" for frame in wanted if frame not in there]:
        some_of_all = f"{some(missing)} of the {len(wanted)} frames {purpose}"
        raise VOSError(f"{folder}: lacks {some_of_all}; write one PNG per frame")


def frame_names(folder: Path) -> list[str]:
    """Names of the PNGs of a folder, without suffix, naturally sorted.

    Raises:
        VOSError: One ends in capitals, so that the official code and the servers don't find it.
    """
    paths = list_files(folder, (".png",))
    for path in paths:
        if path.suffix != ".png":
            raise VOSError(f"{path}: the official code and the servers look for .png; rename it to {path.stem}.png")
    return [path.stem for path in paths]
