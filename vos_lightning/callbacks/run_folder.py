"""The folder of a run, and the files that callbacks write into it."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from PIL import Image

from vos_lightning.io.files import atomic_path
from vos_lightning.io.terminal import plain_cell

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


def append_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Value]]) -> None:
    """Add rows to a CSV file, which begins with the columns' names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(([columns] if fresh else []) + [[plain_cell(value) for value in row] for row in rows])
