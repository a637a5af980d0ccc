"""What an encoder is shown of a video while it is adapted to it."""

import torch
from torch import Tensor

from vos_lightning.inference.adaptation.labelled_frames import LabelledFrame, LabelledFrames

JITTER = 4  # positions that a crop lies off its object's centre, at most


class CropPairs:
    """Draws crops of two frames, around an object that both show if there is one.

    Args:
        frames: at least one of them with an object.
        size: of the crops, in positions.
        given_share: of the pairs, how many have a frame whose mask was given.
        reach: of the others, how many frames lie between the two at most.
        seed: of all that is drawn.

    Attributes:
        generator: draws it.
    """

    def __init__(self, frames: LabelledFrames, size: int, given_share: float, reach: int, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self._frames, self._size = frames, size
        self._given_share, self._reach = given_share, reach
        self._with_objects = [i for i, frame in enumerate(frames) if frame.objects]
        self._given = [i for i in self._with_objects if frames[i].given]

    def draw(self) -> tuple[Tensor, list[Tensor]]:
        """Lab crops (2, 3, H, W) and their labels, (h, w) each."""
        first = self._one_of(self._with_objects)
        near = [i for i in self._with_objects if abs(i - first) <= self._reach]
        take_given = torch.rand(1, generator=self.generator).item() < self._given_share
        second = self._one_of(self._given if take_given and self._given else near)
        pair = [self._frames[first], self._frames[second]]
        shared = set(pair[0].objects) & set(pair[1].objects)
        target = self._one_of(sorted(shared)) if shared else None
        crops = [self._crop(frame, target) for frame in pair]
        return torch.stack([lab for lab, _ in crops]), [labels for _, labels in crops]

    def _crop(self, frame: LabelledFrame, target: int | None) -> tuple[Tensor, Tensor]:
        labels, size = frame.labels, min(self._size, *frame.labels.shape)
        there = (labels == (frame.objects[0] if target is None else target)).nonzero().float()
        spread = (there.amax(0) - there.amin(0)).amax().item()
        centre = there.mean(0) if spread < size else there[self._below(len(there))]
        corner = []
        for middle, length in zip(centre.tolist(), labels.shape, strict=True):
            start = round(middle - size / 2) + self._below(2 * JITTER + 1) - JITTER
            corner.append(min(max(0, start), length - size))
        y, x = corner
        lab = frame.lab((y, x), size, self._frames.stride)
        return lab, labels[y : y + size, x : x + size]

    def _one_of(self, choices: list[int]) -> int:
        return choices[self._below(len(choices))]

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (1,), generator=self.generator))
