"""Datasets and datamodules: videos in, batches out; `vos_lightning.batches` says what is in a batch.

`layouts` finds videos and sequences, `clips` reads them, `datamodules` serve them to a Trainer; `shards` are a copy of
a dataset for networks, `synthetic` makes videos, `tools` check and prepare datasets.
"""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

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
    from vos_lightning.data.tools.encoding import Encoding
    from vos_lightning.data.tools.prepare import PrepareReport, prepare_dataset

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

__getattr__, __dir__ = lazy_names(
    __name__,
    AuditReport="tools.audit_report",
    DAVISDataModule="datamodules.davis",
    Encoding="tools.encoding",
    ImageFolderDataModule="datamodules.image_folder",
    KineticsDataModule="datamodules.kinetics",
    OneSequenceDataModule="datamodules.one_sequence",
    PrepareReport="tools.prepare",
    ShardDataModule="datamodules.shards",
    SyntheticDataModule="datamodules.synthetic",
    VideoFolderDataModule="datamodules.video_folder",
    YouTubeVOSDataModule="datamodules.youtube_vos",
    audit_dataset="tools.audit",
    prepare_dataset="tools.prepare",
    prepare_shards="shards.writing",
    write_davis_tree="synthetic.datasets",
)
