"""Frames of one video with what their probabilities say of each feature position."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.tracking.network_frames import NetworkFrames

UNKNOWN = -1  # no id, of which 255 is one
# Probabilities above and below which a position is taken for an object's, or for background.
INSIDE, OUTSIDE = 0.8, 0.1


class LabelledFrame(NamedTuple):
    """One frame.

    Attributes:
        image: RGB uint8 (3, H', W'), as the network sees it.
        labels: int16 (H' / stride, W' / stride): ids, 0 background, `UNKNOWN` where it is doubtful.
        given: whether its mask was given.
    """

    image: Tensor
    labels: Tensor
    given: bool

    @property
    def objects(self) -> list[int]:
        """Ids that some position has."""
        return [i for i in self.labels.unique().tolist() if i not in (0, UNKNOWN)]

    def lab(self, corner: tuple[int, int], size: int, stride: int) -> Tensor:
        """A crop of `size` positions (or all there are) from a corner, as Lab (3, size * stride, size * stride)."""
        y, x = (stride * start for start in corner)
        crop = self.image[:, y : y + stride * size, x : x + stride * size]
        return rgb_to_lab(crop[None].float() / 255)[0]


class LabelledFrames:
    """Those in which objects are followed; of long videos an even share, and all that were given.

    Args:
        stride: of the network.
        max_size: see `NetworkFrames`.
        limit: number of frames to keep, besides the given ones.
    """

    def __init__(self, stride: int, max_size: int | None, limit: int) -> None:
        self.stride = stride
        self._fit = NetworkFrames(stride, max_size)
        self._limit = limit
        self._frames: list[LabelledFrame] = []
        self._candidates, self._step = 0, 1

    def __len__(self) -> int:
        """Number of frames kept."""
        return len(self._frames)

    def __getitem__(self, index: int) -> LabelledFrame:
        """In order of time."""
        return self._frames[index]

    def __iter__(self) -> Iterator[LabelledFrame]:
        """In order of time."""
        return iter(self._frames)

    def add(self, frame: Tensor, probabilities: Mapping[int, Tensor], given: bool) -> None:
        """Take in the next frame of the video.

        Args:
            frame: RGB uint8 (3, H, W).
            probabilities: of its objects, by id, at feature positions: (h, w) each; none so far.
            given: whether its mask was given.
        """
        if not probabilities:
            return
        if given or self._candidates % self._step == 0:
            image = self._fit.fit(frame[None].float())[0].round().to(torch.uint8)
            labels = labels_of(probabilities)
            self._frames.append(LabelledFrame(image, labels, given))
        self._candidates += not given
        if sum(not one.given for one in self._frames) > self._limit:
            self._step *= 2
            others = iter(range(len(self._frames)))
            self._frames = [one for one in self._frames if one.given or next(others) % 2 == 0]


def labels_of(probabilities: Mapping[int, Tensor]) -> Tensor:
    """(h, w) probabilities by id -> (h, w) int16: an id, 0, or `UNKNOWN` where it is doubtful."""
    ids = torch.tensor(list(probabilities), dtype=torch.int16)
    stacked = torch.stack(list(probabilities.values()))
    best, winner = stacked.max(0)
    labels = torch.where(best > INSIDE, ids.to(winner.device)[winner], UNKNOWN)
    return torch.where(stacked.sum(0) < OUTSIDE, 0, labels).to(torch.int16)
