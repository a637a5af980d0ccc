"""Videos made on the fly: for demonstrations, tests, and trying out a model before the data is there."""

from typing import Any

from torch.utils.data import Dataset

from vos_lightning.batches import EvaluationItem
from vos_lightning.data.clips.dataset import ClipDataset
from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.data.layouts.davis import davis_sequences
from vos_lightning.data.layouts.sequences import SequenceDataset
from vos_lightning.data.synthetic.datasets import SyntheticClips, SyntheticSequences, SyntheticSpec, write_davis_tree
from vos_lightning.errors import VOSError

# training and validation videos never share a seed
_VAL_SEEDS = 1_000_000


class SyntheticDataModule(ClipDataModule):
    """Textured objects that move, turn, deform and hide one another, with exact masks to validate on.

    Args:
        root: where to write the validation videos as a DAVIS tree, so that other commands can use them too; None
            writes nothing.
        batch_size: training clips per batch.
        num_workers: loader processes for training.
        clip_length: frames per training clip.
        num_videos: training videos, rendered when a clip is drawn.
        num_val_videos: validation videos.
        num_frames: frames per video.
        size: (H, W) of the videos, in pixels.
        num_objects: objects per video; None draws 1 to 4.
        short_side: short side of a clip, before the crop.
        crop_size: side of the square that reaches the network, in pixels.
        **clip_options: as for `ClipDataModule`.

    Raises:
        VOSError: an option that no video could follow.
    """

    def __init__(
        self,
        root: str | None = None,
        batch_size: int = 8,
        num_workers: int = 2,
        clip_length: int = 2,
        *,
        num_videos: int = 64,
        num_val_videos: int = 4,
        num_frames: int = 48,
        size: tuple[int, int] = (128, 224),
        num_objects: int | None = None,
        short_side: int = 128,
        crop_size: int = 128,
        **clip_options: Any,  # noqa: ANN401
    ) -> None:
        """Check the options; nothing is drawn yet."""
        clip_options |= {"short_side": short_side, "crop_size": crop_size}
        super().__init__(root or "", batch_size, num_workers, clip_length, **clip_options)
        self.written = root is not None
        self.spec = SyntheticSpec(num_frames, (size[0], size[1]), num_objects)
        self.num_videos, self.num_val_videos = num_videos, num_val_videos
        if min(num_videos, num_val_videos) < 1:
            raise VOSError(f"num_videos={num_videos}, num_val_videos={num_val_videos}: need at least 1")

    @property
    def val_seeds(self) -> range:
        """Seeds of the validation videos."""
        return range(_VAL_SEEDS, _VAL_SEEDS + self.num_val_videos)

    def prepare(self) -> None:
        """Write the validation videos to `root`, if there is one."""
        if self.written:
            write_davis_tree(self.root, train=(), val=self.val_seeds, spec=self.spec)

    def clips(self) -> ClipDataset:
        """Clips of the training videos, rendered in the workers."""
        seeds = range(self.seed * self.num_videos, (self.seed + 1) * self.num_videos)
        return SyntheticClips(self.spec, seeds, self.sampling, self.short_side, self.clips_per_video, self.seed)

    def sequences(self, stage: str) -> Dataset[EvaluationItem] | None:
        """The validation videos, or those of `val_root`."""
        if self.val_root is not None:
            return super().sequences(stage)
        if self.written:
            return SequenceDataset(davis_sequences(self.root))
        return SyntheticSequences(self.spec, self.val_seeds)
