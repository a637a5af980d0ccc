"""Datasets and datamodules: videos in, batches out.

One batch contract for all of them:

- **Training clips**: `frames` float32 RGB (B, T, 3, H, W) in [0, 1], after the transforms on the device; `sequence`, B
  names; `seed` int64 (B,) on the CPU, for draws that belong to a clip; where zoom levels are set, `zoom_views`
  (B, V, 3, H, W) and `zoom_places` (B, N), see `transforms.zoom`.
- **Evaluation sequences**, one per step (``batch_size=None``), everything lazy: `sequence` its name; `frames` a
  `FrameSource` of uint8 (H, W, 3); `prompts` {frame index: (H, W) uint8 ids given to the tracker}; `targets` a
  sequence of (H, W) uint8 ids or None per frame, or None without ground truth; `object_ids` of the first mask;
  `palette` of the dataset's masks or None; `required` indices of the frames whose masks are evaluated, None for all;
  `categories` {id: name} or None. The first prompt need not be on the first frame: frames before it have no masks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vos_lightning.data.audit import audit_dataset
    from vos_lightning.data.audit_report import AuditReport
    from vos_lightning.data.datamodules.davis import DAVISDataModule
    from vos_lightning.data.datamodules.image_folder import ImageFolderDataModule
    from vos_lightning.data.datamodules.kinetics import KineticsDataModule
    from vos_lightning.data.datamodules.one_sequence import OneSequenceDataModule
    from vos_lightning.data.datamodules.shards import ShardDataModule
    from vos_lightning.data.datamodules.synthetic import SyntheticDataModule
    from vos_lightning.data.datamodules.video_folder import VideoFolderDataModule
    from vos_lightning.data.datamodules.youtube_vos import YouTubeVOSDataModule
    from vos_lightning.data.prepare import Encoding, PrepareReport, prepare_dataset
    from vos_lightning.data.shard_writing import prepare_shards
    from vos_lightning.data.synthetic_data import write_davis_tree

_HOMES = {
    "DAVISDataModule": "vos_lightning.data.datamodules.davis",
    "ImageFolderDataModule": "vos_lightning.data.datamodules.image_folder",
    "KineticsDataModule": "vos_lightning.data.datamodules.kinetics",
    "OneSequenceDataModule": "vos_lightning.data.datamodules.one_sequence",
    "ShardDataModule": "vos_lightning.data.datamodules.shards",
    "SyntheticDataModule": "vos_lightning.data.datamodules.synthetic",
    "VideoFolderDataModule": "vos_lightning.data.datamodules.video_folder",
    "YouTubeVOSDataModule": "vos_lightning.data.datamodules.youtube_vos",
    "AuditReport": "vos_lightning.data.audit_report",
    "Encoding": "vos_lightning.data.prepare",
    "PrepareReport": "vos_lightning.data.prepare",
    "audit_dataset": "vos_lightning.data.audit",
    "prepare_dataset": "vos_lightning.data.prepare",
    "prepare_shards": "vos_lightning.data.shard_writing",
    "write_davis_tree": "vos_lightning.data.synthetic_data",
}

__all__ = [
    "AuditReport",
    "DAVISDataModule",
    "Encoding",
    "ImageFolderDataModule",
    "KineticsDataModule",
    "OneSequenceDataModule",
    "PrepareReport",
    "ShardDataModule",
    "SyntheticDataModule",
    "VideoFolderDataModule",
    "YouTubeVOSDataModule",
    "audit_dataset",
    "prepare_dataset",
    "prepare_shards",
    "write_davis_tree",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
