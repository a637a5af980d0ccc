"""Checkpoints that every run leaves: the last state, and the best by J&F where there is validation."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """`last.ckpt` at the end of every training epoch, also of one that `max_steps` or `max_time` cuts short.

    Args:
        dirpath: folder; None is the logger's run folder.
        every_n_epochs: how often.
    """

    def __init__(self, dirpath: str | None = None, every_n_epochs: int = 1) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="last",
            every_n_epochs=every_n_epochs,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt` by `val/JF` over the full validation sequences; nothing without validation.

    The state after `max_steps` is validated too, also in the middle of an epoch.

    Args:
        dirpath: folder; None is the logger's run folder.
    """

    def __init__(self, dirpath: str | None = None) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor="val/JF",
            mode="max",
            save_on_train_epoch_end=False,
            enable_version_counter=False,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Have the last step validated: Lightning does so when it is told to stop, not when it runs out of steps."""
        super().on_train_batch_end(trainer, *args, **kwargs)
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True
