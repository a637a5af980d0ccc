"""The frames that an adapter learns from: resized once, kept as bytes, drawn at random."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vos_lightning.inference.adaptation_masks import PackedMask
from vos_lightning.transforms.images import ImageAugmentation

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """What is remembered of every frame, besides its picture.

    Args:
        t: index of the frame.
        mask: propagated ids, under those that were given, at full size.
        num_classes: background and objects given so far.
        given: what the user gave for this frame, if anything.
    """

    t: int
    mask: PackedMask
    num_classes: int
    given: PackedMask | None


@dataclass(frozen=True)
class TrainingFrame:
    """One frame with its propagated, or given, mask.

    Args:
        image: RGB (size, size, 3).
        labels: classes, (size, size); 0 is background.
        seen: what else is known of it.
        weight: of its loss.
    """

    image: Pixels
    labels: Pixels
    seen: Seen
    weight: float


class Batch(NamedTuple):
    """B augmented frames: `frames` uint8 (B, 3, H, W), `labels` int64 (B, H, W), `weights` (B,), `known` (B, K + 1)."""

    frames: Tensor
    labels: Tensor
    weights: Tensor
    known: Tensor


class TrainingFrames:
    """Frames in order of time, no more than a limit: beyond it every second one goes, given ones stay.

    Args:
        limit: frames to keep, beside those that were given.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._frames: list[TrainingFrame] = []
        self._stride = 1
        self._seen = 0

    def __len__(self) -> int:
        """Frames kept."""
        return len(self._frames)

    def __iter__(self) -> Iterator[TrainingFrame]:
        """The frames kept, in order of time."""
        return iter(self._frames)

    def add(self, frame: TrainingFrame) -> None:
        """Keep a frame, if it is its turn."""
        if frame.seen.given is not None or self._seen % self._stride == 0:
            self._frames.append(frame)
        self._seen += 1
        given = sum(kept.seen.given is not None for kept in self._frames)
        if len(self._frames) - given > self.limit:
            self._stride *= 2
            others = iter(range(len(self._frames)))
            self._frames = [kept for kept in self._frames if kept.seen.given is not None or next(others) % 2 == 0]

    def batches(
        self, count: int, batch_size: int, num_classes: int, augmentation: ImageAugmentation, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Draw batches of different frames, or with repetition where there are fewer than a batch takes."""
        for _ in range(count):
            if len(self) < batch_size:
                drawn = torch.randint(len(self), (batch_size,), generator=generator)
            else:
                drawn = torch.randperm(len(self), generator=generator)[:batch_size]
            yield collate([self._frames[i] for i in drawn.tolist()], num_classes, augmentation)


def collate(frames: list[TrainingFrame], num_classes: int, augmentation: ImageAugmentation) -> Batch:
    """Augment frames and stack them."""
    pairs = [augmentation(frame.image, frame.labels) for frame in frames]
    counts = torch.tensor([frame.seen.num_classes for frame in frames])
    return Batch(
        torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack([labels for _, labels in pairs])).long(),
        torch.tensor([frame.weight for frame in frames]),
        torch.arange(num_classes) < counts[:, None],
    )
