"""Kinetics: clips of tens of thousands of video files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.datamodules.messages import warn
from vos_lightning.data.layouts.kinetics import kinetics_files


class KineticsDataModule(ClipDataModule):
    """Clips of Kinetics 400, 600 or 700, as downloaded: class folders or flat, complete or not.

    The first run opens every file once, in parallel, and keeps what it learns below ``~/.cache/vos_lightning``; later
    runs only look for changed files. Clips are decoded from the key frame before, and resized while decoding.

    Args:
        root: the folder that holds the split's folder, or the split's folder itself.
        batch_size: clips per batch.
        num_workers: loader processes.
        clip_length: frames per clip.
        split: "train", "val" or "test".
        annotations: an official CSV (``train.csv``): only its clips, and those missing on disk are counted; None takes
            every file.
        **clip_options: as for `ClipDataModule`; `skip_list` names clips to leave out.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        split: str = "train",
        annotations: str | None = None,
        **clip_options: Any,  # noqa: ANN401
    ) -> None:
        """Check the options; nothing is read yet."""
        super().__init__(root, batch_size, num_workers, clip_length, **clip_options)
        self.split, self.annotations = split, annotations
        self.missing: list[str] = []

    def paths(self) -> Sequence[Path]:
        """The clips on disk; those of the list that aren't are counted in a warning."""
        found, self.missing = kinetics_files(self.root, self.split, self.annotations)
        if self.missing:
            warn(
                f"{self.annotations}: {len(self.missing)} of {len(found) + len(self.missing)} clips are not in "
                f"{self.root}, the first is {self.missing[0]}"
            )
        return found
