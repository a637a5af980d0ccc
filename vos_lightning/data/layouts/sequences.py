"""Evaluation sequences: lazy frames, the masks given to the tracker, and the masks to score against."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from vos_lightning.batches import EvaluationItem
from vos_lightning.errors import DatasetNotFoundError, MaskError
from vos_lightning.ids import merged_objects, present_ids, without_void
from vos_lightning.io.files import list_files
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask, read_palette

Mask = npt.NDArray[np.uint8]


class MaskFolder:
    """The masks of a sequence, matched to its frames by file name and read on access.

    Args:
        directory: folder of PNGs.
        names: the frames' names, without suffix; a frame without a PNG has the mask None.
        objects: which ids of a mask are objects, one of the rules in `vos_lightning.ids`.
        size: (H, W) that every mask must have, that of the frames; None takes any.
    """

    def __init__(
        self,
        directory: str | Path,
        names: Sequence[str],
        objects: Callable[[Mask], Mask] = without_void,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Keep the names; nothing is read yet."""
        self.directory, self.names, self.objects, self.size = Path(directory), list(names), objects, size

    def __len__(self) -> int:
        """Frames, with or without a mask."""
        return len(self.names)

    @cached_property
    def paths(self) -> dict[str, Path]:
        """PNGs by name, without suffix."""
        return {path.stem: path for path in list_files(self.directory, {".png"})}

    def __iter__(self) -> Iterator[Mask | None]:
        """Those of all frames, in order."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Mask | None:
        """Ids of one frame, what is no object as background.

        Raises:
            MaskError: not an id mask, or not of the frames' size.
            CorruptFileError: not decodable.
        """
        path = self.paths.get(self.names[index])
        if path is None:
            return None
        mask = read_mask(path)
        if self.size is not None and mask.shape != self.size:
            raise MaskError(
                f"{path}: {mask.shape[0]}x{mask.shape[1]}, but the frames of the sequence {self.directory.name} are "
                "{}x{}; give masks and frames of one resolution".format(*self.size)
            )
        return self.objects(mask)

    def annotated(self) -> list[int]:
        """Indices of the frames that have a mask, without reading any."""
        return [index for index, name in enumerate(self.names) if name in self.paths]


@dataclass(frozen=True)
class SequenceRecord:
    """Where one evaluation sequence lies.

    Args:
        name: of the sequence.
        frames: folder of frames, or a video file.
        masks: folder of PNGs named after the frames.
        scored: the masks are ground truth of the frames; without, only the prompts are read from them.
        merge: all labels are one object (DAVIS 2016).
        prompts: names of the frames that introduce objects, and the ids each introduces; None is the first frame, all
            of its ids.
        required: names of the frames whose masks are evaluated; None is all.
        categories: category of each id, where the dataset has them.
    """

    name: str
    frames: Path
    masks: Path
    scored: bool = True
    merge: bool = False
    prompts: dict[str, list[int]] | None = None
    required: tuple[str, ...] | None = None
    categories: dict[int, str] | None = None


class SequenceDataset(Dataset[EvaluationItem]):
    """One `EvaluationItem` per sequence, for dataloaders with ``batch_size=None``.

    Args:
        records: the sequences.
    """

    def __init__(self, records: Sequence[SequenceRecord]) -> None:
        """Keep the list; nothing is read yet."""
        self.records = list(records)

    @property
    def names(self) -> list[str]:
        """Of the sequences."""
        return [record.name for record in self.records]

    def __len__(self) -> int:
        """Sequences."""
        return len(self.records)

    def __getitem__(self, index: int) -> EvaluationItem:
        """Open one sequence: its prompts are read, its frames and targets are not.

        Raises:
            DatasetNotFoundError: frames or masks are missing.
            MaskError: no prompt, or one that shows none of its objects or isn't of the frames' size.
        """
        record = self.records[index]
        frames = open_frames(record.frames)
        masks = MaskFolder(record.masks, frames.names, merged_objects if record.merge else without_void, frames.size)
        prompts = _prompts(record, masks)
        first = min(prompts)
        return {
            "sequence": record.name,
            "frames": frames,
            "prompts": prompts,
            "targets": masks if record.scored else None,
            "object_ids": present_ids(prompts[first]),
            "palette": read_palette(masks.paths[masks.names[first]]),
            "required": _required(record, masks.names),
            "categories": record.categories,
        }


def _required(record: SequenceRecord, names: Sequence[str]) -> list[int] | None:
    """Indices of the frames whose masks are evaluated."""
    if record.required is None:
        return None
    places = {name: index for index, name in enumerate(names)}
    missing = [name for name in record.required if name not in places]
    if missing:
        raise DatasetNotFoundError(
            f"{record.frames / missing[0]}: this frame of {record.name} is missing; unpack it again"
        )
    return [places[name] for name in record.required]


def _prompts(record: SequenceRecord, masks: MaskFolder) -> dict[int, Mask]:
    """Masks given to the tracker, by frame index: of each introducing frame only the ids it introduces."""
    introduced: dict[str, list[int]] = {masks.names[0]: []} if record.prompts is None else record.prompts
    if not introduced:
        raise MaskError(f"{record.frames}: no object of {record.name} enters in a frame; sequence can't be tracked")
    prompts: dict[int, Mask] = {}
    for name, ids in introduced.items():
        if name not in masks.paths or name not in masks.names:
            missing = record.masks / f"{name}.png" if name not in masks.paths else record.frames / name
            raise DatasetNotFoundError(f"{missing}: missing; sequence {record.name} can't be tracked without it")
        index = masks.names.index(name)
        mask = masks[index]
        assert mask is not None
        if ids:
            mask = np.where(np.isin(mask, ids), mask, np.uint8(0))
        if not mask.any():
            wanted = f" none of the objects {ids}" if ids else " no object"
            raise MaskError(
                f"{masks.paths[name]}:{wanted} in it (255 is void unless year is 2016); sequence {record.name} "
                "can't be tracked"
            )
        prompts[index] = mask
    return prompts
