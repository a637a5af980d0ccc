import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from vos_lightning.callbacks.non_finite import NonFinite
from vos_lightning.errors import VOSError
from vos_lightning.lightning_cli import command
from vos_lightning.ranks import AllRanksError


class Net(pl.LightningModule):
    """A layer, a normalisation with running statistics, and a loss that can be spoiled by step."""

    def __init__(self, bad_losses=()):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.bad_losses = bad_losses
        self.history = []

    def training_step(self, batch, batch_idx):
        loss = self.layers(batch["frames"]).square().mean()
        return loss * math.inf if batch_idx in self.bad_losses else loss

    def on_train_batch_end(self, *_):
        self.history.append([value.clone() for value in (*self.parameters(), *self.buffers())])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1, weight_decay=0.1)


def batches(count, bad=()):
    generator = torch.Generator().manual_seed(0)
    result = [{"frames": torch.randn(4, 3, generator=generator), "sequence": list("abcd")} for _ in range(count)]
    for step, clip in bad:
        result[step]["frames"][clip, 1] = math.nan
    return result


def fit(model, callback, data, **options):
    torch.manual_seed(0)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback], **options,
    )  # fmt: skip
    trainer.fit(model, torch.utils.data.DataLoader(data, batch_size=None))
    return trainer


@pytest.mark.parametrize("bad_batch", [True, False])
def test_it_stops_before_the_weights_are_touched(bad_batch):
    model = Net(() if bad_batch else (2,))
    data = batches(5, [(2, 1), (2, 3)] if bad_batch else [])
    named = "step 3: the batch holds values .* in b, d;" if bad_batch else "step 3: the loss is inf, .* of a, b, c, d;"
    with pytest.raises(VOSError, match=rf"^{named} .*--non_finite\.skip true$"):
        fit(model, NonFinite(), data)
    assert len(model.history) == 2
    assert all(value.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize("bad_batch", [True, False])
def test_a_step_left_out_leaves_no_trace(bad_batch):
    torch.manual_seed(1)
    model = Net(() if bad_batch else (1,))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    callback = NonFinite(skip=True)
    with pytest.warns(UserWarning, match="left out: step 2: the "):
        trainer = fit(model, callback, batches(4, [(1, 0)] if bad_batch else []))
    assert callback.skipped == 1
    assert trainer.callback_metrics["train/skipped_steps"] == 1
    assert all(torch.equal(before, after) for before, after in zip(*model.history[:2], strict=True))
    without = Net()
    without.load_state_dict(start)
    data = batches(4)
    fit(without, NonFinite(skip=True), [data[0], data[2], data[3]])
    for one, other in zip(model.state_dict().values(), without.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_accumulated_steps_are_left_out_whole():
    model, callback = Net(), NonFinite(skip=True)
    with pytest.warns(UserWarning, match="left out: step 2"):
        fit(model, callback, batches(6, [(2, 0)]), accumulate_grad_batches=2)
    assert callback.skipped == 1
    assert all(torch.equal(before, after) for before, after in zip(model.history[1], model.history[3], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(model.history[3], model.history[5], strict=True))
    assert all(value.isfinite().all() for value in model.history[-1])


@pytest.mark.filterwarnings("ignore:left out")
def test_patience_ends():
    callback = NonFinite(skip=True, patience=2)
    with pytest.raises(VOSError, match=r"step 4: the loss is inf.*3 steps in a row"):
        fit(Net((1, 2, 3)), callback, batches(5))
    assert fit(Net((0, 1, 3, 4)), NonFinite(skip=True, patience=2), batches(6)).global_step == 6


def test_it_changes_nothing_where_all_is_well():
    models = Net(), Net()
    models[1].load_state_dict(models[0].state_dict())
    for model, callback in zip(models, (NonFinite(skip=True), pl.Callback()), strict=True):
        fit(model, callback, batches(4))
    for one, other in zip(*(model.history[-1] for model in models), strict=True):
        assert torch.equal(one, other)


def test_it_goes_on_counting_and_checks_its_patience():
    callback = NonFinite(skip=True)
    callback.load_state_dict({"skipped": 7})
    assert callback.state_dict() == {"skipped": 7}
    with pytest.raises(VOSError, match="patience is 0"):
        NonFinite(patience=0)


def test_batches_of_any_kind_are_watched():
    class Plain(Net):
        def training_step(self, batch, batch_idx):
            return self.layers(batch).square().mean() * math.nan

    with pytest.raises(VOSError, match="step 1: the loss is nan, with clips of unknown videos"):
        fit(Plain(), NonFinite(), [torch.ones(4, 3)])


@pytest.mark.parametrize("rank", [0, 1])
def test_of_all_ranks_the_first_one_tells(monkeypatch, rank):
    def fail(_):
        raise AllRanksError("step 3")

    monkeypatch.setattr(command, "_run", fail)
    monkeypatch.setattr(command.rank_zero_only, "rank", rank)
    if rank == 0:
        with pytest.raises(AllRanksError, match="step 3"):
            command.main([])
    else:
        assert command.main([]) == 0
