"""Frames of one sequence with their masks, resized once, from which random training batches are drawn."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from vos_lightning.batches import AdapterBatch
from vos_lightning.ids import present_ids
from vos_lightning.transforms.images import ImageAugmentation, Pixels, resize_image, resize_mask


@dataclass(frozen=True)
class TrainingFrame:
    """One frame that is kept.

    Attributes:
        index: in the video.
        image: RGB (size, size, 3).
        labels: classes (size, size).
        t: as in `AdapterBatch`; 0 where the user gave the mask.
        num_classes: as in `AdapterBatch`.
        given: whether the user gave its mask.
    """

    index: int
    image: Pixels
    labels: Pixels
    t: int
    num_classes: int
    given: bool


class TrainingFrames:
    """Frames in order of time, from the first object on; of long videos an even share, and all with given masks.

    Batches depend on the seed, the name and the frames only.

    Args:
        size: frames are resized to a square of this side, in pixels.
        batch_size: frames per batch.
        limit: number of frames to keep, besides those with given masks.
        seed: of order and augmentation.
        sequence: name of the sequence; part of the seed.

    Attributes:
        object_ids: in order of appearance, those of one frame ascending.
    """

    def __init__(self, size: int, batch_size: int, limit: int = 256, seed: int = 0, sequence: str = "") -> None:
        self.size, self.batch_size, self.limit = size, batch_size, limit
        self.object_ids: list[int] = []
        self._frames: list[TrainingFrame] = []
        self._count = self._first = self._candidates = 0
        self._stride = 1
        name = zlib.crc32(f"{seed} {sequence}".encode())
        self._generator = torch.Generator().manual_seed(name)
        self._augmentation = ImageAugmentation(name)

    def __len__(self) -> int:
        """Number of frames kept."""
        return len(self._frames)

    def __iter__(self) -> Iterator[TrainingFrame]:
        """The frames kept, in order of time."""
        return iter(self._frames)

    def add(self, image: Pixels, ids: Pixels, given: bool = False) -> None:
        """Take in the next frame of the video.

        Args:
            image: RGB (H, W, 3), or already (size, size, 3).
            ids: its mask, (H, W).
            given: whether the user gave the mask.
        """
        index = self._count
        self._count += 1
        new = [i for i in present_ids(ids) if i not in self.object_ids]
        if new and not self.object_ids:
            self._first = index
        self.object_ids += new
        if not self.object_ids:
            return
        if given or self._candidates % self._stride == 0:
            table = np.zeros(256, np.uint8)
            table[self.object_ids] = np.arange(1, 1 + len(self.object_ids))
            image = image if image.shape[:2] == (self.size, self.size) else resize_image(image, self.size)
            labels, t = table[resize_mask(ids, self.size)], 0 if given else index - self._first
            self._frames.append(TrainingFrame(index, image, labels, t, 1 + len(self.object_ids), given))
        self._candidates += 1
        self._thin_out()

    def _thin_out(self) -> None:
        """Beyond the limit, keep every second frame from now on."""
        if sum(not frame.given for frame in self._frames) > self.limit:
            self._stride *= 2
            others = iter(range(len(self._frames)))
            self._frames = [frame for frame in self._frames if frame.given or next(others) % 2 == 0]

    def batches(self, count: int) -> Iterator[AdapterBatch]:
        """Draw batches of different frames, or with repetition where there are fewer frames than `batch_size`."""
        for _ in range(count):
            if len(self) < self.batch_size:
                drawn = torch.randint(len(self), (self.batch_size,), generator=self._generator)
            else:
                drawn = torch.randperm(len(self), generator=self._generator)[: self.batch_size]
            yield self._collate([self._frames[i] for i in drawn.tolist()])

    def _collate(self, frames: list[TrainingFrame]) -> AdapterBatch:
        pairs = [self._augmentation(frame.image, frame.labels) for frame in frames]
        return {
            "frames": torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2),
            "labels": torch.from_numpy(np.stack([labels for _, labels in pairs])).long(),
            "t": torch.tensor([frame.t for frame in frames]),
            "num_classes": torch.tensor([frame.num_classes for frame in frames]),
        }
