"""Pictures, tables and configs for the loggers that can show them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from vos_lightning.callbacks.run_folder import Picture, Value


def log_picture(trainer: pl.Trainer, name: str, picture: Picture, caption: str) -> None:
    """Show RGB (H, W, 3) in W&B and TensorBoard."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [picture], trainer.global_step, caption=[caption])
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, picture, trainer.global_step, dataformats="HWC")


def log_masks(trainer: pl.Trainer, name: str, frame: Picture, masks: Mapping[str, Picture], caption: str) -> None:
    """Show masks that can be switched on and off over a frame, in W&B.

    Args:
        trainer: whose loggers.
        name: of the panel.
        frame: RGB (H, W, 3).
        masks: ids (H, W) by name.
        caption: below the picture.
    """
    ids = sorted({int(one) for mask in masks.values() for one in np.unique(mask)})
    labels = {one: f"object {one}" if one else "background" for one in ids}
    layers = {key: {"mask_data": mask, "class_labels": labels} for key, mask in masks.items()}
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [frame], trainer.global_step, masks=[layers], caption=[caption])


def log_video(trainer: pl.Trainer, name: str, path: Path, caption: str) -> None:
    """Show an mp4 in W&B; TensorBoard would have to encode it again, as a GIF."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_video(name, [str(path)], trainer.global_step, caption=[caption], format=["mp4"])


def log_table(trainer: pl.Trainer, name: str, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
    """Show a table in W&B, and as text in TensorBoard."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, list(columns), [list(row) for row in rows], step=trainer.global_step)
        elif isinstance(logger, TensorBoardLogger):
            lines = [columns, ["---"] * len(columns), *([_short(value) for value in row] for row in rows)]
            text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
            logger.experiment.add_text(name, text, trainer.global_step)


def log_config(trainer: pl.Trainer, config: dict[str, Any]) -> None:
    """Show the resolved config in W&B, with the names that it has in YAML."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(config)


def _short(value: Value) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
