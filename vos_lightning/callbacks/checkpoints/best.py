"""`best.ckpt`: the state with the best validation score."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


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
