"""One video with its propagated masks, for `OnlineAdapter`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from vos_lightning.batches import AdapterBatch, AdapterItem
from vos_lightning.data.layouts.sequences import MaskFolder
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.ids import given_objects, merged_objects, present_ids
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_palette
from vos_lightning.transforms.training_frames import TrainingFrames


class OneSequenceDataModule(pl.LightningDataModule):
    """Frames of one video with the masks that a tracker made, resized once, kept in memory, drawn at random.

    Training batches are an `AdapterBatch`, those of `inference.adaptation.adapt` for a sequence of the name of `root`.
    Validation, which needs `targets`, and prediction get one `AdapterItem`.

    Args:
        root: the video, a file or a folder of frames.
        masks: folder of propagated masks, one PNG per frame, named after the frames, as `vos-lightning segment` writes.
        batch_size: frames per step.
        targets: folder of ground truth to score against; never used for training.
        size: frames are resized to a square of this side, in pixels; a multiple of 32.
        steps_per_epoch: length of an epoch, which ends with a validation.
        merge: all ids are one object (DAVIS 2016).
        seed: of order and augmentation.
    """

    def __init__(
        self,
        root: str,
        masks: str,
        batch_size: int = 4,
        *,
        targets: str | None = None,
        size: int = 480,
        steps_per_epoch: int = 10,
        merge: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        if size < 32 or size % 32:
            raise VOSError(f"size={size}: need a multiple of 32, the network's stride")
        if batch_size < 1 or steps_per_epoch < 1:
            raise VOSError(f"batch_size={batch_size}, steps_per_epoch={steps_per_epoch}: need at least 1")
        self.root, self.masks, self.targets = Path(root), Path(masks), None if targets is None else Path(targets)
        self.batch_size, self.size, self.steps_per_epoch = batch_size, size, steps_per_epoch
        self.merge, self.seed = merge, seed
        self._train: _Batches | None = None
        self._item: AdapterItem | None = None

    def setup(self, stage: str) -> None:
        """Read, and for training resize, the whole sequence once.

        Raises:
            DatasetNotFoundError: a frame without a mask.
            MaskError: masks that aren't of the frames' size, or can't be used.
        """
        if self._item is None:
            self._item = self._open()
        if stage == "fit" and self._train is None:
            drawn = TrainingFrames(self.size, self.batch_size, seed=self.seed, sequence=self._item["sequence"])
            for frame, mask in zip(self._item["frames"], self._item["masks"], strict=True):
                assert mask is not None, "_open found one for each frame"
                drawn.add(frame, mask)
            self._train = _Batches(drawn, self.steps_per_epoch)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches, made in this process: it holds the frames."""
        assert self._train is not None, "call setup('fit') first"
        return DataLoader(self._train, batch_size=None, generator=torch.Generator())

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The sequence, if there are targets."""
        return self.predict_dataloader() if self.targets is not None else []

    def test_dataloader(self) -> DataLoader[Any]:
        """The sequence.

        Raises:
            VOSError: there is nothing to score against.
        """
        if self.targets is None:
            raise VOSError(f"{self.root}: nothing to score against; give targets, a folder of ground truth")
        return self.predict_dataloader()

    def predict_dataloader(self) -> DataLoader[Any]:
        """The sequence."""
        return DataLoader([self._item], batch_size=None)  # type: ignore[arg-type]  # a list is a dataset

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Move training batches; the sequence stays where it is, unread."""
        if isinstance(batch["frames"], torch.Tensor):
            return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
        return batch

    def _open(self) -> AdapterItem:
        frames = open_frames(self.root)
        objects = merged_objects if self.merge else given_objects
        masks = MaskFolder(self.masks, frames.names, objects, frames.size)
        if missing := [name for name in frames.names if name not in masks.paths]:
            raise DatasetNotFoundError(
                f"{self.masks / missing[0]}.png: missing, as are the masks of {len(missing) - 1} more frames; "
                f"write them with `vos-lightning segment {self.root} --mask FIRST.png --output {self.masks}`"
            )
        return {
            "sequence": self.root.stem,
            "frames": frames,
            "masks": masks,
            "targets": None if self.targets is None else MaskFolder(self.targets, frames.names, objects, frames.size),
            "object_ids": _ids_by_appearance(masks),
            "palette": read_palette(masks.paths[masks.names[0]]),
        }


class _Batches(IterableDataset[AdapterBatch]):
    """Random batches of one sequence, different ones in every pass.

    Args:
        frames: to draw from.
        length: batches per pass.
    """

    def __init__(self, frames: TrainingFrames, length: int) -> None:
        self.frames, self.length = frames, length

    def __iter__(self) -> Iterator[AdapterBatch]:
        return self.frames.batches(self.length)


def _ids_by_appearance(masks: MaskFolder) -> list[int]:
    """Ids in order of appearance, those of one frame ascending.

    Raises:
        VOSError: there is none.
    """
    ids: list[int] = []
    for t in range(len(masks)):
        mask = masks[t]
        ids += [] if mask is None else [one for one in present_ids(mask) if one not in ids]
    if not ids:
        raise VOSError(f"{masks.directory}: no object in any of the masks")
    return ids
