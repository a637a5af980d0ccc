"""`best.ckpt`: the state with the best validation score."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor


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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the best score over if its file is still there; paths are this run's own, not those in a checkpoint."""
        path, score = f"{self.dirpath}/best{self.FILE_EXTENSION}", state_dict.get("best_model_score")
        if isinstance(score, Tensor) and Path(path).is_file():
            self.best_model_path = self.kth_best_model_path = path
            self.best_model_score = self.kth_value = score
            self.best_k_models = {path: score}
