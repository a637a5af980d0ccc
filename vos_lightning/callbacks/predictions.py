"""Predicted masks on disk, as the field's tools expect them."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from vos_lightning.errors import VOSError
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
        """Write one sequence.

        Raises:
            VOSError: the sequence's name leads out of the directory.
        """
        folder = self.directory / outputs["sequence"]
        if not folder.resolve().is_relative_to(self.directory.resolve()):
            raise VOSError(f"sequence {outputs['sequence']!r} would be written outside of {self.directory}; rename it")
        with MaskWriter(folder, outputs["palette"]) as writer:
            for name, mask in zip(outputs["names"], outputs["masks"], strict=True):
                writer.write(name, mask.numpy())
