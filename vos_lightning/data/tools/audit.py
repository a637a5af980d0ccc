"""Read a whole dataset and say what is wrong with it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.data.layouts.index import holds_masks
from vos_lightning.data.layouts.kinetics import read_list
from vos_lightning.data.layouts.names import VIDEO_SUFFIXES
from vos_lightning.data.tools.audit_report import AuditReport, Problem
from vos_lightning.data.tools.audit_trees import ExpectedSequence, davis_expectations, youtube_vos_expectations
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.ids import VOID, present_ids
from vos_lightning.io.decoder import VideoDecoder
from vos_lightning.io.files import list_files, natural_key
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES, read_frame
from vos_lightning.io.masks import read_mask
from vos_lightning.io.progress import map_files

FORMATS = ("davis", "youtube-vos", "kinetics", "videos")


@dataclass
class _Finding:
    """What is known of one video after reading it."""

    frames: int = 0
    masks: int = 0
    size: tuple[int, int] | None = None
    fps: float | None = None
    ids: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fault(self, path: Path, error: VOSError) -> None:
        """Note a file that can't be used."""
        self.problems.append(Problem.of(path, error))


def audit_dataset(
    root: str | Path, format: str = "videos", clip_length: int = 2, threads: int | None = None
) -> AuditReport:
    """Decode every frame and mask of a dataset; count, and name what is missing, corrupt or invalid.

    Args:
        root: the dataset.
        format: "davis", "youtube-vos", "kinetics" (with the CSV lists in `root` or ``root/annotations``, if any) or
            "videos".
        clip_length: frames that a training clip needs.
        threads: videos at a time; None takes two per core.

    Raises:
        DatasetNotFoundError: nothing of that layout is there.
        VOSError: unknown format, or a clip or a number of threads below 1.
    """
    if format not in FORMATS:
        raise VOSError(f"format={format!r}: one of {', '.join(FORMATS)}")
    if clip_length < 1:
        raise VOSError(f"clip_length={clip_length}: a clip has at least one frame")
    root = Path(root)
    report = AuditReport(str(root), format, clip_length)
    if format in ("davis", "youtube-vos"):
        _audit_tree(report, root, threads)
    else:
        _audit_videos(report, root, threads)
        if format == "kinetics":
            _compare_lists(report, root)
    return report


def _audit_videos(report: AuditReport, root: Path, threads: int | None) -> None:
    paths = []
    for path in find_videos(root):
        if holds_masks(path):
            report.notes.append(f"{path}: palette PNGs are masks, no video")
        else:
            paths.append(path)
    for path, found in zip(paths, map_files(_read_video, paths, f"reading {len(paths)} videos", threads), strict=True):
        _add(report, path, found)


def _audit_tree(report: AuditReport, root: Path, threads: int | None) -> None:
    expectations = davis_expectations(root) if report.format == "davis" else youtube_vos_expectations(root)
    report.splits = expectations.splits
    report.problems += expectations.problems
    report.notes += expectations.notes
    sequences = expectations.sequences
    results = map_files(_read_sequence, sequences, f"reading {len(sequences)} sequences", threads)
    for sequence, found in zip(sequences, results, strict=True):
        _add(report, sequence.frames, found)
        if sequence.masks is not None and found.ids:
            report.objects[str(len(found.ids))] += 1


def _add(report: AuditReport, path: Path, found: _Finding) -> None:
    report.videos += 1
    report.frames += found.frames
    report.masks += found.masks
    report.problems += found.problems
    report.notes += found.notes
    if found.size is not None:
        report.sizes["{}x{}".format(*found.size)] += 1
    if found.fps is not None:
        report.fps[f"{found.fps:.4g}"] += 1
    if found.problems:
        return
    if found.frames < report.clip_length:
        report.notes.append(f"{path}: short, {found.frames} frames, a clip needs {report.clip_length}")
    else:
        report.trainable += 1


def _read_video(path: Path) -> _Finding:
    """Decode a video file, or all files of a folder of frames, to the end."""
    found = _Finding()
    try:
        if path.is_dir():
            _read_frames(path, found)
        else:
            _read_file(path, found)
    except VOSError as error:
        found.fault(path, error)
    return found


def _read_file(path: Path, found: _Finding) -> None:
    """Decode a video file to the end."""
    with VideoDecoder(path) as decoder:
        found.fps = decoder.facts.fps
        damaged = []
        for index, frame in decoder.frames(range(len(decoder))):
            found.size = found.size or decoder.to_array(frame).shape[:2]
            found.frames += 1
            if frame.is_corrupt:
                damaged.append(index)
    if damaged:
        raise CorruptFileError(f"{path}: {len(damaged)} frames are damaged, the first is {damaged[0]}; replace it")


def _read_frames(folder: Path, found: _Finding) -> dict[str, tuple[int, int]]:
    """Decode images; sizes by name."""
    sizes: dict[str, tuple[int, int]] = {}
    for path in list_files(folder, IMAGE_SUFFIXES):
        if path.stem in sizes:
            found.problems.append(Problem.invalid(path, f"a second frame named {path.stem}; remove one of them"))
        try:
            height, width = read_frame(path).shape[:2]
        except VOSError as error:
            found.fault(path, error)
            continue
        found.size = found.size or (height, width)
        found.frames += 1
        sizes[path.stem] = (height, width)
        if (height, width) != found.size:
            reason = f"{height}x{width}, but the frames before are {found.size[0]}x{found.size[1]}"
            found.problems.append(Problem.invalid(path, reason))
    return sizes


def _read_sequence(sequence: ExpectedSequence) -> _Finding:
    """Read the frames and masks of a sequence and compare them with what should be there."""
    found = _Finding()
    try:
        sizes = _read_frames(sequence.frames, found)
        there = {path.stem for path in list_files(sequence.frames, IMAGE_SUFFIXES)}
        found.problems += [Problem.missing(sequence.frames / f"{name}.jpg") for name in sequence.frame_names - there]
        if not there and not sequence.frame_names:
            found.problems.append(Problem.missing(sequence.frames, "no frame in this folder"))
        if sequence.masks is not None:
            _read_masks(sequence, there, sizes, found)
    except VOSError as error:
        found.fault(sequence.frames, error)
    found.problems.sort(key=lambda problem: problem.path)
    return found


def _read_masks(
    sequence: ExpectedSequence, frames: set[str], sizes: dict[str, tuple[int, int]], found: _Finding
) -> None:
    assert sequence.masks is not None
    paths = {path.stem: path for path in list_files(sequence.masks, {".png"})}
    missing = sequence.mask_names(frames) - paths.keys()
    found.problems += [Problem.missing(sequence.masks / f"{name}.png") for name in missing]
    first: set[int] | None = None
    introduced = sequence.introduced
    if introduced is None:
        introduced = {name: set() for name in sorted(frames, key=natural_key)[:1]}
    for name, path in paths.items():
        if name not in frames and name not in sequence.frame_names:
            found.notes.append(f"{path}: no frame of this name")
        try:
            mask = read_mask(path)
        except VOSError as error:
            found.fault(path, error)
            continue
        found.masks += 1
        if name in sizes and sizes[name] != mask.shape:
            reason = f"{mask.shape[0]}x{mask.shape[1]}, but its frame is {sizes[name][0]}x{sizes[name][1]}"
            found.problems.append(Problem.invalid(path, reason))
        ids = _ids(mask, not sequence.void_is_foreground)
        found.ids |= ids
        first = ids if first is None else first
        unknown = ids - (sequence.ids or first)
        if unknown:
            known = sorted(sequence.ids or first)
            found.notes.append(f"{path}: unusual ids {sorted(unknown)}; the sequence has {known}")
        entering = introduced.get(name, set())
        if name in introduced and not (ids & entering if entering else ids):
            wanted = f"none of the objects {sorted(entering)}" if entering else "no object"
            found.problems.append(Problem.invalid(path, f"{wanted} in it; it can't be tracked from"))
        elif entering - ids:
            found.notes.append(f"{path}: the objects {sorted(entering - ids)} should enter here and are not in it")
    if found.ids and sequence.ids is None and found.ids not in ({VOID}, set(range(1, len(found.ids) + 1))):
        found.notes.append(f"{sequence.masks}: ids {sorted(found.ids)} are not 1 to {len(found.ids)}")


def _ids(mask: np.ndarray, void: bool) -> set[int]:
    ids = set(present_ids(mask))
    return ids - {VOID} if void else ids


def _compare_lists(report: AuditReport, root: Path) -> None:
    """Name the clips of the official lists that aren't on disk."""
    folders = [folder for folder in (root, root / "annotations") if folder.is_dir()]
    lists = [path for folder in folders for path in list_files(folder, {".csv"})]
    there = {path.stem for path in find_videos(root) if path.suffix.lower() in VIDEO_SUFFIXES}
    for path in lists:
        try:
            names = read_list(path)
        except VOSError as error:
            report.problems.append(Problem.of(path, error))
            continue
        report.splits[path.stem] = len(names)
        missing = [Path(f"{name}.mp4") for name in names if name not in there]
        report.problems += [Problem.missing(clip, f"in {path}, not on disk") for clip in missing]
    if not lists:
        report.notes.append(f"{root}: no CSV list, so nothing can be missing")
