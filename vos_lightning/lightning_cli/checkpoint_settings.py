"""The options of a model that its checkpoint holds: numbers and choices, read as data and never as names to import."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vos_lightning.callbacks.checkpoints.files import read_checkpoint
from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.inference.primitives import converted
from vos_lightning.inference.weights import upgraded, written_task


def checkpoint_settings(path: Path, task: type) -> dict[str, Any]:
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
    settings = checkpoint.get("hyper_parameters", {})
    if not isinstance(settings, Mapping):
        raise CorruptFileError(f"{path} is damaged: its hyper-parameters are no table")
    _check_task(settings.get("_class_path"), task, path)
    if hasattr(task, "task"):  # of this library
        settings = upgraded(settings, written_task(checkpoint))[0]
    types = _saved(task)
    taken = {name: settings[name] for name in types if name in settings}
    for name, value in taken.items():
        try:
            converted(value, types[name], name)
        except VOSError as error:
            raise CorruptFileError(f"{path} is damaged: {error}") from error
    return taken


def _check_task(origin: object, task: type, path: Path) -> None:
    """Compare the names of classes and of the packages that they come from; modules may have moved since."""
    if origin is None:
        return
    package, _, name = str(origin).partition(".")
    if package != task.__module__.partition(".")[0] or name.rpartition(".")[2] != task.__name__:
        raise VOSError(f"{path} is a checkpoint of {origin}, and the model is {task.__name__}; give --model its class")


def _saved(task: type) -> dict[str, Any]:
    """Names and types of the options that a task saves, and whose values can't name files."""
    types = {name: one.annotation for name, one in signature(task, eval_str=True).parameters.items()}
    unsaved = getattr(task, "unsaved", ())
    return {name: hint for name, hint in types.items() if name not in unsaved and _is_plain(hint)}


def _is_plain(hint: Any) -> bool:  # noqa: ANN401 - a type annotation
    """Whether all values of a type are numbers, fixed choices, or lists and tables of these."""
    if get_origin(hint) is Literal or hint in (bool, int, float, None, NoneType, ...):
        return True
    if get_origin(hint) in (Union, UnionType, list, tuple):
        return all(map(_is_plain, get_args(hint)))
    return is_dataclass(hint) and all(_is_plain(get_type_hints(hint)[field.name]) for field in fields(hint))
