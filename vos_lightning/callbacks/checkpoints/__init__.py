"""Checkpoints: when they are written, how, and what a resumed run needs of them."""

from vos_lightning.callbacks.checkpoints.best import BestCheckpoint
from vos_lightning.callbacks.checkpoints.last import LastCheckpoint

__all__ = ["BestCheckpoint", "LastCheckpoint"]
