"""The training dataloader: a DataLoader that can say where it is and continue from there."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader

from vos_lightning.data.sampling import ClipSampler


class ClipLoader(DataLoader[Any]):
    """DataLoader over a `ClipSampler`, resumable in the middle of an epoch.

    Lightning stores `state_dict()` in every checkpoint and hands it back to `load_state_dict()` on resume. What counts
    is the batches handed out, not those that workers have read ahead.
    """

    _batches = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of the sampler's epoch, from its first one not yet consumed."""
        assert isinstance(self.sampler, ClipSampler)
        assert self.batch_size is not None
        self._batches = self.sampler.skip // self.batch_size
        for batch in super().__iter__():
            self._batches += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and batches handed out in it."""
        assert isinstance(self.sampler, ClipSampler)
        return {"epoch": self.sampler.epoch, "batches": self._batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after the last batch of `state`; a finished epoch begins the next one."""
        assert isinstance(self.sampler, ClipSampler)
        assert self.batch_size is not None
        self.sampler.set_epoch(state["epoch"])
        self.sampler.skip = state["batches"] % len(self) * self.batch_size
