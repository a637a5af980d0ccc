"""Checkpoint files, read without unpickling anything but tensors and plain values."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from vos_lightning.errors import CorruptFileError, VOSError


def read_checkpoint(path: str | Path, map_location: Any = "cpu") -> dict[str, Any]:  # noqa: ANN401 - torch's
    """What a checkpoint holds.

    Raises:
        CorruptFileError: it can't be read, or holds more than tensors and plain values.
        VOSError: it is no checkpoint of Lightning.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of protocols that it then refuses
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CorruptFileError(
            f"{path} is damaged, or holds more than tensors and plain values; what could run code is not read"
        ) from error
    except Exception as error:  # torch.load raises whatever its parsers raise
        reason = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise CorruptFileError(f"{path} is not a readable checkpoint: {reason}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise VOSError(f"{path} is not a Lightning checkpoint: it has no state_dict")
    return checkpoint
