"""The command line: `vos-lightning COMMAND …`, also installed as `lightning`.

Nothing heavy is imported before the command is known, so that help comes at once.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from io import TextIOWrapper

from vos_lightning.errors import VOSError
from vos_lightning.io.terminal import printable

HELP = """\
usage: vos-lightning COMMAND [options]

Self-supervised video object segmentation: learns from raw videos without labels to follow anything you point at.

see it work
  demo        train, segment and score on generated videos, offline; two minutes on two cores, without installing

use it
  studio      point at objects in the browser, follow them, mend and take away the masks
  segment     follow the objects of a first-frame mask through a video
  evaluate    score folders of masks as DAVIS and YouTube-VOS do (J, F and J&F)
  export      pack masks for an evaluation server

train it (the commands of PyTorch Lightning; `fit --config list` lists the configs that ship with the package)
  fit         train, as in: vos-lightning fit --config mast_videos --data.init_args.root my_videos
  validate    score a checkpoint on the validation sequences
  test        score a checkpoint on the test sequences
  predict     write a checkpoint's masks of all sequences

know your data
  audit       name every file of a dataset that is missing, corrupt or invalid
  prepare     write a small copy of a dataset that loads fast

`vos-lightning COMMAND --help` says more about each. Bad input ends with one line that says what to do, and exit code 2.
"""

# command -> module with a `main(arguments) -> exit code`
COMMANDS = {
    "demo": "vos_lightning.commands.demo",
    "studio": "vos_lightning.commands.studio",
    "segment": "vos_lightning.commands.segment",
    "evaluate": "vos_lightning.commands.evaluate",
    "export": "vos_lightning.commands.export",
    "audit": "vos_lightning.commands.audit",
    "prepare": "vos_lightning.commands.prepare",
    "fit": "vos_lightning.lightning_cli.command",
    "validate": "vos_lightning.lightning_cli.command",
    "test": "vos_lightning.lightning_cli.command",
    "predict": "vos_lightning.lightning_cli.command",
}
# Lightning's own parser reads the command too.
_KEEPS_COMMAND = "vos_lightning.lightning_cli.command"
# torch's, FFmpeg's and OpenCV's words
_NO_MEMORY = re.compile(r"out of memory|(?:can't|[Cc]annot) allocate memory|[Ii]nsufficient memory|bad_alloc")
_LESS = "lower data.init_args.batch_size, short_side or crop_size"
_SMALLER = {
    "segment": "lower --max-size, such as 480",
    "evaluate": "lower --workers",
    "export": "lower --workers",
    "audit": "lower --threads",
    "prepare": "lower --threads",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None takes the process' own.

    Returns:
        The exit code: 0, 2 for bad input, which is said in one line on stderr, or 130 when interrupted.
    """
    open_standard_streams()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if arguments[0] == "--version":
        from vos_lightning import __version__

        print(f"vos_lightning {__version__}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        return _fail(f"unknown command {command!r}; there are {', '.join(COMMANDS)}")
    home = COMMANDS[command]
    run: Callable[[Sequence[str]], int] = import_module(home).main
    try:
        code = run(arguments if home == _KEEPS_COMMAND else rest)
        sys.stdout.flush()  # a full disk is to be told of here, not at exit
        return code
    except VOSError as error:
        return _fail(str(error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        _silence_stdout()
        return 0
    except KeyboardInterrupt:
        print("vos-lightning: interrupted; what was written is whole", file=sys.stderr)
        return 130
    except (MemoryError, RuntimeError, OSError) as error:
        if _is_out_of_memory(error):
            return _fail(f"out of memory ({str(error).partition(chr(10))[0][:200]}); {_SMALLER.get(command, _LESS)}")
        if not isinstance(error, OSError):
            raise
        _silence_stdout()  # a full disk, a folder that can't be read: the user's to mend as well
        return _fail(str(error))


def lightning() -> int:
    """The command `lightning`: another package's where there is one, which ours must not hide; else `main`."""
    for one in entry_points(group="console_scripts", name="lightning"):
        if not one.value.startswith("vos_lightning."):
            code: int = one.load()()
            return code
    return main()


def open_standard_streams() -> None:
    """Give output somewhere to go where it was closed, and have names printed that the locale can't show.

    The next file that is opened would take the place of a closed stream, and get what libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)) is not None


def _fail(message: str) -> int:
    print(f"vos-lightning: error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return 2


def _silence_stdout() -> None:
    """What it still holds can't be written: let no flush at exit complain again."""
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until the interpreter ends
