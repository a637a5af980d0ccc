"""What a run tells of itself, against the same worked out by hand."""

import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import MAST
from vos_lightning.callbacks.monitor import Monitor
from vos_lightning.data import SyntheticDataModule

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
SIZES = {"size": (32, 48), "short_side": 32, "crop_size": 32, "num_frames": 4, "num_videos": 4, "num_objects": 1}


class Memory(pl.loggers.logger.DummyLogger):
    """Keeps what is logged."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None, **_):
        self.rows.append((step, dict(metrics)))


def fit(*callbacks, steps=4, **options):
    logger = Memory()
    module = SyntheticDataModule(batch_size=2, num_workers=0, num_val_videos=1, clips_per_video=4, **SIZES)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=logger,
        callbacks=list(callbacks),
        max_steps=steps,
        **QUIET | {"limit_val_batches": 0} | options,
    )
    model = MAST(width=0.125, feature_dim=16, radius=2, tracking={"radius": 2})
    trainer.fit(model, module)
    return model, [row for _, row in logger.rows]


def test_learning_rate_gradient_norm_and_throughput_are_logged():
    norms, rates = [], []

    class Compare(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            norms.append(torch.cat([p.grad.flatten() for p in pl_module.parameters()]).norm().item())
            rates.append(optimizer.param_groups[0]["lr"])

    _, rows = fit(Monitor(), Compare(), log_every_n_steps=2, gradient_clip_val=1e-3)
    logged = [row for row in rows if "train/grad_norm" in row]
    assert [row["train/grad_norm"] for row in logged] == pytest.approx(norms[1::2], rel=1e-4)  # before clipping
    assert [row["train/learning_rate"] for row in logged] == pytest.approx(rates[1::2])
    assert all(row["train/clips_per_second"] > 0 for row in logged)
    assert not any("gpu" in name for row in rows for name in row)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_and_clips(precision):
    norms = []

    class Clipped(pl.Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            grads = [p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]
            norms.extend([torch.cat(grads).norm().item()] if grads else [])

    model, rows = fit(Clipped(), Monitor(), log_every_n_steps=1, precision=precision, gradient_clip_val=0.05)
    assert max(norms) <= 0.05 * 1.001
    assert all(row["train/grad_norm"] > 0.05 for row in rows if "train/grad_norm" in row)
    assert all(torch.isfinite(value).all() and value.dtype != torch.bfloat16 for value in model.state_dict().values())
