"""The same function on many jobs, in several processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from vos_lightning.errors import VOSError

Job = TypeVar("Job")
Result = TypeVar("Result")


def parallel_map(function: Callable[[Job], Result], jobs: Sequence[Job], workers: int) -> Iterator[Result]:
    """Results in the order of the jobs, as soon as they are there; the first error ends it all.

    Args:
        function: Importable by name, as other processes have to find it.
        jobs: Small: they are sent to other processes.
        workers: Processes. With one, everything stays in this process.

    Raises:
        VOSError: A process was killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(function, jobs)
        return
    quick = sys.platform == "linux" and threading.active_count() == 1  # forking is only safe with one thread
    context = multiprocessing.get_context("fork" if quick else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from pool.map(function, jobs)
        except BrokenProcessPool as error:
            raise VOSError(
                "a worker process was killed, most likely for want of memory; use fewer, such as --workers 1"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def worker_count(workers: int | None) -> int:
    """The number of processes asked for; `None`: one per core.

    Raises:
        VOSError: It is less than one.
    """
    if workers is not None and workers < 1:
        raise VOSError(f"--workers {workers}: give at least one, or leave it out for one per core")
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
