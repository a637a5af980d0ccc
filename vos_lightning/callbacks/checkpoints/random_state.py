"""The state of the global random generators, in every checkpoint."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from vos_lightning.errors import CorruptFileError


class RandomState(Callback):
    """A resumed run draws what the unbroken one would have drawn: from torch, numpy and `random`.

    Clips and their augmentation don't need this, they draw from seeds of their own; dropout and the like do.
    """

    def __init__(self) -> None:
        self._restored: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """The generators' states, as tensors and plain values."""
        kind, keys, *rest = np.random.get_state()
        return {
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
            "python": random.getstate(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep them until training starts: what comes before draws too."""
        self._restored = {name: state_dict[name] for name in ("torch", "cuda", "numpy", "python")}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the generators back to where they were.

        Raises:
            CorruptFileError: the checkpoint's states are none.
        """
        state, self._restored = self._restored, {}
        if not state:
            return
        try:
            _restore(state)
        except (RuntimeError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise CorruptFileError(f"the checkpoint is damaged: its state of random generators ({error})") from error


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
