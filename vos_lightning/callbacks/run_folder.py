"""Where a run keeps what it writes, and how pictures and tables get into the loggers that can show them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from vos_lightning.io.files import atomic_path

Picture = NDArray[np.uint8]
Value = str | int | float


def run_folder(trainer: pl.Trainer) -> Path:
    """The folder of a run: the one that holds its `checkpoints`."""
    if not trainer.loggers:
        return Path(trainer.default_root_dir)
    logger = trainer.loggers[0]
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    return Path(logger.save_dir or trainer.default_root_dir) / str(logger.name) / version


def save_picture(path: Path, picture: Picture) -> None:
    """Write RGB (H, W, 3) as a file, whole or not at all; the suffix tells the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG" if path.suffix == ".png" else "JPEG", quality=90)


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


def append_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
    """Add rows to a CSV file, which begins with the columns' names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(([columns] if fresh else []) + [list(row) for row in rows])


def log_config(trainer: pl.Trainer, config: dict[str, Any]) -> None:
    """Show the resolved config in W&B, with the names that it has in YAML."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_hyperparams(config)


def _short(value: Value) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
