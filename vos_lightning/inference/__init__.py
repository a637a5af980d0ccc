"""From networks to masks: memory, propagation, and the segmenter; plain PyTorch."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.inference.adaptation_settings import AdapterSettings
    from vos_lightning.inference.cutout_propagation import CutoutPropagator
    from vos_lightning.inference.propagation import Propagator
    from vos_lightning.inference.segmenter import VideoSegmenter

__all__ = ["AdapterSettings", "CutoutPropagator", "Propagator", "VideoSegmenter"]

__getattr__, __dir__ = lazy_names(
    __name__,
    AdapterSettings="adaptation_settings",
    CutoutPropagator="cutout_propagation",
    Propagator="propagation",
    VideoSegmenter="segmenter",
)
