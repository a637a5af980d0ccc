"""Which frames make a clip, and which clips make an epoch: seeded draws, nothing decoded."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from vos_lightning.errors import VOSError


class ClipKey(NamedTuple):
    """One draw: the same key gives the same clip in any process, on any rank, before and after a resume."""

    epoch: int
    draw: int


@dataclass(frozen=True)
class ClipSampling:
    """How the frames of a clip are chosen from a video.

    Args:
        length: frames per clip, T.
        min_gap: smallest distance between neighbouring frames of the clip, in frames.
        max_gap: largest distance; one gap is drawn per clip, so ``min_gap == max_gap`` fixes it.
        seconds: with ``(low, high)``, the gap is drawn in seconds instead and converted by the video's own frame rate,
            so that videos of 10 and of 60 frames per second show the same motion.

    A video too short for the drawn gap takes the largest that fits; one with fewer than `length` frames has no clip.
    """

    length: int = 2
    min_gap: int = 1
    max_gap: int = 3
    seconds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Validate the options."""
        if self.length < 1:
            raise VOSError(f"clip_length={self.length}: a clip has at least one frame")
        if not 1 <= self.min_gap <= self.max_gap:
            raise VOSError(f"min_gap={self.min_gap}, max_gap={self.max_gap}: need 1 <= min_gap <= max_gap")
        if self.seconds is not None and not 0 < self.seconds[0] <= self.seconds[1] < math.inf:
            raise VOSError(f"gap_seconds={self.seconds}: need 0 < low <= high")

    def indices(self, num_frames: int, fps: float, generator: torch.Generator) -> list[int]:
        """Draw the frame indices of one clip, in temporal order.

        Args:
            num_frames: length of the video.
            fps: its frame rate, used only when the gap is given in seconds.
            generator: source of the draw.

        Raises:
            VOSError: the video has fewer frames than the clip.
        """
        if num_frames < self.length:
            raise VOSError(f"{num_frames} frames, a clip needs {self.length}")
        draw_gap, draw_start = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        if self.seconds is None:
            gap = self.min_gap + int(draw_gap * (self.max_gap - self.min_gap + 1))
        else:
            low, high = self.seconds
            gap = max(1, round((low + draw_gap * (high - low)) * fps))
        gap = min(gap, (num_frames - 1) // max(1, self.length - 1))
        start = int(draw_start * (num_frames - gap * (self.length - 1)))
        return [start + gap * step for step in range(self.length)]


class ClipSampler(DistributedSampler[ClipKey]):
    """Shuffled, sharded, resumable order of the clips of an epoch, as keys that carry the epoch.

    A `DistributedSampler`, so Lightning takes it as it is and calls `set_epoch`. All ranks shuffle alike and take every
    world-size-th clip; where the ranks don't divide the epoch, the last clips are fresh draws from the videos at its
    head (the draw's number runs past the epoch), so every clip is seen once and no rank waits for another.

    Args:
        dataset: what the indices count.
        seed: of the order.
        num_replicas: ranks.
        rank: this process's.
        shuffle: off gives the natural order.
    """

    def __init__(
        self, dataset: Dataset[Any], seed: int = 0, num_replicas: int = 1, rank: int = 0, shuffle: bool = True
    ) -> None:
        """Keep the shard; nothing is drawn yet."""
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed, drop_last=False)
        # epoch and number of clips: in that epoch, the first time, these many were consumed before
        self.skip = (-1, 0)

    def order(self) -> list[int]:
        """Clip indices of this rank in this epoch."""
        total: int = len(self.dataset)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(total, generator=generator).tolist() if self.shuffle else list(range(total))
        order += [total + extra for extra in range(self.total_size - total)]
        return order[self.rank : self.total_size : self.num_replicas]

    def skipped(self) -> int:
        """Clips of the current epoch that the next iteration leaves out."""
        epoch, count = self.skip
        return count if epoch == self.epoch else 0

    def __iter__(self) -> Iterator[ClipKey]:
        """The keys of this rank; after a resume, those not yet consumed, once."""
        skip, self.skip = self.skipped(), (-1, 0)
        epoch = self.epoch
        return (ClipKey(epoch, draw) for draw in self.order()[skip:])


def clip_generator(seed: int, key: ClipKey) -> torch.Generator:
    """Independent generator of one clip: a function of (seed, epoch, draw) alone, never of the worker."""
    mixed = 0
    for part in (seed, key.epoch, key.draw):
        # splitmix64's finaliser: neighbouring keys must not give correlated Mersenne states
        mixed = (mixed + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return torch.Generator().manual_seed(mixed >> 1)
