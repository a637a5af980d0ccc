"""Frames of one video with what their masks say of each feature position."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.packed_mask import Ids
from vos_lightning.inference.tracking.network_frames import NetworkFrames

UNKNOWN = -1  # no id, of which 255 is one
# Of a cell's pixels, how many have to be of one label; positions on a contour have none.
AGREEMENT = 0.8


class LabelledFrame(NamedTuple):
    """One frame.

    Attributes:
        image: RGB uint8 (3, H', W'), as the network sees it.
        labels: int16 (H' / stride, W' / stride): ids, 0 background, `UNKNOWN` where several meet.
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
    """Those that hold an object; of long videos an even share, and all that were given.

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

    def add(self, frame: Tensor, ids: Ids, given: bool) -> None:
        """Take in the next frame of the video.

        Args:
            frame: RGB uint8 (3, H, W).
            ids: its mask, (H, W).
            given: whether it was given.
        """
        if given or (ids.any() and self._candidates % self._step == 0):
            image = self._fit.fit(frame[None].float())[0].round().to(torch.uint8)
            labels = cell_labels(self._fit.fit_ids(torch.from_numpy(ids).to(frame.device)), self.stride)
            self._frames.append(LabelledFrame(image, labels, given))
        self._candidates += not given
        if sum(not one.given for one in self._frames) > self._limit:
            self._step *= 2
            others = iter(range(len(self._frames)))
            self._frames = [one for one in self._frames if one.given or next(others) % 2 == 0]


def cell_labels(ids: Tensor, stride: int) -> Tensor:
    """(H, W) ids -> (H / stride, W / stride): that of at least `AGREEMENT` of a cell's pixels, else `UNKNOWN`."""
    cells = F.pixel_unshuffle(ids[None].float(), stride).sort(dim=0).values
    middle = cells[len(cells) // 2]
    agree = (cells == middle).float().mean(0) >= AGREEMENT
    return torch.where(agree, middle, UNKNOWN).to(torch.int16)
