"""Progress: a rich bar on a terminal, plain lines anywhere else."""

import time
from typing import TextIO

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback, ProgressBar, RichProgressBar


class ProgressLines(ProgressBar):
    """One plain line every few seconds: for logs and pipes.

    Args:
        seconds: between two lines.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        super().__init__()
        self.seconds = seconds
        self._last = 0.0
        self._enabled = True

    def disable(self) -> None:
        """Called by Lightning on all ranks but the first."""
        self._enabled = False

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        """Print where the run is, unless it was said a moment ago."""
        if self._is_due():
            self._print(trainer, pl_module)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, index: int, *_: int
    ) -> None:
        """Print how many sequences are done, unless something was said a moment ago."""
        if not trainer.sanity_checking and self._is_due():
            self._say(f"validation {index + 1} of {sum(trainer.num_val_batches)} sequences")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the scores as soon as they are there."""
        if not trainer.sanity_checking:
            self._print(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last state."""
        self._print(trainer, pl_module)

    def _is_due(self) -> bool:
        return time.monotonic() - self._last >= self.seconds

    def _print(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = self.get_metrics(trainer, pl_module)
        values = " ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, float))
        self._say(f"epoch {trainer.current_epoch} step {trainer.global_step} {values}")

    def _say(self, line: str) -> None:
        if self._enabled:
            print(line, flush=True)
            self._last = time.monotonic()


def default_progress(stream: TextIO) -> Callback:
    """What fits the stream: a bar for a terminal, lines for a file or pipe."""
    return RichProgressBar() if stream.isatty() else ProgressLines()
