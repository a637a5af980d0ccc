"""How a training run is doing: learning rate, gradient norm, throughput, GPU memory."""

import time

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback


class Monitor(Callback):
    """Logs, every `log_every_n_steps` steps of the Trainer, beside the losses.

    `train/learning_rate`; `train/grad_norm`, the 2-norm of the whole gradient before clipping, unscaled under 16-mixed;
    `train/clips_per_second` of all ranks together since the last time, waiting for data included and validation not;
    `train/gpu_memory`, the most that was allocated so far, in GiB, where there is a GPU.
    """

    def __init__(self) -> None:
        self._clips = 0
        self._seconds = 0.0
        self._since = 0.0
        self._step = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._clips, self._seconds, self._since = 0, 0.0, time.perf_counter()
        self._step = trainer.global_step

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._seconds += time.perf_counter() - self._since

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock again."""
        self._since = time.perf_counter()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log what can only be seen before the step."""
        if (trainer.global_step + 1) % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        pl_module.log("train/learning_rate", float(optimizer.param_groups[0]["lr"]))
        pl_module.log("train/grad_norm", torch.nn.utils.get_total_norm(grads) if grads else 0.0)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the batch, and log the rate."""
        self._clips += len(batch["frames"]) if isinstance(batch, dict) and "frames" in batch else 0
        stepped, self._step = trainer.global_step > self._step, trainer.global_step
        if not stepped or trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        now = time.perf_counter()
        self._seconds += now - self._since
        if self._clips:
            rate = self._clips * trainer.world_size / self._seconds
            pl_module.log("train/clips_per_second", rate, prog_bar=True)
        if pl_module.device.type == "cuda":
            pl_module.log("train/gpu_memory", torch.cuda.max_memory_allocated(pl_module.device) / 2**30)
        self._clips, self._seconds, self._since = 0, 0.0, now
