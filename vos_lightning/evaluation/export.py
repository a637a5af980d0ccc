"""Packs results as the servers of DAVIS and YouTube-VOS want them; everything is checked before anything is written."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from vos_lightning.errors import DatasetNotFoundError, MaskError, VOSError
from vos_lightning.evaluation.folders import sequence_folders
from vos_lightning.evaluation.metadata import Video
from vos_lightning.evaluation.protocols import some
from vos_lightning.evaluation.workers import parallel_map
from vos_lightning.functional.id_masks import VOID
from vos_lightning.io.files import atomic_path, list_files, temporary_sibling
from vos_lightning.io.masks import read_mask, read_palette
from vos_lightning.io.palette import complete_palette

Format: TypeAlias = Literal["davis", "youtube-vos"]
FORMATS: tuple[Format, ...] = get_args(Format)

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True)
class Item:
    """One mask of a submission.

    Attributes:
        sequence: Folder's name.
        source: File to pack.
        target: Name in the submission.
        ids: What the mask may hold besides 0.
        size: Height and width that it must have; `None`: that of the sequence's first mask.
    """

    sequence: str
    source: Path
    target: str
    ids: frozenset[int]
    size: tuple[int, int] | None = None


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
        frames = _stems(predicted[name], (".png",))
        size = None
        if reference is not None:
            references = list_files(reference / name, _IMAGES)
            frames = _required(predicted[name], frames, [path.stem for path in references], notes)
            with Image.open(references[0]) as image:
                size = (image.height, image.width)
        ids = _first_ids(predicted[name] / f"{frames[0]}.png", notes)
        items += [Item(name, predicted[name] / f"{frame}.png", f"{name}/{frame}.png", ids, size) for frame in frames]
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
        frames = _required(predicted[name], _stems(predicted[name], (".png",)), video.frames, notes)
        ids = frozenset(entry.id for entry in video.objects)
        items += [
            Item(name, predicted[name] / f"{frame}.png", f"Annotations/{name}/{frame}.png", ids) for frame in frames
        ]
    return items, notes


def check_items(items: Sequence[Item], workers: int | None = None) -> None:
    """Reads every mask.

    Raises:
        CorruptFileError: One can't be decoded.
        MaskError: One holds an id it may not hold, or has another size than it must.
    """
    sizes = zip(items, parallel_map(check_item, items, workers), strict=True)
    for _, group in groupby(sizes, key=lambda pair: pair[0].sequence):
        (first, (height, width)), *others = group
        for item, size in others:
            if size != (height, width):
                raise MaskError(
                    f"{item.source}: is {size[1]}x{size[0]} pixels, {first.source.name} {width}x{height}; "
                    "write all masks of a sequence at one size"
                )


def check_item(item: Item) -> tuple[int, int]:
    """Reads a mask and returns its height and width."""
    mask = read_mask(item.source)
    height, width = mask.shape
    if item.size is not None and mask.shape != item.size:
        raise MaskError(
            f"{item.source}: is {width}x{height} pixels, the data set {item.size[1]}x{item.size[0]}; "
            "write masks at the size of the frames"
        )
    unknown = sorted(set(np.flatnonzero(np.bincount(mask.ravel())).tolist()) - item.ids - {0})
    if unknown:
        known = some([str(one) for one in sorted(item.ids)])
        raise MaskError(f"{item.source}: holds id {some([str(one) for one in unknown])}, but the objects are {known}")
    return height, width


def write_submission(items: Iterable[Item], output: Path) -> None:
    """Writes a zip file if `output` is called so, else a new folder; there whole or not at all.

    Raises:
        VOSError: `output` can't be written.
    """
    if output.suffix.lower() == ".zip":
        with atomic_path(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
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
    image = Image.fromarray(read_mask(path))
    image.putpalette(complete_palette(None))
    with BytesIO() as file:
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
        return image_set.read_text(encoding="utf-8").split()
    if reference is None:
        return list(predicted)
    if not reference.is_dir():
        raise DatasetNotFoundError(f"{reference}: no such folder; expected {reference.name}/<sequence>/<frame>.jpg")
    return sorted(path.name for path in reference.iterdir() if path.is_dir() and list_files(path, _IMAGES))


def _check_sequences(predictions: Path, predicted: dict[str, Path], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in predicted]
    if missing:
        raise VOSError(f"{predictions}: lacks {some(missing)} of {len(wanted)} sequences; predict them all")


def _left_out(predictions: Path, predicted: Iterable[str], wanted: Iterable[str]) -> list[str]:
    kept = set(wanted)
    extra = [name for name in predicted if name not in kept]
    return [f"{predictions}: {some(extra)} not wanted and left out"] if extra else []


def _required(folder: Path, frames: Sequence[str], wanted: Sequence[str], notes: list[str]) -> list[str]:
    """The wanted frames, if all are there."""
    present = set(frames)
    missing = [f"{frame}.png" for frame in wanted if frame not in present]
    if missing:
        raise VOSError(f"{folder}: lacks {some(missing)} of the {len(wanted)} frames wanted; write one PNG per frame")
    extra = len(present.difference(wanted))
    if extra:
        notes.append(f"{folder}: {extra} of {len(frames)} frames not wanted and left out")
    return list(wanted)


def _first_ids(path: Path, notes: list[str]) -> frozenset[int]:
    """Ids of the first mask of a sequence, which must be 1 to N for the official code."""
    ids = {int(one) for one in np.unique(read_mask(path)) if one}
    if not ids:
        raise MaskError(f"{path}: the first mask holds no object; write the given mask as the first frame")
    if ids != set(range(1, len(ids) + 1)) and ids != {VOID}:
        found = some([str(one) for one in sorted(ids)])
        notes.append(f"{path}: the ids are {found}, but the official code expects 1 to {len(ids)}")
    return frozenset(ids)


def _stems(folder: Path, suffixes: Sequence[str]) -> list[str]:
    return [path.stem for path in list_files(folder, suffixes)]
