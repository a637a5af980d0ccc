"""The field's metrics as torchmetrics classes."""

from vos_lightning.metrics.jf import ContourAccuracy, JFMeasure, RegionSimilarity
from vos_lightning.metrics.matches import TrueMatches

__all__ = ["ContourAccuracy", "JFMeasure", "RegionSimilarity", "TrueMatches"]
