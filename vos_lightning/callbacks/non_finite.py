"""NaN and infinity end a run, or a step, before they reach the weights."""

import warnings
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from vos_lightning.errors import VOSError
from vos_lightning.ranks import AllRanksError, gather


class NonFinite(Callback):
    """Stops training at the first batch or loss that isn't finite, and names the step and the clips.

    Looked at before the gradient is computed: neither weights nor optimizer have seen it, the last checkpoint is good.

    Args:
        skip: leave such steps out instead: the weights, the state of the optimizer and the statistics of normalisation
            stay as they were. With `accumulate_grad_batches`, and on several GPUs, that is the whole step.
        patience: steps in a row that may be left out; one more ends the run.

    Raises:
        VOSError: `patience` is below 1.
    """

    def __init__(self, skip: bool = False, patience: int = 10) -> None:
        if patience < 1:
            raise VOSError(f"patience is {patience}; expected 1 or more steps to leave out in a row")
        self.skip = skip
        self.patience = patience
        self.skipped = 0
        self._in_a_row = 0
        self._leave_out = False
        self._batch: Any = None
        self._buffers: dict[str, Tensor] = {}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Keep the batch for its names, and the buffers that a forward pass with it changes."""
        self._batch = batch
        if self.skip and not self._buffers:
            self._buffers = {name: buffer.clone() for name, buffer in pl_module.named_buffers()}

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Look at batch and loss, on all ranks.

        Raises:
            AllRanksError: one isn't finite, and such steps aren't to be left out, or too many were.
        """
        frames = self._batch.get("frames") if isinstance(self._batch, dict) else None
        # one flag for both: asking a GPU for a value waits for it
        finite = loss.detach().isfinite().all()
        if isinstance(frames, Tensor) and frames.is_floating_point():
            finite = finite & frames.isfinite().all()
        own = not finite.item()
        if not trainer.strategy.reduce_boolean_decision(own, all=False):
            return
        reasons = gather(_reason(loss, self._batch) if own else None)
        reason = f"step {trainer.global_step + 1}: " + "; ".join(dict.fromkeys(one for one in reasons if one))
        if not self.skip:
            raise AllRanksError(
                f"{reason}; lower the learning rate, set trainer.gradient_clip_val, or leave such steps out: "
                "--non_finite.skip true"
            )
        if not self._leave_out:
            self._in_a_row += 1
        if self._in_a_row > self.patience:
            raise AllRanksError(
                f"{reason}; {self._in_a_row} steps in a row, so the weights are to blame; lower their rate"
            )
        self._leave_out = True
        if trainer.is_global_zero:
            warnings.warn(f"left out: {reason}", stacklevel=2)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Take the gradient of a step that is left out away, and what its forward pass did."""
        if self._leave_out:
            optimizer.zero_grad(set_to_none=True)  # without gradient, an optimizer changes neither weights nor state
            for name, buffer in pl_module.named_buffers():
                buffer.copy_(self._buffers[name])
            self.skipped += 1
            pl_module.log("train/skipped_steps", float(self.skipped))
        else:
            self._in_a_row = 0
        self._leave_out = False
        self._buffers = {}

    def state_dict(self) -> dict[str, Any]:
        """Steps left out so far."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]


def _reason(loss: Tensor, batch: Any) -> str:  # noqa: ANN401
    """What isn't finite, and in which clips."""
    names = batch.get("sequence", []) if isinstance(batch, dict) else []
    frames = batch.get("frames") if isinstance(batch, dict) else None
    if isinstance(frames, Tensor) and frames.is_floating_point():
        whole = frames.flatten(1).isfinite().all(dim=1).tolist()
        if not all(whole):
            damaged = [name for name, one in zip(names, whole, strict=False) if not one]
            return f"the batch holds values that aren't finite, in {_listed(damaged)}"
    return f"the loss is {loss.detach().float().mean().item()}, with clips of {_listed(names)}"


def _listed(names: list[str]) -> str:
    return ", ".join(dict.fromkeys(map(str, names))) or "unknown videos"
