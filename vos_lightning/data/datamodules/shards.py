"""Train from tar shards, over a network or from a disk that is slow to seek."""

import warnings
from typing import Any, ClassVar

from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.datamodules.messages import inform
from vos_lightning.data.shards.clips import ShardClips, ShardLoader
from vos_lightning.data.shards.reading import read_shard_list
from vos_lightning.errors import VOSError


class ShardDataModule(ClipDataModule):
    """Clips of the videos in shards that `prepare_shards` wrote, streamed by WebDataset (the extra ``shards``).

    Ranks and workers share the shards, differently in every epoch. Prepare a multiple of ranks times workers.

    Args:
        root: a folder of shards, or a prefix that WebDataset opens, such as ``https://…``.
        batch_size: clips per batch; the last one of a worker may be smaller.
        num_workers: loader processes; here, which clips share a batch depends on it.
        clip_length: frames per clip.
        buffer: clips of each worker to draw the next one from.
        **clip_options: as for `ClipDataModule`, without `limit_videos` and `skip_list`.
    """

    own_options: ClassVar = {"root", "val_root"}

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        buffer: int = 256,
        **clip_options: Any,  # noqa: ANN401
    ) -> None:
        """Check the options; nothing is read yet."""
        super().__init__(root, batch_size, num_workers, clip_length, **clip_options)
        if self.limit_videos is not None or self.skip_list is not None:
            raise VOSError("limit_videos and skip_list can't choose within shards; prepare shards of the videos wanted")
        self.location, self.buffer = str(root), buffer

    def prepare(self) -> None:
        """Shards need no index."""

    def setup(self, stage: str) -> None:
        """As of `ClipDataModule`; the shards are dealt out anew to the ranks of each Trainer."""
        self._train = None
        super().setup(stage)

    def clips(self) -> ShardClips:  # type: ignore[override]
        """Clips of this rank's shards."""
        shards = read_shard_list(self.location)
        inform(f"{self.location}: {sum(shards.values())} videos in {len(shards)} shards")
        drawn = (self.sampling, self.short_side, self.clips_per_video, self.seed, self.batch_size)
        return ShardClips(shards, *drawn, *self.share(), self.num_workers, self.buffer)

    def train_dataloader(self) -> ShardLoader:  # type: ignore[override]
        """Batches that the clips are planned in."""
        assert self._train is not None, "call setup('fit') first"
        # Lightning doubts the length of every iterable dataset; this one is planned
        warnings.filterwarnings("ignore", "Your `IterableDataset` has `__len__` defined")
        return ShardLoader(self._train, batch_size=None, **self.loading())  # type: ignore[arg-type]
