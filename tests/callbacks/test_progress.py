"""Progress on a terminal and in a pipe."""

import io

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar

from vos_lightning.callbacks.progress import ProgressLines, default_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_for_terminals_and_lines_for_pipes():
    assert isinstance(default_progress(Terminal()), RichProgressBar)
    assert isinstance(default_progress(io.StringIO()), ProgressLines)


def test_lines_say_where_the_run_is(tmp_path, capsys):
    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def training_step(self, batch, batch_idx):
            loss = (self.weight * batch).sum()
            self.log("train/loss", loss, prog_bar=True)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.5)

        def validation_step(self, batch, batch_idx):
            self.log("val/JF", batch.mean(), prog_bar=True, batch_size=1)

    data = torch.utils.data.DataLoader(torch.ones(6), batch_size=2)
    sequences = torch.utils.data.DataLoader(torch.tensor([0.25, 0.75]), batch_size=1)
    options = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}
    run = pl.Trainer(default_root_dir=tmp_path, max_epochs=1, callbacks=[ProgressLines(seconds=0)], **options)
    run.fit(Model(), data, sequences)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "epoch 0 step 1 train/loss 2",
        "epoch 0 step 2 train/loss 0",
        "epoch 0 step 3 train/loss -2",
        "validation 1 of 2 sequences",
        "validation 2 of 2 sequences",
        "epoch 0 step 3 train/loss -2 val/JF 0.5",
        "epoch 1 step 3 train/loss -2 val/JF 0.5",
    ]
