"""DAVIS: evaluation on any edition, and its training videos as clips."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.layouts.davis import davis_names, davis_sequences
from vos_lightning.data.layouts.sequences import SequenceDataset


class DAVISDataModule(ClipDataModule):
    """Sequences of one split to validate, test and predict on; clips of `train_split` to train on.

    Args:
        root: the folder that holds ``JPEGImages``, ``Annotations`` and ``ImageSets``.
        batch_size: training clips per batch.
        num_workers: loader processes for training.
        clip_length: frames per training clip.
        year: 2016 (labels merged to one object with the id 255) or 2017 (several objects, 255 is void).
        split: "val", "train", "trainval", "test-dev" or "test-challenge"; the last two give first masks and no targets.
        train_split: split whose videos are trained on, without their masks.
        resolution: "480p", "Full-Resolution" (2017) or "1080p" (2016).
        unsupervised: masks of ``Annotations_unsupervised``; test splits then come from the image sets of 2019.
        sequences: evaluate only these.
        **clip_options: as for `ClipDataModule`.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        year: int | str = 2017,
        split: str = "val",
        train_split: str = "train",
        resolution: str = "480p",
        unsupervised: bool = False,
        sequences: list[str] | None = None,
        **clip_options: Any,  # noqa: ANN401
    ) -> None:
        """Check the options; nothing is read yet."""
        super().__init__(root, batch_size, num_workers, clip_length, **clip_options)
        self.year, self.split, self.train_split = str(year), split, train_split
        self.resolution, self.unsupervised, self.only = resolution, unsupervised, sequences

    def videos_root(self) -> Path:
        """The folder of the sequences' pictures."""
        return self.root / "JPEGImages" / self.resolution

    def paths(self) -> Sequence[Path]:
        """Videos of `train_split`."""
        names = davis_names(self.root, self.year, self.train_split, self.resolution)
        return [self.videos_root() / name for name in names]

    def sequences(self, stage: str) -> SequenceDataset:
        """Sequences of `split`."""
        return SequenceDataset(
            davis_sequences(self.root, self.year, self.split, self.resolution, self.unsupervised, self.only)
        )
