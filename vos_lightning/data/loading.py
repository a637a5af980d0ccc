"""The training dataloader: a DataLoader that can say where it is and continue from there."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from torch.utils.data import DataLoader

from vos_lightning.data.sampling import ClipSampler
from vos_lightning.errors import VOSError

Batch = TypeVar("Batch")


class ClipLoader(DataLoader[Any]):
    """DataLoader over a `ClipSampler`, resumable in the middle of an epoch.

    Lightning stores `state_dict()` in every checkpoint and hands it back to `load_state_dict()` on resume. What counts
    is the batches handed out, not those that workers have read ahead. Under another sampler, as Lightning sets for
    ``overfit_batches``, it is a plain DataLoader.
    """

    _batches = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of the sampler's epoch, from its first one not yet consumed."""
        self._batches = self.sampler.skipped() // (self.batch_size or 1) if isinstance(self.sampler, ClipSampler) else 0
        for batch in plain_worker_errors(super().__iter__()):
            self._batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and batches handed out in it."""
        return {"epoch": getattr(self.sampler, "epoch", 0), "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the last batch of `state`, if its epoch is the next one iterated."""
        if isinstance(self.sampler, ClipSampler):
            self.sampler.set_epoch(state["epoch"])
            self.sampler.skip = (state["epoch"], state["batches"] * (self.batch_size or 1))


def plain_worker_errors(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches of a loader; an error of one of its processes comes as the line it was there, without the traceback.

    Raises:
        VOSError: that of the process, or one that says it was killed.
    """
    try:
        yield from batches
    except VOSError as error:
        reason = str(error).strip().rsplit(f"{type(error).__name__}: ", 1)[-1]
        raise type(error)(reason) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "Caught" in str(error):
            raise
        raise VOSError(
            "a loader process was killed, most likely for want of memory; lower num_workers, batch_size or short_side"
        ) from error


def heed_the_trainer_only(worker: int) -> None:
    """For a loader's process: SIGTERM ends it if the training process sends it, not if a whole group gets it.

    `timeout`, systemd and job schedulers send it to all processes of a run. The training process then finishes its step
    and saves, and needs its loaders for that; left alone, they end with it.

    Where the system can't tell who sent a signal (macOS, Windows), nothing changes.

    Args:
        worker: index of the process among the loader's.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_obey, name="SIGTERM", daemon=True).start()


def _obey() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
