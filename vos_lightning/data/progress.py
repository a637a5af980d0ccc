"""Many files at a time, with a progress bar where somebody watches."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from vos_lightning.errors import VOSError

T = TypeVar("T")
R = TypeVar("R")


def map_files(work: Callable[[T], R], items: Sequence[T], description: str, threads: int | None = None) -> Iterator[R]:
    """Apply `work` to all items in threads; results come in the order of the items.

    Args:
        work: decodes or encodes, which lets other threads run.
        items: what to work on.
        description: shown beside the bar, on standard error, only if that is a terminal.
        threads: None takes two per core, for there is reading to wait for.

    Raises:
        VOSError: no threads.
    """
    if threads is not None and threads < 1:
        raise VOSError(f"threads={threads}: need at least 1")
    return _map_files(work, items, description, threads)


def _map_files(work: Callable[[T], R], items: Sequence[T], description: str, threads: int | None) -> Iterator[R]:
    console = Console(stderr=True, quiet=not sys.stderr.isatty())  # older rich ends with an empty line
    pool = ThreadPoolExecutor(threads or min(32, 2 * (os.cpu_count() or 1)))
    try:
        results = pool.map(work, items)
        yield from track(
            results, description, total=len(items), console=console, disable=not console.is_terminal, transient=True
        )
    finally:
        pool.shutdown(cancel_futures=True)
