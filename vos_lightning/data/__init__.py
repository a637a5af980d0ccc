"""Datasets and datamodules: videos in, batches out; `vos_lightning.batches` says what is in a batch.

`layouts` finds videos and sequences, `clips` reads them, `datamodules` serve them to a Trainer; `shards` are a copy of
a dataset for networks, `synthetic` makes videos, `tools` check and prepare datasets.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vos_lightning.data.datamodules.davis import DAVISDataModule
    from vos_lightning.data.datamodules.image_folder import ImageFolderDataModule
    from vos_lightning.data.datamodules.kinetics import KineticsDataModule
    from vos_lightning.data.datamodules.one_sequence import OneSequenceDataModule
    from vos_lightning.data.datamodules.shards import ShardDataModule
    from vos_lightning.data.datamodules.synthetic import SyntheticDataModule
    from vos_lightning.data.datamodules.video_folder import VideoFolderDataModule
    from vos_lightning.data.datamodules.youtube_vos import YouTubeVOSDataModule
    from vos_lightning.data.shards.writing import prepare_shards
    from vos_lightning.data.synthetic.datasets import write_davis_tree
    from vos_lightning.data.tools.audit import audit_dataset
    from vos_lightning.data.tools.audit_report import AuditReport
    from vos_lightning.data.tools.prepare import Encoding, PrepareReport, prepare_dataset

_HOMES = {
    "DAVISDataModule": "vos_lightning.data.datamodules.davis",
    "ImageFolderDataModule": "vos_lightning.data.datamodules.image_folder",
    "KineticsDataModule": "vos_lightning.data.datamodules.kinetics",
    "OneSequenceDataModule": "vos_lightning.data.datamodules.one_sequence",
    "ShardDataModule": "vos_lightning.data.datamodules.shards",
    "SyntheticDataModule": "vos_lightning.data.datamodules.synthetic",
    "VideoFolderDataModule": "vos_lightning.data.datamodules.video_folder",
    "YouTubeVOSDataModule": "vos_lightning.data.datamodules.youtube_vos",
    "AuditReport": "vos_lightning.data.tools.audit_report",
    "Encoding": "vos_lightning.data.tools.prepare",
    "PrepareReport": "vos_lightning.data.tools.prepare",
    "audit_dataset": "vos_lightning.data.tools.audit",
    "prepare_dataset": "vos_lightning.data.tools.prepare",
    "prepare_shards": "vos_lightning.data.shards.writing",
    "write_davis_tree": "vos_lightning.data.synthetic.datasets",
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
