"""The options of a model that its checkpoint holds, for a command: numbers and choices, never names to import."""

from collections.abc import Mapping
from pathlib import Path

from vos_lightning.callbacks.checkpoints.files import read_checkpoint
from vos_lightning.errors import VOSError
from vos_lightning.inference.saved_settings import plain_options, saved_settings
from vos_lightning.inference.weights import HParams


def checkpoint_settings(path: Path, task: type) -> HParams:
    """Hyper-parameters that a checkpoint holds and that its task saves.

    What could name a file or a class is never taken: text belongs to a fixed choice, or it is left out.

    Args:
        path: of the checkpoint.
        task: class of the model that is to take it.

    Raises:
        VOSError: it can't be read, or is one of another task.
        CorruptFileError: a hyper-parameter is of a type that the task doesn't have.
    """
    checkpoint = read_checkpoint(path, "meta")
    saved = checkpoint.get("hyper_parameters")
    _check_task(saved.get("_class_path") if isinstance(saved, Mapping) else None, task, path)
    plain = plain_options(task)
    return {name: value for name, value in saved_settings(checkpoint, task, path).items() if name in plain}


def _check_task(origin: object, task: type, path: Path) -> None:
    """Compare the names of classes and of the packages that they come from; modules may have moved since."""
    if origin is None:
        return
    package, _, name = str(origin).partition(".")
    if package != task.__module__.partition(".")[0] or name.rpartition(".")[2] != task.__name__:
        raise VOSError(f"{path} is a checkpoint of {origin}, and the model is {task.__name__}; give --model its class")
