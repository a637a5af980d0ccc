"""Progress: a rich bar on a terminal, plain lines anywhere else."""

import time
from typing import Any, TextIO

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

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Print where the run is, unless it was said a moment ago."""
        now = time.monotonic()
        if self._enabled and now - self._last >= self.seconds:
            self._last = now
            self._print(trainer, pl_module)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Print how many sequences are done, unless something was said a moment ago."""
        now = time.monotonic()
        if self._enabled and not trainer.sanity_checking and now - self._last >= self.seconds:
            self._last = now
            print(f"validation {batch_idx + 1} of {sum(trainer.num_val_batches)} sequences", flush=True)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the scores as soon as they are there."""
        if self._enabled and not trainer.sanity_checking:
            self._last = time.monotonic()
            self._print(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the last state."""
        if self._enabled:
            self._print(trainer, pl_module)

    def _print(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics = self.get_metrics(trainer, pl_module)
        values = " ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, float))
        print(f"epoch {trainer.current_epoch} step {trainer.global_step} {values}", flush=True)


def default_progress(stream: TextIO) -> Callback:
    """What fits the stream: a bar for a terminal, lines for a file or pipe."""
    return RichProgressBar() if stream.isatty() else ProgressLines()
