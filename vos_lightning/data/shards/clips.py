"""Training clips streamed from tar shards, dealt out to ranks and their loader processes."""

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from vos_lightning.batches import ClipBatch, ClipItem, SkippedClip
from vos_lightning.data.clips.dataset import clip_item, collate_clips, skipped_clips
from vos_lightning.data.clips.sampling import ClipKey, ClipSampling
from vos_lightning.data.clips.worker_errors import plain_worker_errors
from vos_lightning.data.layouts.index import VideoRecord
from vos_lightning.data.shards.reading import MOST_BYTES, ShardVideo, read_shard
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io.video import VideoFile


class ShardPlan(NamedTuple):
    """What one worker of one rank reads in an epoch: shards, and how many batches to make of them."""

    shards: list[str]
    batches: int


def plan_epoch(
    shards: dict[str, int], epoch: int, seed: int, world: int, workers: int, clips_per_video: int, batch_size: int
) -> list[list[ShardPlan]]:
    """Deal the shards of an epoch out to ranks and their workers, anew in every epoch.

    Every clip is in exactly one batch. Ranks whose shards give fewer batches than another's make up for it with clips
    of a second pass over their own, so that none waits for ever for the others. All epochs have as many batches.

    Args:
        shards: URLs and numbers of videos.
        epoch: number of the epoch.
        seed: of the order.
        world: ranks.
        workers: per rank, at least 1.
        clips_per_video: clips of each video.
        batch_size: clips per batch.

    Returns:
        Plans by rank and worker.

    Raises:
        VOSError: fewer shards than ranks.
    """
    if len(shards) < world:
        raise VOSError(f"{len(shards)} shards for {world} ranks: prepare at least one per rank")
    names = list(shards)
    generator = torch.Generator().manual_seed(seed + epoch)
    order = [names[place] for place in torch.randperm(len(names), generator=generator).tolist()]
    # longest first in turn: where lengths differ, ranks still get about as much
    order.sort(key=lambda name: -shards[name])
    plans = []
    for rank in range(world):
        own = order[rank::world]
        parts = [own[worker::workers] for worker in range(workers)]
        clips = [sum(shards[name] for name in part) * clips_per_video for part in parts]
        plans.append([ShardPlan(part, -(-number // batch_size)) for part, number in zip(parts, clips, strict=True)])
    longest = max(sum(plan.batches for plan in rank) for rank in plans)
    for own_plans in plans:
        missing = longest - sum(plan.batches for plan in own_plans)
        own_plans[0] = own_plans[0]._replace(batches=own_plans[0].batches + missing)
    return plans


class ShardClips(IterableDataset[ClipBatch]):
    """Batches of clips of the videos in tar shards, as `collate_clips` makes them.

    Args:
        shards: URLs and numbers of videos.
        sampling: how frames are chosen.
        size: side of the squares, see `ClipDataset`.
        clips_per_video: clips of each video per epoch.
        seed: of all draws; a clip depends on (seed, epoch, video) alone, the batch it is in also on ranks and workers.
        batch_size: clips per batch; the last one of a worker may be smaller.
        world: ranks.
        rank: this process's.
        workers: loader processes per rank.
        buffer: clips to draw the next one from.
    """

    def __init__(
        self,
        shards: dict[str, int],
        sampling: ClipSampling,
        size: int = 256,
        clips_per_video: int = 1,
        seed: int = 0,
        batch_size: int = 8,
        world: int = 1,
        rank: int = 0,
        workers: int = 0,
        buffer: int = 256,
    ) -> None:
        """Plan the first epoch; nothing is read yet."""
        self.shards, self.sampling, self.size, self.seed = shards, sampling, size, seed
        self.clips_per_video, self.batch_size, self.buffer = clips_per_video, batch_size, buffer
        self.world, self.rank, self.workers = world, rank, max(1, workers)
        # shared: persistent workers see what the loader sets
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._length = sum(plan.batches for plan in self._plans(0))

    def listing(self) -> dict[str, str]:
        """The shards, by file name, with the number of videos in each."""
        return {url.rsplit("/", 1)[-1]: f"{videos} videos" for url, videos in self.shards.items()}

    def _plans(self, epoch: int) -> list[ShardPlan]:
        return plan_epoch(
            self.shards, epoch, self.seed, self.world, self.workers, self.clips_per_video, self.batch_size
        )[self.rank]

    def __len__(self) -> int:
        """Batches of this rank, and of every other, in an epoch."""
        return self._length

    def __iter__(self) -> Iterator[ClipBatch]:
        """Batches of this worker."""
        worker = get_worker_info()
        epoch = int(self.epoch)
        plan = self._plans(epoch)[worker.id if worker else 0]
        for number, items in enumerate(self._batches(plan.shards, epoch)):
            if number == plan.batches:
                break
            yield collate_clips(items)

    def _batches(self, shards: list[str], epoch: int) -> Iterator[list[ClipItem | SkippedClip]]:
        """Full batches of one pass, its last one as it comes, then those of another pass, for as long as asked.

        Raises:
            VOSError: not one video can be read, so that no pass would ever give a batch.
        """
        turns = count() if any(self.shards[name] for name in shards) else iter(())
        readable = False
        for turn in turns:
            if turn and not readable:
                raise VOSError(f"{shards[0]}: no video can be read in it and {len(shards) - 1} more; write them again")
            clips = self._clips(shards, epoch, turn)
            while batch := list(islice(clips, self.batch_size)):
                while len(skipped_clips(batch)) == len(batch) and (following := list(islice(clips, 1))):
                    batch += following
                if len(skipped_clips(batch)) < len(batch):
                    readable = True
                    yield batch

    def _clips(self, shards: list[str], epoch: int, turn: int) -> Iterator[ClipItem | SkippedClip]:
        shuffle = random.Random(f"{self.seed}-{epoch}-{turn}")
        waiting: list[tuple[ShardVideo, int]] = []
        for shard in shards:
            for key, parts in read_shard(shard):
                try:
                    video = ShardVideo.of(shard, key, parts)
                except VOSError as error:
                    yield SkippedClip(key, str(error))
                    continue
                waiting += [(video, clip) for clip in range(self.clips_per_video)]
                while len(waiting) > self.buffer or _bytes(waiting) > MOST_BYTES:
                    yield self._clip(*waiting.pop(shuffle.randrange(len(waiting))), epoch, turn)
        shuffle.shuffle(waiting)
        for video, clip in waiting:
            yield self._clip(video, clip, epoch, turn)

    def _clip(self, video: ShardVideo, clip: int, epoch: int, turn: int) -> ClipItem | SkippedClip:
        draw = (turn * self.clips_per_video + clip) * 10**9 + video.number
        with _on_disk(video.content) as path:
            try:
                record = VideoRecord(path, video.name, video.num_frames, video.fps)
                return clip_item(VideoFile(path), record, self.sampling, self.size, self.seed, ClipKey(epoch, draw))
            except ExhaustedError:
                raise
            except VOSError as error:
                return SkippedClip(video.name, str(error).replace(path, video.name))


def _bytes(waiting: Sequence[tuple[ShardVideo, int]]) -> int:
    """Memory of the videos that clips are to be drawn from."""
    return sum({id(video): len(video.content) for video, _ in waiting}.values())


@contextmanager
def _on_disk(content: bytes) -> Iterator[str]:
    """The path of a temporary file.

    Raises:
        ExhaustedError: there is no room for it.
    """
    try:
        file = tempfile.NamedTemporaryFile(suffix=".mp4")  # noqa: SIM115 - removed when closed
        file.write(content)
        file.flush()
    except OSError as error:
        place = tempfile.gettempdir()
        raise ExhaustedError(f"{place}: no room for a video ({error.strerror}); free space, or set TMPDIR") from error
    with file:
        yield file.name


class ShardLoader(DataLoader[ClipBatch]):
    """DataLoader of `ShardClips`; an epoch per iteration, resumable by reading over what was consumed."""

    _epoch = -1
    _batches = 0
    _resume: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[ClipBatch]:  # type: ignore[override]
        """Batches of the next epoch, or the rest of the one that was interrupted."""
        assert isinstance(self.dataset, ShardClips)
        self._epoch, skip = self._resume or (self._epoch + 1, 0)
        self._resume = None
        self._batches = skip
        self.dataset.epoch.fill_(self._epoch)
        for batch in plain_worker_errors(islice(super().__iter__(), skip, None)):
            self._batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and batches handed out in it."""
        return {"epoch": self._epoch, "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the last batch of `state`; a finished epoch begins the next one."""
        finished = state["batches"] >= len(self)
        self._resume = (state["epoch"] + 1, 0) if finished else (state["epoch"], state["batches"])
