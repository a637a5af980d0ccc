"""Train on a folder of one's own videos."""

from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.index import VideoIndex, find_videos, index_videos


class VideoFolderDataModule(ClipDataModule):
    """Clips of all video files and folders of frames below `root`, at any depth.

    An epoch is ``clips_per_video`` clips of each video, whatever its length. Options: see `ClipDataModule`.
    """

    def index(self) -> VideoIndex:
        """Every video below `root` that is long enough for a clip."""
        return index_videos(find_videos(self.root), self.root, min_frames=self.sampling.length)
