"""Short names of models and data: `--model MAST --data VideoFolder`."""

from collections.abc import Sequence

from vos_lightning import __all__ as names
from vos_lightning import data
from vos_lightning.errors import VOSError


def models() -> dict[str, str]:
    """Import paths of the tasks by name."""
    return {name: f"vos_lightning.{name}" for name in names if name not in ("VideoSegmenter", "__version__")}


def datamodules() -> dict[str, str]:
    """Import paths of the datamodules by name without `DataModule`."""
    classes = [name for name in data.__all__ if name.endswith("DataModule")]
    return {name.removesuffix("DataModule"): f"vos_lightning.data.{name}" for name in classes}


def with_import_paths(arguments: Sequence[str]) -> list[str]:
    """Arguments with the import path of the class in the place of its name.

    Raises:
        VOSError: a name that no class has.
    """
    known = {
        option: classes
        for kind, classes in (("--model", models()), ("--data", datamodules()))
        for option in (kind, f"{kind}.help", f"{kind}.class_path")
    }
    result, before = list[str](), ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if before in known:
            result.append(_path(before, argument, known[before]))
        elif equals and option in known:
            result.append(f"{option}={_path(option, value, known[option])}")
        else:
            result.append(argument)
        before = argument
    return result


def _path(option: str, value: str, classes: dict[str, str]) -> str:
    if not value.isidentifier():  # a path of the user's own, or another option
        return value
    short = value.removesuffix("DataModule")
    if short not in classes:
        raise VOSError(f"{option} {value}: no such class; there are {', '.join(classes)}, or give an import path")
    return classes[short]
