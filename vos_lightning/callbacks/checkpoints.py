"""Checkpoints that every run leaves: the last state, and the best by J&F where there is validation."""

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
