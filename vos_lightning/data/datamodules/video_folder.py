"""Train on a folder of one's own videos."""

from collections.abc import Sequence
from pathlib import Path

from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.layouts.folders import find_videos


class VideoFolderDataModule(ClipDataModule):
    """Clips of all video files and folders of frames below `root`, at any depth.

    An epoch is ``clips_per_video`` clips of each video, whatever its length. Options: see `ClipDataModule`.
    """

    def paths(self) -> Sequence[Path]:
        """Every video below `root`."""
        return find_videos(self.root)
