"""What a checkpoint holds of a task, read as data: never as names of modules to import."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from torch import Tensor

from vos_lightning.errors import CorruptFileError, VOSError
from vos_lightning.inference.primitives import converted
from vos_lightning.inference.weights import HParams, dense, upgraded, written_task
from vos_lightning.io.checkpoints import read_checkpoint


def read_model(path: Path, task: type, map_location: Any = "cpu") -> tuple[HParams, dict[str, Tensor]]:  # noqa: ANN401
    """Options and weights of a task.

    Args:
        path: of a checkpoint of Lightning.
        task: its class.
        map_location: where to put the weights, as of `torch.load`.

    Raises:
        VOSError: it can't be read, or is no checkpoint of Lightning.
        CorruptFileError: an option or the weights are of a wrong type.
    """
    checkpoint = read_checkpoint(path, map_location)
    try:
        state = dense(checkpoint["state_dict"])
    except VOSError as error:
        raise CorruptFileError(f"{path} is damaged: {error}") from error
    return saved_settings(checkpoint, task, path), state


def saved_settings(checkpoint: HParams, task: type, path: Path) -> HParams:
    """Hyper-parameters of a checkpoint that are options of its task, as they are named today.

    Left out are those that the task doesn't save (`unsaved`) and Lightning's own, which name classes.

    Args:
        checkpoint: what the file holds.
        task: class of the model that is to take it.
        path: of the file, for messages.

    Raises:
        CorruptFileError: an option is of a type that the task doesn't have.
    """
    saved = checkpoint.get("hyper_parameters", {})
    if not isinstance(saved, Mapping):
        raise CorruptFileError(f"{path} is damaged: its hyper-parameters are no table")
    if hasattr(task, "task"):  # of this library
        saved = upgraded(saved, written_task(checkpoint))[0]
    options = signature(task, eval_str=True).parameters
    others = any(option.kind is Parameter.VAR_KEYWORD for option in options.values())
    left_out = {"_class_path", "_instantiator", *getattr(task, "unsaved", ())}
    taken = {name: saved[name] for name in saved if (others or name in options) and name not in left_out}
    for name, value in taken.items():
        if name in options and is_plain(options[name].annotation):
            try:
                converted(value, options[name].annotation, name)
            except VOSError as error:
                raise CorruptFileError(f"{path} is damaged: {error}") from error
    return taken


def plain_options(task: type) -> set[str]:
    """Names of the options of a task whose values can't name files or classes."""
    options = signature(task, eval_str=True).parameters.items()
    return {name for name, option in options if is_plain(option.annotation)}


def is_plain(hint: Any) -> bool:  # noqa: ANN401 - a type annotation
    """Whether all values of a type are numbers, fixed choices, or lists and tables of these."""
    if get_origin(hint) is Literal or hint in (bool, int, float, None, NoneType, ...):
        return True
    if get_origin(hint) in (Union, UnionType, list, tuple):
        return all(map(is_plain, get_args(hint)))
    return is_dataclass(hint) and all(is_plain(get_type_hints(hint)[field.name]) for field in fields(hint))
