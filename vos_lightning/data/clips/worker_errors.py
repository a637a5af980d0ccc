"""Errors of loader processes in one line, also those of a process that died, wherever in the run that shows."""

import re
import traceback
from collections.abc import Iterable, Iterator
from typing import TypeVar

from vos_lightning.errors import VOSError

Batch = TypeVar("Batch")

# PyTorch's, from a signal handler at any line of the run, or from the loader that waits for a batch
_DEATH = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: ([\w ]+)|exited)")
_NO_MEMORY = re.compile(r"Caught \w*MemoryError in DataLoader worker|in DataLoader worker.*can't allocate memory", re.S)
_NO_SHARED_MEMORY = re.compile(r"in DataLoader worker.*unable to \w+ [^\n]*(?:</torch_|shared memory)", re.S)
# a batch that was on its way, as it shows here and in the thread that pins memory
_CUT_OFF = (ConnectionError, EOFError, FileNotFoundError)
_CUT_OFF_THREAD = re.compile(r"Caught (?:Connection\w*|EOF|FileNotFound)Error in pin memory thread")

_SHARED = "shared memory (enlarge /dev/shm, as by docker run --shm-size=8g)"
_ADVICE = "lower num_workers, batch_size or short_side, and go on with --ckpt_path last"


def dead_worker(error: BaseException) -> str | None:
    """What happened to a loader process and what to do about it; None if an error has another cause.

    >>> dead_worker(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))[:72]
    'a loader process ended unexpectedly (pid 7, Killed), most likely for wan'
    >>> dead_worker(RuntimeError("CUDA out of memory"))
    """
    for cause in causes(error):
        message = str(cause)
        if found := _DEATH.search(message):
            how = ", ".join(part for part in (f"pid {found[1]}", found[2]) if part)
            return _ended(f" ({how})", shared=found[2] == "Bus error")
        if _NO_MEMORY.search(message):
            return f"a loader process ran out of memory; {_ADVICE}"
        if _NO_SHARED_MEMORY.search(message):
            return f"a loader process ran out of {_SHARED}; {_ADVICE}"
        if _CUT_OFF_THREAD.search(message) or (isinstance(cause, _CUT_OFF) and _waits_for_a_worker(cause)):
            return _ended("")
    return None


def plain_worker_errors(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches of a loader; errors of its processes come without their traceback.

    Raises:
        VOSError: that of the process, or the line of `dead_worker`.
    """
    try:
        yield from batches
    except VOSError as error:
        reason = str(error).strip().rsplit(f"{type(error).__name__}: ", 1)[-1]
        raise type(error)(reason) from error
    except Exception as error:
        if (death := dead_worker(error)) is None:
            raise
        raise VOSError(death) from error


def _ended(how: str, shared: bool = False) -> str:
    need = _SHARED if shared else "memory"
    return f"a loader process ended unexpectedly{how}, most likely for want of {need}; {_ADVICE}"


def _waits_for_a_worker(error: BaseException) -> bool:
    """Whether an error came up where the loader receives what its processes send."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(
        frame.f_code.co_name == "_get_data" and frame.f_globals.get("__name__") == "torch.utils.data.dataloader"
        for frame in frames
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and what was being handled then."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
