"""One video with its propagated masks, for `OnlineAdapter`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, IterableDataset

from vos_lightning.data.layouts.sequences import Mask, MaskFolder
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.ids import given_objects, merged_objects, present_ids
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_palette
from vos_lightning.transforms.images import ImageAugmentation, resize_image, resize_mask


class OneSequenceDataModule(pl.LightningDataModule):
    """Frames of one video with the masks that a tracker made, resized once, kept in memory, drawn at random.

    Training batches hold `frames` uint8 (B, 3, size, size), `labels` int64 (B, size, size), where ids are numbered from
    1 on in order of appearance, `t` (B,) frame indices counted from the first mask, and `num_classes` (B,), background
    and objects that had appeared by then. Validation needs `targets`; it and prediction get one item: `sequence`,
    `frames`, `masks`, `targets`, `object_ids`, `palette` as of evaluation sequences.

    Args:
        root: the video, a file or a folder of frames.
        masks: folder of propagated masks, one PNG per frame, named after the frames, as `vos-lightning segment` writes.
        batch_size: frames per step.
        targets: folder of ground truth to score against; nothing learns from it.
        size: frames are resized to a square of this side, in pixels; a multiple of 32.
        steps_per_epoch: an epoch is this long, and ends with a validation.
        merge: take all ids for one object (DAVIS 2016).
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
        self._train: SequenceDraws | None = None
        self._item: dict[str, Any] | None = None

    def setup(self, stage: str) -> None:
        """Read, and for training resize, the whole sequence once.

        Raises:
            DatasetNotFoundError: a frame without a mask.
            MaskError: masks that aren't of the frames' size, or can't be used.
        """
        if self._item is None:
            self._item = self._open()
        if stage == "fit" and self._train is None:
            self._train = SequenceDraws(self._item, self.size, self.batch_size, self.steps_per_epoch, self.seed)

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

    def _open(self) -> dict[str, Any]:
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


class SequenceDraws(IterableDataset[dict[str, torch.Tensor]]):
    """Random batches of one sequence.

    Args:
        item: of the sequence, see `OneSequenceDataModule`.
        size: of the frames, in pixels.
        batch_size: frames per batch.
        length: batches per pass.
        seed: of order and augmentation.
    """

    def __init__(self, item: dict[str, Any], size: int, batch_size: int, length: int, seed: int) -> None:
        self.batch_size, self.length = batch_size, length
        self._generator = torch.Generator().manual_seed(seed)
        self._augmentation = ImageAugmentation(seed)
        table = np.zeros(256, np.uint8)
        table[item["object_ids"]] = np.arange(1, 1 + len(item["object_ids"]))
        self._frames: list[tuple[Mask, Mask, int]] = []
        num_classes = 1
        for t, frame in enumerate(item["frames"]):
            labels = table[item["masks"][t]]
            num_classes = max(num_classes, 1 + int(labels.max()))
            if num_classes > 1:  # frames before the first object teach nothing
                self._frames.append((resize_image(frame, size), resize_mask(labels, size), num_classes))

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Different batches in every pass; of different frames, if there are enough."""
        for _ in range(self.length):
            count = len(self._frames)
            order = torch.randperm(max(count, self.batch_size), generator=self._generator)[: self.batch_size] % count
            yield self._batch(order.tolist())

    def _batch(self, indices: list[int]) -> dict[str, torch.Tensor]:
        chosen = [self._frames[i] for i in indices]
        pairs = [self._augmentation(image, labels) for image, labels, _ in chosen]
        return {
            "frames": torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2),
            "labels": torch.from_numpy(np.stack([labels for _, labels in pairs])).long(),
            "t": torch.tensor(indices),
            "num_classes": torch.tensor([num_classes for *_, num_classes in chosen]),
        }


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
