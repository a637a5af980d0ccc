"""YouTube-VOS: clips of its training videos, sequences of its evaluation splits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from vos_lightning.batches import EvaluationItem
from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.datamodules.messages import warn
from vos_lightning.data.layouts.sequences import SequenceDataset
from vos_lightning.data.layouts.youtube_vos import frames_folder, other_release, youtube_vos_sequences


class YouTubeVOSDataModule(ClipDataModule):
    """Clips of the training videos, masks neither needed nor read; sequences of `split` to predict on.

    Its validation masks are on a server, so there are targets only with ``split="train"``: give `val_root`, a DAVIS
    tree, to validate on. Testing and predicting always take `split`.

    Args:
        root: the folder that holds ``train``, ``valid`` and, for all frames, ``all_frames``.
        batch_size: training clips per batch.
        num_workers: loader processes for training.
        clip_length: frames per training clip.
        year: 2018 or 2019.
        split: "valid", "test" or "train".
        all_frames: evaluate on all 30 frames per second instead of the 6 annotated ones; the frames to write stay the
            same.
        train_all_frames: train on all frames too.
        sequences: evaluate only these.
        **clip_options: as for `ClipDataModule`; ``limit_videos=100`` is a low-data study.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        year: int | str = 2018,
        split: str = "valid",
        all_frames: bool = False,
        train_all_frames: bool = False,
        sequences: list[str] | None = None,
        **clip_options: Any,  # noqa: ANN401
    ) -> None:
        """Check the options; nothing is read yet."""
        super().__init__(root, batch_size, num_workers, clip_length, **clip_options)
        self.year, self.split, self.only = str(year), split, sequences
        self.all_frames, self.train_all_frames = all_frames, train_all_frames

    def videos_root(self) -> Path:
        """The folder of the training videos."""
        return frames_folder(self.root, self.year, "train", self.train_all_frames)

    def paths(self) -> Sequence[Path]:
        """Every training video that has a folder; meta.json isn't needed."""
        folder = self.videos_root()
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))

    def sequences(self, stage: str) -> Dataset[EvaluationItem] | None:
        """Those of `val_root` while fitting and, where there is one, validating; else those of `split`."""
        if stage == "fit" or (stage == "validate" and self.val_root is not None):
            return super().sequences(stage)
        return self.split_sequences()

    def split_sequences(self) -> SequenceDataset:
        """Sequences of `split`; a split of the other release is pointed out."""
        records = youtube_vos_sequences(self.root, self.year, self.split, self.all_frames, self.only)
        other = other_release(self.year, self.split, len(records)) if self.only is None else None
        if other is not None:
            warn(f"{self.root}: {len(records)} videos in {self.split}, as in {other}; year is {self.year}")
        return SequenceDataset(records)
