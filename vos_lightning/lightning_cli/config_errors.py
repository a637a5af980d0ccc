"""What is wrong with a config or an option, in one line: the cause, not the usage."""

import re
import sys
from difflib import get_close_matches
from inspect import signature
from textwrap import shorten
from typing import Any, NoReturn

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser

from vos_lightning.io.terminal import printable

# Lines of jsonargparse that tell what it tried, not what is wrong.
_ASIDES = (
    r"- Expected a path but .*",
    r"Does not validate against any of the Union subtypes",
    r"- Does not validate against any of the Union subtypes",
    r"Subtypes: .*",
    r"Errors:",
    r"- Expected a <class 'NoneType'>",
    r"Given value type: .*",
    r"Given value: Namespace.*",
)
# A logger's package is missing, in words of Lightning and of Python.
_NO_LOGGER = re.compile(r"(?:Requirement '|Neither `|No module named ')(wandb|tensorboard)")
# Of a message in characters: jsonargparse repeats whole configs.
_LONGEST = 400


class OneLineParser(LightningArgumentParser):
    """Says what is wrong in one line and exits with code 2, as the other commands do."""

    _config = ""

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - jsonargparse's
        """Remember the file that is read, to name it."""
        self._config = f"{path}: "
        parsed = super().parse_path(path, *args, **kwargs)
        self._config = ""
        return parsed

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Replaces the usage, of which there are fifty lines, by the cause and where to read more."""
        parser = getattr(ex, "subcommand_parser", None) or self
        cause = self._config + shorten(one_line(message), _LONGEST, placeholder=" …") + _suggestion(message, parser)
        print(f"vos-lightning: error: {printable(cause)}", file=sys.stderr)
        self.exit(2)
        raise SystemExit(2)


def one_line(message: str) -> str:
    """The cause out of a message of jsonargparse or Lightning.

    >>> one_line("trainer.max_steps: Expected a <class 'int'>. Got value: three")
    'trainer.max_steps: expected int, got three'
    """
    if missing := _NO_LOGGER.search(message):
        return f"{missing[1]} is not installed; pip install 'vos_lightning[{missing[1]}]'"
    lines = [line.strip() for line in message.splitlines()]
    kept = [line for line in lines if line and not any(re.fullmatch(aside, line) for aside in _ASIDES)]
    text = " ".join(kept or lines).removeprefix("- ")
    text = re.sub(r'^Parser key "([^"]+)": ?', r"\1: ", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = re.sub(r"Expected an? (.+?)\. Got value: ", r"expected \1, got ", text)
    text = re.sub(r" Given value: (.+)$", r", got \1", text)
    return re.sub(r": - ", ": ", text)


def _suggestion(message: str, parser: LightningArgumentParser) -> str:
    """The known option that an unknown one may have been meant to be."""
    unknown = re.search(r"(?:unrecognized arguments: --|[Oo]ption ')([\w.]+)", message)
    if unknown is None:
        return ""
    known = {*parser.get_defaults(skip_validation=True).keys(), *_init_arguments()}
    close = get_close_matches(unknown[1].rpartition(".init_args.")[2], known, 1)
    return f"; did you mean {close[0]}?" if close and close[0] != unknown[1] else ""


def _init_arguments() -> set[str]:
    """Names of what the tasks and datamodules take that the config has brought in."""
    classes: list[type] = [pl.LightningModule, pl.LightningDataModule]
    for one in classes:
        classes += one.__subclasses__()
    return {name for one in classes for name in signature(one).parameters}
