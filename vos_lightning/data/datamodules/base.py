"""What all training datamodules share: clips in, batches out, transforms on the device, bad videos reported."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from vos_lightning.batches import EvaluationItem, TrainingBatch
from vos_lightning.data.clips.dataset import ClipDataset, collate_clips
from vos_lightning.data.clips.loading import ClipLoader, ignore_foreign_sigterm
from vos_lightning.data.clips.sampling import ClipSampler, ClipSampling
from vos_lightning.data.datamodules.agreement import Listings, check_agreement, distributed
from vos_lightning.data.datamodules.messages import inform, warn
from vos_lightning.data.layouts.davis import davis_sequences, davis_year
from vos_lightning.data.layouts.index import IndexCache, VideoIndex, index_videos, read_skip_list
from vos_lightning.data.layouts.names import video_names
from vos_lightning.data.layouts.sequences import SequenceDataset
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.io.terminal import printable
from vos_lightning.transforms.clips import ClipAugmentation
from vos_lightning.transforms.zoom import check_zoom, zoom_views

# smallest values; other options are validated where they are used
_LEAST = {"batch_size": 1, "num_workers": 0, "short_side": 1, "clips_per_video": 1, "limit_videos": 1}


class ClipDataModule(pl.LightningDataModule):
    """Training clips of videos without labels; subclasses say which videos (`paths`).

    Args:
        root: folder of the dataset.
        batch_size: clips per batch, per process.
        num_workers: loader processes; 0 loads in the training process. Batches don't depend on it.
        clip_length: frames per clip, T.
        crop_size: side of the square that reaches the network, in pixels.
        short_side: frames are decoded to this short side, then cut to a random square of it, in pixels.
        min_gap: smallest distance between neighbouring frames of a clip, in frames.
        max_gap: largest; one distance is drawn per clip, so ``min_gap == max_gap`` fixes it.
        gap_seconds: draw the distance in seconds, (low, high), instead: for videos of different frame rates.
        clips_per_video: clips drawn from each video per epoch: an epoch is this times the number of videos.
        crop_scale: smallest and largest share of the decoded square that a crop covers.
        horizontal_flip: probability that a clip is mirrored.
        temporal_flip: probability that a clip runs backwards.
        colour_jitter: probability that a clip's colours are changed.
        zoom_levels: magnifications of zoomed-in views, for CT-VOS; none by default.
        zoom_frames: past frames of a clip that are zoomed into.
        limit_videos: train on this many videos, drawn by `seed`.
        skip_list: file of names of videos to leave out, one per line.
        seed: of clips, their order and augmentation, and of `limit_videos`.
        val_root: a DAVIS tree (2016 or 2017) to validate on; without it there is no validation.

    Raises:
        VOSError: an option that no training could follow, with what it may be.

    Attributes:
        own_options: those that may differ between the processes of a run.
    """

    own_options: ClassVar = {"root", "val_root", "skip_list", "annotations", "num_workers"}

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        crop_size: int = 256,
        short_side: int = 256,
        min_gap: int = 1,
        max_gap: int = 3,
        gap_seconds: tuple[float, float] | None = None,
        clips_per_video: int = 1,
        crop_scale: tuple[float, float] = (0.5, 1.0),
        horizontal_flip: float = 0.5,
        temporal_flip: float = 0.0,
        colour_jitter: float = 0.0,
        zoom_levels: tuple[float, ...] = (),
        zoom_frames: int = 1,
        limit_videos: int | None = None,
        skip_list: str | None = None,
        seed: int = 0,
        val_root: str | None = None,
    ) -> None:
        """Check the options; nothing is read yet."""
        super().__init__()
        # not to the logger: it refuses options that the model has too, with another value
        self.save_hyperparameters(logger=False)
        self.root, self.val_root, self.seed = Path(root), val_root, seed
        self.batch_size, self.num_workers = batch_size, num_workers
        self.short_side, self.clips_per_video = short_side, clips_per_video
        self.limit_videos, self.skip_list = limit_videos, skip_list
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise VOSError(f"{name}={value}: need at least {least}")
        self.zoom_levels, self.zoom_frames = tuple(zoom_levels), zoom_frames
        if self.zoom_levels:
            check_zoom(self.zoom_levels, zoom_frames, clip_length)
        self.sampling = ClipSampling(clip_length, min_gap, max_gap, gap_seconds)
        self.augmentation = ClipAugmentation(
            crop_size,
            crop_scale,
            horizontal_flip=horizontal_flip,
            temporal_flip=temporal_flip,
            colour_jitter=colour_jitter,
        )
        self.skipped: dict[str, str] = {}
        self.clips_skipped = 0
        self._fault: VOSError | None = None
        self._index: VideoIndex | None = None
        self._train: ClipDataset | None = None
        self._evaluation: Dataset[EvaluationItem] | None = None

    def videos_root(self) -> Path:
        """The folder that videos are named relative to."""
        return self.root

    def paths(self) -> Sequence[Path]:
        """The training videos: files and folders of frames. Those that train on something else override `clips`."""
        raise NotImplementedError

    def without_skipped(self, paths: Sequence[Path]) -> Sequence[Path]:
        """Those whose name, or file name with or without suffix, isn't on the skip-list."""
        if self.skip_list is None:
            return paths
        skip, names = read_skip_list(self.skip_list), video_names(paths, self.videos_root())
        kept = [path for path, name in zip(paths, names, strict=True) if skip.isdisjoint((name, path.name, path.stem))]
        inform(f"{self.skip_list}: leaves out {len(paths) - len(kept)} of {len(paths)}")
        return kept

    def index(self) -> VideoIndex:
        """The training videos without those of the skip-list, probed, then limited; made once."""
        if self._index is None:
            root = self.videos_root()
            paths = self.without_skipped(self.paths())
            index = index_videos(paths, root, self.sampling.length, IndexCache.of(root))
            self._index = index.limited(self.limit_videos, self.seed)
        return self._index

    def clips(self) -> ClipDataset:
        """Clips of the videos of `index`; those that can't be used are reported.

        Raises:
            DatasetNotFoundError: not one can be used.
        """
        videos, faults, masks = self.index()
        for name, reason in faults:
            self._report(name, reason, warn)
        if masks:
            warn(f"{masks[0]}: left out with {len(masks) - 1} more folders, for palette PNGs are masks")
        if not videos:
            raise DatasetNotFoundError(f"{self.root}: none of the {len(faults)} videos can be trained on")
        frames = sum(video.num_frames for video in videos)
        inform(f"{self.root}: {len(videos)} videos, {frames} frames; {len(faults)} left out")
        return ClipDataset(videos, self.sampling, self.short_side, self.clips_per_video, self.seed)

    def sequences(self, stage: str) -> Dataset[EvaluationItem] | None:
        """The sequences to validate, test or predict on; None without `val_root`."""
        if self.val_root is None:
            return None
        return SequenceDataset(davis_sequences(self.val_root, davis_year(self.val_root)))

    def prepare(self) -> None:
        """What one process per machine does before all set up: here, probe the videos; the others find its index."""
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self.index()

    def prepare_data(self) -> None:
        """Call `prepare`.

        Raises:
            VOSError: as it says; in a run of several processes only in `setup`, together with the others.
        """
        try:
            self.prepare()
        except VOSError as error:
            if not distributed():
                raise
            self._fault = error

    def setup(self, stage: str) -> None:
        """Find what the stage needs, the training clips once, and compare it with what the other ranks find.

        Raises:
            VOSError: there is nothing to train, validate, test or predict on; or the ranks don't see the same.
        """
        fault = self._fault
        try:
            self._evaluation = self.sequences(stage)
            if stage == "validate" and self._evaluation is None:
                raise VOSError(f"{self.root}: nothing to validate on; pass val_root, a DAVIS tree with ground truth")
            if stage == "fit" and self._train is None:
                self._train = self.clips()
        except VOSError as error:
            fault = fault or error
        check_agreement(self._listings(), fault)

    def _listings(self) -> Listings:
        """What all ranks must have alike: options except places, names of videos and sequences."""
        training = {} if self._train is None else self._train.listing()
        names = getattr(self._evaluation, "names", [])
        options = {name: str(value) for name, value in self.hparams.items() if name not in self.own_options}
        return {"options": options, "training videos": training, "sequences": dict.fromkeys(names, "")}

    def train_dataloader(self) -> ClipLoader:
        """Shuffled clips; each rank takes its share."""
        assert self._train is not None, "call setup('fit') first"
        sampler = ClipSampler(self._train, self.seed, *self.share())
        return ClipLoader(self._train, self.batch_size, sampler=sampler, collate_fn=collate_clips, **self.loading())

    def share(self) -> tuple[int, int]:
        """Number of ranks, and which this is."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def loading(self) -> dict[str, Any]:
        """Options of the training DataLoader: its processes, and whether batches go to a CUDA device."""
        return {
            "num_workers": self.num_workers,
            "worker_init_fn": ignore_foreign_sigterm,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            # its own generator, so that loading takes no draws from the model's random state
            "generator": torch.Generator(),
        }

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """One sequence per step, or no loader without any."""
        # in this process: items are lazy, there is nothing for workers to do
        return [] if self._evaluation is None else DataLoader(self._evaluation, batch_size=None)

    def test_dataloader(self) -> DataLoader[Any] | list[Any]:
        """The sequences of validation.

        Raises:
            VOSError: there are none.
        """
        loader = self.val_dataloader()
        if not loader:
            raise VOSError(f"{type(self).__name__} has no sequences to evaluate; give val_root, a DAVIS tree")
        return loader

    predict_dataloader = test_dataloader

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Move the frames of a training batch; evaluation sequences stay on the CPU, unread."""
        if isinstance(batch["frames"], torch.Tensor):
            batch["frames"] = batch["frames"].to(device, non_blocking=True)
        return batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Transform training clips on the device and report those that could not be read.

        Returns:
            A `TrainingBatch`; other batches as they came.
        """
        if "skipped" not in batch:
            return batch
        self.clips_skipped += len(batch["skipped"])
        for clip in batch["skipped"]:
            # by whichever rank met it: no other knows
            self._report(clip.sequence, clip.reason, warnings.warn)
        frames = self.augmentation(batch["frames"], batch["seed"])
        result = TrainingBatch(frames=frames, sequence=batch["sequence"], seed=batch["seed"])
        if self.zoom_levels:
            views = zoom_views(frames, batch["seed"], self.zoom_levels, self.zoom_frames)
            result["zoom_views"], result["zoom_places"] = views
        return result

    def _report(self, name: str, reason: str, tell: Callable[[str], None]) -> None:
        if name not in self.skipped:
            self.skipped[name] = reason
            tell(printable(f"left out: {reason if name in reason else f'{name}: {reason}'}"))
