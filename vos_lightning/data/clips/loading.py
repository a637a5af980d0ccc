"""The training dataloader: a DataLoader that can say where it is and continue from there."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from vos_lightning.batches import ClipBatch
from vos_lightning.data.clips.sampling import ClipSampler
from vos_lightning.data.clips.worker_errors import plain_worker_errors
from vos_lightning.errors import CorruptFileError

# epochs and batches of a run
_HIGHEST = 1 << 48


class ClipLoader(DataLoader[Any]):
    """DataLoader over a `ClipSampler`, resumable in the middle of an epoch.

    Lightning stores `state_dict()` in every checkpoint and hands it back to `load_state_dict()` on resume. What counts
    is the batches handed out, not those that workers have read ahead. Under another sampler, as Lightning sets for
    ``overfit_batches``, it is a plain DataLoader.
    """

    _batches = 0

    def __iter__(self) -> Iterator[ClipBatch]:  # type: ignore[override]
        """Batches of the sampler's epoch, from its first one not yet consumed."""
        self._batches = self.sampler.skipped() // (self.batch_size or 1) if isinstance(self.sampler, ClipSampler) else 0
        for batch in plain_worker_errors(super().__iter__()):
            self._batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and batches handed out in it."""
        return {"epoch": getattr(self.sampler, "epoch", 0), "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the last batch of `state`, if its epoch is the next one iterated.

        Raises:
            CorruptFileError: it is not what `state_dict` gives.
        """
        if isinstance(self.sampler, ClipSampler):
            epoch, batches = state.get("epoch", -1), state.get("batches", -1)
            if not all(type(number) is int and 0 <= number < _HIGHEST for number in (epoch, batches)):
                raise CorruptFileError(f"the checkpoint is damaged: its data loader is at {state!r:.60}")
            self.sampler.set_epoch(epoch)
            self.sampler.skip = (epoch, batches * (self.batch_size or 1))


def ignore_foreign_sigterm(worker: int) -> None:
    """Set up a loader's process: SIGTERM ends it if the training process sends it, not if a whole group gets it.

    `timeout`, systemd and job schedulers send it to all processes of a run. The training process then finishes its step
    and saves, and needs its loaders for that. Where the system can't tell who sent a signal (macOS, Windows), nothing
    changes.

    Args:
        worker: index of the process among the loader's.
    """
    if not hasattr(signal, "sigwaitinfo"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_exit_at_sigterm_of_parent, name="SIGTERM", daemon=True).start()


def _exit_at_sigterm_of_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
