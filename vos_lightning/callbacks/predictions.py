"""Predicted masks on disk, as the field's tools expect them."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from vos_lightning.io.writers import MaskWriter


class PredictionWriter(Callback):
    """Writes the masks of `predict` as palette PNGs: directory/sequence/frame.png.

    Args:
        directory: where the folders of the sequences go.
    """

    def __init__(self, directory: str = "predictions") -> None:
        self.directory = Path(directory)

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write one sequence."""
        with MaskWriter(self.directory / outputs["sequence"], outputs["palette"]) as writer:
            for name, mask in zip(outputs["names"], outputs["masks"], strict=True):
                writer.write(name, mask.numpy())
