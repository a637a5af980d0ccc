"""From networks to masks: memory, propagation, and the segmenter; plain PyTorch."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.inference.adaptation.settings import AdapterSettings
    from vos_lightning.inference.segmenter import VideoSegmenter
    from vos_lightning.inference.tracking.settings import TrackingSettings

__all__ = ["AdapterSettings", "TrackingSettings", "VideoSegmenter"]

__getattr__, __dir__ = lazy_names(
    __name__,
    AdapterSettings="adaptation.settings",
    TrackingSettings="tracking.settings",
    VideoSegmenter="segmenter",
)
