"""Reading ahead: the next frames are decoded while the current one is worked on."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End:
    """Follows the last item; carries what went wrong, if anything did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class BackgroundReader(Generic[Item]):
    """Iterate over something in a background thread, a few items ahead.

    The thread starts with the iteration. It ends with it too, also when the loop is left early or the iterator dropped.

    Args:
        iterable: What to read, such as a `FrameSource`.
        depth: Number of items to hold in advance, at least 1.
    """

    def __init__(self, iterable: Iterable[Item], depth: int = 4) -> None:
        """Check the depth; nothing is read yet."""
        if depth < 1:
            raise ValueError(f"depth is at least 1, not {depth}")
        self.iterable = iterable
        self.depth = depth

    def __iter__(self) -> Iterator[Item]:
        """Give the items in order; an error comes where its item would have come."""
        queue: Queue[Item | _End] = Queue(self.depth)
        stop = threading.Event()
        thread = threading.Thread(target=_fill, args=(self.iterable, queue, stop), daemon=True, name="BackgroundReader")
        thread.start()
        try:
            while not isinstance(item := queue.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            stop.set()
            _empty(queue)  # wakes a thread that waits for room
            thread.join()


def _fill(iterable: Iterable[Item], queue: Queue[Item | _End], stop: threading.Event) -> None:
    """Read until the end, an error or `stop`."""
    error: BaseException | None = None
    try:
        for item in iterable:
            if stop.is_set():
                break
            queue.put(item)
    except BaseException as caught:  # handed over, whatever it is
        error = caught
    if not stop.is_set():
        queue.put(_End(error))


def _empty(queue: Queue[Item | _End]) -> None:
    try:
        while True:
            queue.get_nowait()
    except Empty:
        return
