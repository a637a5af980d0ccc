"""Checkpoint files that are whole or absent, and hold nothing but tensors and plain values."""

import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.io import checkpoints as io
from vos_lightning.io.files import atomic_path, unwritable


class AtomicCheckpointIO(CheckpointIO):
    """Writes beside the file and renames: whenever a run is killed, the last checkpoint or the new one is there.

    Lightning's own writes to the system's temporary folder and moves, which copies where that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:  # noqa: ANN401
        """Write a checkpoint, on the disk when this returns.

        Raises:
            UnwritableError: it can't be written; what was there before still is.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise unwritable(path, error) from error
        except RuntimeError as error:  # torch's own, while it handles what the disk said
            raise unwritable(path, error.__context__ if isinstance(error.__context__, OSError) else error) from error

    def load_checkpoint(
        self,
        path: str | Path,
        map_location: Any = "cpu",  # noqa: ANN401
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read a checkpoint without unpickling anything; see `read_checkpoint`.

        Raises:
            CorruptFileError: its weights are no plain numbers, which torch would convert to some.
        """
        checkpoint = read_checkpoint(path, "cpu" if map_location is None else map_location)
        state = checkpoint["state_dict"]
        if not isinstance(state, dict):
            raise CorruptFileError(f"{path} is damaged: state_dict is {type(state).__name__}")
        for name, one in state.items():
            if isinstance(one, torch.Tensor) and (one.layout != torch.strided or one.is_complex() or one.is_meta):
                raise CorruptFileError(f"{path} is damaged: {name} holds no plain numbers")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint, if it is there; names may come out of another checkpoint, so nothing else is removed."""
        if Path(path).suffix == ".ckpt" and ".." not in Path(path).parts:
            Path(path).unlink(missing_ok=True)


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:  # noqa: ANN401
    """What a Lightning checkpoint holds.

    Raises:
        VOSError: no such file, or no checkpoint of Lightning.
        CorruptFileError: it can't be read.
    """
    if not Path(path).is_file():
        raise VOSError(f"no checkpoint at {path}; give a .ckpt file, or 'last' to go on where the newest run stopped")
    checkpoint = io.read_checkpoint(path, map_location)
    if "pytorch-lightning_version" not in checkpoint:
        raise VOSError(f"{path} is not a checkpoint of a training run; give the last.ckpt or best.ckpt of one")
    return checkpoint
