"""The field's metrics as torchmetrics classes."""

from typing import TYPE_CHECKING

from vos_lightning.lazy import lazy_names

if TYPE_CHECKING:
    from vos_lightning.metrics.jf import ContourAccuracy, JFMeasure, RegionSimilarity

__all__ = [
    "ContourAccuracy",
    "JFMeasure",
    "RegionSimilarity",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    ContourAccuracy="jf",
    JFMeasure="jf",
    RegionSimilarity="jf",
)
