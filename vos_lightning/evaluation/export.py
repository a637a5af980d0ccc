"""Packs results as the servers of DAVIS and YouTube-VOS want them; everything is checked before anything is written."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import count, groupby
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from PIL import Image

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError
from vos_lightning.evaluation.folders import frame_names, require_frames, sequence_folders
from vos_lightning.evaluation.metadata import Video
from vos_lightning.evaluation.protocols import some, unknown_ids
from vos_lightning.evaluation.table import counted
from vos_lightning.evaluation.workers import parallel_map
from vos_lightning.ids import VOID, present_ids
from vos_lightning.io.files import atomic_path, check_writable, list_files, temporary_sibling
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES, FrameFolder
from vos_lightning.io.masks import read_mask, read_palette
from vos_lightning.io.palette import DAVIS_PALETTE

Format: TypeAlias = Literal["davis", "youtube-vos"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True)
class Item:
    """One mask of a submission."""

    sequence: str  # folder's name
    source: Path  # file to pack
    target: str  # name in the submission
    ids: frozenset[int]  # what the mask may hold besides 0
    late: frozenset[int] = frozenset()  # ids that are introduced by a later frame
    size: tuple[int, int] | None = None  # height and width that it must have; `None`: that of the sequence's first mask

    def __post_init__(self) -> None:
        """Check the name.

        Raises:
            VOSError: It holds a backslash.
        """
        if "\\" in self.target:
            raise VOSError(f"{self.source}: unpacking may take the backslash in its name for a folder; rename it")


def plan_davis(
    predictions: Path, reference: Path | None = None, image_set: Path | None = None
) -> tuple[list[Item], list[str]]:
    """What a DAVIS submission holds: all frames of all sequences, at the root.

    Args:
        predictions: Folder of sequence folders of PNGs.
        reference: Folder of sequence folders of the images or annotations of the data set; they say which frames are
            wanted, of which size. Left out: those that are there.
        image_set: Text file with one sequence per line, such as `ImageSets/2017/val.txt`. Left out: all of `reference`.

    Returns:
        The masks and notes on what is left out.

    Raises:
        VOSError: A sequence or frame is missing.
    """
    predicted = sequence_folders(predictions, "predictions")
    wanted = _wanted_sequences(predicted, reference, image_set)
    _check_sequences(predictions, predicted, wanted)
    items, notes = [], _left_out(predictions, predicted, wanted)
    for name in wanted:
        frames, size = frame_names(predicted[name]), None
        if reference is None:
            notes += _numbering_gaps(predicted[name], frames)
        else:
            images = FrameFolder(reference / name)
            frames, size = _required(predicted[name], frames, images.names, notes), images.size
        ids = _first_ids(predicted[name] / f"{frames[0]}.png", notes)
        items += [Item(name, predicted[name] / f"{one}.png", f"{name}/{one}.png", ids, size=size) for one in frames]
    return items, notes


def plan_youtube(predictions: Path, videos: dict[str, Video]) -> tuple[list[Item], list[str]]:
    """What a YouTube-VOS submission holds: `Annotations/<video>/<frame>.png` for the frames that `meta.json` lists.

    Returns:
        The masks and notes on what is left out.

    Raises:
        VOSError: A video or frame is missing.
    """
    predicted = sequence_folders(predictions, "predictions")
    _check_sequences(predictions, predicted, list(videos))
    items, notes = [], _left_out(predictions, predicted, videos)
    for name, video in videos.items():
        ids = frozenset(entry.id for entry in video.objects)
        for frame in _required(predicted[name], frame_names(predicted[name]), video.frames, notes):
            late = frozenset(entry.id for entry in video.objects if frame < entry.frames[0])
            items.append(Item(name, predicted[name] / f"{frame}.png", f"Annotations/{name}/{frame}.png", ids, late))
    return items, notes


def check_new(output: Path) -> None:
    """Finds out before the work, not after it, that a folder or a zip file can't be made.

    Raises:
        VOSError: It is there already, or can't be.
    """
    if os.path.lexists(output):
        raise VOSError(f"{output}: is there already, and nothing is replaced; give a name that is not taken")
    base = next(folder for folder in output.absolute().parents if folder.exists())
    check_writable(base / output.name)


def check_items(items: Sequence[Item], workers: int) -> list[str]:
    """Reads every mask.

    Returns:
        Notes on objects that are there before the frame that introduces them.

    Raises:
        CorruptFileError: One can't be decoded.
        MaskError: One holds an id it may not hold, or has another size than it must.
    """
    checked = zip(items, parallel_map(check_item, items, workers), strict=True)
    notes = []
    for _, group in groupby(checked, key=lambda pair: pair[0].sequence):
        masks = list(group)
        first, ((height, width), _) = masks[0]
        for item, (size, _) in masks:
            if size != (height, width):
                raise MaskError(
                    f"{item.source}: is {size[1]}x{size[0]} pixels, {first.source.name} {width}x{height}; "
                    "write all masks of a sequence at one size"
                )
        if early := [(item.source, ids) for item, (_, ids) in masks if ids]:
            path, ids = early[0]
            more = f" (and {counted(len(early) - 1, 'more mask')})" if len(early) > 1 else ""
            notes.append(f"{path}: holds id {some(ids)} before the frame that introduces it{more}")
    return notes


def check_item(item: Item) -> tuple[tuple[int, int], list[int]]:
    """Reads a mask and returns its height and width, and the ids that it holds too early."""
    mask = read_mask(item.source)
    height, width = mask.shape
    if item.size is not None and mask.shape != item.size:
        raise MaskError(
            f"{item.source}: is {width}x{height} pixels, the data set {item.size[1]}x{item.size[0]}; "
            "write masks at the size of the frames"
        )
    if unknown := unknown_ids(mask, item.ids):
        raise MaskError(f"{item.source}: holds id {some(unknown)}, but the objects are {some(sorted(item.ids))}")
    return (height, width), sorted(item.late.intersection(present_ids(mask)))


def write_submission(items: Iterable[Item], output: Path) -> None:
    """Writes a zip file if `output` is called so, else a new folder; there whole or not at all.

    Raises:
        VOSError: `output` can't be written.
    """
    if output.suffix.lower() == ".zip":
        with atomic_path(output) as temporary:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(temporary, "w") as archive:
                for item in items:
                    # A fixed date: the same masks give the same file.
                    archive.writestr(zipfile.ZipInfo(item.target, (1980, 1, 1, 0, 0, 0)), indexed_png(item.source))
        return
    with _atomic_folder(output) as folder:
        for item in items:
            target = folder / item.target
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(indexed_png(item.source))


def indexed_png(path: Path) -> bytes:
    """A mask as the servers read it: the file as it is if it has a palette, else with the default one."""
    if read_palette(path) is not None:
        return path.read_bytes()
    image, file = Image.fromarray(read_mask(path)), BytesIO()
    image.putpalette(DAVIS_PALETTE)
    image.save(file, format="PNG")
    return file.getvalue()


@contextmanager
def _atomic_folder(output: Path) -> Iterator[Path]:
    temporary = temporary_sibling(output)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        temporary.replace(output)
    except OSError as error:
        raise VOSError(f"{output}: cannot be written ({error.strerror or error}); choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _wanted_sequences(predicted: Iterable[str], reference: Path | None, image_set: Path | None) -> list[str]:
    if image_set is not None:
        if not image_set.is_file():
            raise DatasetNotFoundError(f"{image_set}: no such file; expected one sequence per line")
        try:
            wanted = list(dict.fromkeys(image_set.read_text(encoding="utf-8").split()))
        except UnicodeDecodeError as error:
            raise CorruptFileError(f"{image_set}: not a text file; expected one sequence per line") from error
        if not wanted:
            raise VOSError(f"{image_set}: names no sequence; expected one per line")
        return wanted
    if reference is None:
        return list(predicted)
    if not reference.is_dir():
        raise DatasetNotFoundError(f"{reference}: no such folder; expected {reference.name}/<sequence>/<frame>.jpg")
    wanted = sorted(path.name for path in reference.iterdir() if path.is_dir() and list_files(path, IMAGE_SUFFIXES))
    if not wanted:
        raise DatasetNotFoundError(f"{reference}: holds no folder of images; expected <sequence>/<frame>.jpg in it")
    return wanted


def _check_sequences(predictions: Path, predicted: dict[str, Path], wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in predicted]:
        raise VOSError(f"{predictions}: lacks {some(missing)} of {len(wanted)} sequences; predict them all")


def _left_out(predictions: Path, predicted: Iterable[str], wanted: Collection[str]) -> list[str]:
    extra = [name for name in predicted if name not in wanted]
    return [f"{predictions}: {some(extra)} not wanted and left out"] if extra else []


def _required(folder: Path, frames: Sequence[str], wanted: Sequence[str], notes: list[str]) -> list[str]:
    """The wanted frames, if all are there."""
    require_frames(folder, frames, wanted, "wanted")
    if extra := len(set(frames).difference(wanted)):
        notes.append(f"{folder}: {extra} of {len(frames)} frames not wanted and left out")
    return list(wanted)


def _first_ids(path: Path, notes: list[str]) -> frozenset[int]:
    """Ids of the first mask of a sequence, which must be 1 to N for the official code."""
    ids = set(present_ids(read_mask(path)))
    if not ids:
        raise MaskError(f"{path}: the first mask holds no object; write the given mask as the first frame")
    if ids != set(range(1, len(ids) + 1)) and ids != {VOID}:
        notes.append(f"{path}: the ids are {some(sorted(ids))}, but the official code expects 1 to {len(ids)}")
    return frozenset(ids)


def _numbering_gaps(folder: Path, frames: Sequence[str]) -> list[str]:
    """A note if frames are numbered, but not from 0 on without a gap."""
    if not all(frame.isdecimal() for frame in frames):
        return []
    numbers = {int(frame) for frame in frames}
    if len(numbers) > max(numbers):
        return []
    missing = next(number for number in count() if number not in numbers)
    return [f"{folder}: its frames are numbered up to {max(numbers)}, but there is no {missing}; --reference finds all"]
