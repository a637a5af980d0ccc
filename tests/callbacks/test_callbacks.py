"""Progress in a pipe, and masks on disk."""

import io

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import RichProgressBar

from vos_lightning.callbacks.predictions import PredictionWriter
from vos_lightning.callbacks.progress import ProgressLines, default_progress
from vos_lightning.errors import VOSError
from vos_lightning.io.masks import read_mask, read_palette
from vos_lightning.io.palette import DAVIS_PALETTE


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


@pytest.mark.parametrize("palette", [None, bytes(range(256)) * 3])
def test_predictions_are_palette_pngs_in_folders_of_sequences(tmp_path, palette):
    masks = torch.randint(0, 4, (2, 8, 9), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    outputs = {"sequence": "dog", "names": ["a", "b7"], "masks": masks, "palette": palette}
    PredictionWriter(str(tmp_path)).on_predict_batch_end(None, None, outputs, None, 0)
    for name, mask in zip(("a", "b7"), masks, strict=True):
        path = tmp_path / "dog" / f"{name}.png"
        assert np.array_equal(read_mask(path), mask.numpy())
        assert read_palette(path) == (palette or DAVIS_PALETTE)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
def test_names_that_lead_out_of_the_directory_are_refused(tmp_path, name):
    outputs = {"sequence": name, "names": ["a"], "masks": torch.zeros(1, 4, 4, dtype=torch.uint8), "palette": None}
    with pytest.raises(VOSError, match="outside of"):
        PredictionWriter(str(tmp_path / "masks")).on_predict_batch_end(None, None, outputs, None, 0)
    assert list(tmp_path.rglob("*.png")) == []
