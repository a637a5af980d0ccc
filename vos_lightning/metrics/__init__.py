"""The field's metrics as torchmetrics classes."""

from vos_lightning.metrics.jf import ContourAccuracy, JFMeasure, RegionSimilarity

__all__ = ["ContourAccuracy", "JFMeasure", "RegionSimilarity"]
