"""Train on still images."""

from typing import Any

from vos_lightning.data.clips.dataset import ClipDataset
from vos_lightning.data.clips.images import ImageClips
from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.datamodules.messages import inform, warn
from vos_lightning.data.layouts.folders import find_images
from vos_lightning.data.layouts.index import draw_subset


class ImageFolderDataModule(ClipDataModule):
    """Clips filmed from the pictures below `root` by a camera that drifts, turns, tilts and zooms.

    The light changes from frame to frame too, a little. An epoch is ``clips_per_video`` clips of each picture.

    Args:
        root: folder of pictures, at any depth.
        batch_size: clips per batch.
        num_workers: loader processes.
        clip_length: frames per clip.
        motion: strength of the motion, per frame: 0.05 shifts by at most a fortieth of the view's width.
        **clip_options: as for `ClipDataModule`; `limit_videos` limits the pictures.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        motion: float = 0.05,
        **clip_options: Any,  # noqa: ANN401
    ) -> None:
        """Check the options; nothing is read yet."""
        super().__init__(root, batch_size, num_workers, clip_length, **clip_options)
        self.motion = motion

    def clips(self) -> ClipDataset:
        """Clips of the pictures that are there and not on the skip-list; none is opened yet."""
        found, closed = find_images(self.root)
        for folder in closed:
            self._report(str(folder), f"{folder}: cannot list this folder", warn)
        images = draw_subset(self.without_skipped(found), self.limit_videos, self.seed)
        inform(f"{self.root}: {len(images)} pictures")
        return ImageClips(
            images, self.root, self.sampling, self.short_side, self.clips_per_video, self.seed, self.motion
        )

    def prepare(self) -> None:
        """Pictures need no index."""
