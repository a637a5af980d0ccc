"""`last.ckpt`: the state to resume from, however a run ends."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info

from vos_lightning.callbacks.checkpoints.stop_signals import StopSignals


class LastCheckpoint(ModelCheckpoint):
    """`last.ckpt`: after every training epoch, every few steps, and when a signal ends the run.

    SIGTERM, SIGUSR1 (of a job scheduler) and the first SIGINT (Ctrl-C) let the batch end and save before they end the
    process. A signal during validation ends it at once: the checkpoint before it is the one to resume from, so that
    validation is always of whole sequences.

    Args:
        dirpath: folder; None is the logger's run folder.
        every_n_epochs: how often at the end of an epoch, also of one that `max_steps` or `max_time` cuts short.
        every_n_steps: how often within epochs, in optimizer steps; 0 for not at all.
    """

    def __init__(self, dirpath: str | None = None, every_n_epochs: int = 1, every_n_steps: int = 500) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="last",
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
        self.every_n_steps = every_n_steps
        self._signals = StopSignals()
        self._step = 0

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Have the run go on with the batch that would have come next."""
        if "loops" in checkpoint:  # not where only weights were saved
            _at_the_next_batch(checkpoint["loops"]["fit_loop"])

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing over: Lightning would remove the file that a checkpoint names as its predecessor."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen to signals from here on."""
        super().on_train_start(trainer, pl_module)
        self._step = trainer.global_step
        self._signals.listen(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Save where it is due; what was accumulated since the last optimizer step would be lost, so only after one.

        Raises:
            SystemExit: a signal asked for the end.
        """
        super().on_train_batch_end(trainer, *args, **kwargs)
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        stop = trainer.strategy.reduce_boolean_decision(self._signals.received is not None, all=False)
        due = self.every_n_steps > 0 and self._step % self.every_n_steps == 0
        if (stop or due) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self._path())
        if stop:
            rank_zero_info(f"stopped after step {self._step}; --ckpt_path last goes on from {self._path()}")
            raise self._signals.exit()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """There is nothing to finish in validation.

        Raises:
            SystemExit: a signal asked for the end.
        """
        self._signals.patient = False
        if self._signals.received is not None:
            raise self._signals.exit()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training goes on."""
        super().on_validation_end(trainer, pl_module)
        self._signals.patient = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave signals to others."""
        super().on_train_end(trainer, pl_module)
        self._signals.ignore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave signals to others; after one, what went wrong is no fault: it may have hit helpers of the step.

        Raises:
            SystemExit: a signal had asked for the end.
        """
        stopped = self._signals.received is not None and isinstance(exception, Exception)
        self._signals.ignore()
        if stopped:
            resume = f"; --ckpt_path last goes on from {self._path()}" if self._path().exists() else ""
            rank_zero_info(f"stopped before step {self._step + 1} was done{resume}")
            raise self._signals.exit() from exception

    def _path(self) -> Path:
        return Path(str(self.dirpath)) / f"last{self.FILE_EXTENSION}"


def _at_the_next_batch(fit_loop: dict[str, Any]) -> None:
    """Correct the progress that was saved at the end of an epoch.

    With `max_steps`, Lightning takes such an epoch for unfinished and its batches for done: it passes through it once
    more, empty, and the run continues with the batches of the epoch after the next one.
    """
    epochs, batches = fit_loop["epoch_progress"], fit_loop["epoch_loop.batch_progress"]
    if epochs["current"]["processed"] == epochs["current"]["completed"]:
        return  # saved in the middle of an epoch
    for progress in (epochs["total"], epochs["current"]):
        if batches["is_last_batch"]:
            progress["completed"] = progress["processed"]
        else:  # `max_steps` or `max_time` has cut the epoch short
            progress["processed"] = progress["completed"]
    if batches["is_last_batch"]:
        batches["current"] = dict.fromkeys(batches["current"], 0)
        batches["is_last_batch"] = False
