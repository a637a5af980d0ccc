"""A callback that writes down what happens in a run; the processes that tests start import it by name."""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.nn.modules.batchnorm import _BatchNorm


class StepRecorder(pl.Callback):
    """One line per step: step, learning rate, batch, a draw of the global generator, loss; all digits."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        values = [
            trainer.optimizers[0].param_groups[0]["lr"],
            batch["frames"].double().sum().item(),
            torch.rand(()).item(),
            outputs["loss"].item(),
        ]
        with self.path.open("a") as file:
            file.write(" ".join([str(trainer.global_step), *(value.hex() for value in values)]) + "\n")


class RankRecorder(pl.Callback):
    """Losses, gradients as the optimizer gets them, and weights of each rank; BatchNorm in evaluation mode."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.losses, self.grads = [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for part in pl_module.modules():
            if isinstance(part, _BatchNorm):
                part.eval()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        grads = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
        self.grads.append(torch.cat(grads).clone())

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())

    def on_train_end(self, trainer, pl_module):
        record = {"losses": torch.tensor(self.losses), "grads": torch.stack(self.grads)}
        record["scores"] = {key: float(value) for key, value in trainer.callback_metrics.items() if "val/" in key}
        record["state"] = pl_module.state_dict()
        self.folder.mkdir(parents=True, exist_ok=True)
        torch.save(record, self.folder / f"{trainer.global_rank}.pt")
