"""Progress on a terminal, and silence in a pipe."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vos_lightning.errors import VOSError

Item = TypeVar("Item")
Result = TypeVar("Result")


def progress_bar() -> Progress:
    """A bar on stderr that shows only on a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=sys.stderr, quiet=not sys.stderr.isatty()),  # older rich ends with an empty line
        disable=not sys.stderr.isatty(),
    )


def map_files(
    work: Callable[[Item], Result], items: Sequence[Item], description: str, threads: int | None = None
) -> Iterator[Result]:
    """Apply a function to many files in threads, with a progress bar; results come in the order of the items.

    Args:
        work: Decodes or encodes, which lets other threads run.
        items: What to work on.
        description: Shown beside the bar.
        threads: `None` takes two per core, for there is reading to wait for.

    Raises:
        VOSError: No threads.
    """
    if threads is not None and threads < 1:
        raise VOSError(f"threads={threads}: need at least 1")
    return _map_files(work, items, description, threads or min(32, 2 * (os.cpu_count() or 1)))


def _map_files(
    work: Callable[[Item], Result], items: Sequence[Item], description: str, threads: int
) -> Iterator[Result]:
    pool = ThreadPoolExecutor(threads)
    try:
        with progress_bar() as bar:
            task = bar.add_task(description, total=len(items), note="")
            for result in pool.map(work, items):
                yield result
                bar.advance(task)
    finally:
        pool.shutdown(cancel_futures=True)
