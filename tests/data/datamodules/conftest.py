import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch


class Recorder(pl.LightningModule):
    """Writes down what it is given: one line per batch and rank."""

    def __init__(self, path, stop_at=None):
        super().__init__()
        self.path, self.stop_at = Path(path), stop_at
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        frames = batch["frames"]
        assert frames.dtype == torch.float32
        digest = [round(clip.double().sum().item(), 3) for clip in frames]
        row = {"epoch": self.current_epoch, "rank": self.global_rank, "names": batch["sequence"], "digest": digest}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return (self.weight * frames.mean()).sum()

    def validation_step(self, batch, batch_idx):
        with self.path.open("a") as file:
            file.write(json.dumps({"rank": self.global_rank, "names": [batch["sequence"]]}) + "\n")

    test_step = predict_step = validation_step

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def recorder(tmp_path):
    """Run a trainer on a datamodule and return what its model saw."""
    runs = iter(range(100))

    def run(datamodule, verb="fit", ckpt_path=None, **options):
        path = tmp_path / f"run{next(runs)}.jsonl"
        path.touch()
        options = {"accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_checkpointing": False} | options
        trainer = pl.Trainer(enable_progress_bar=False, enable_model_summary=False, **options)
        getattr(trainer, verb)(Recorder(path), datamodule, ckpt_path=ckpt_path)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return rows, trainer

    return run
