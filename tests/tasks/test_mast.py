"""MAST in a real Trainer."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import MAST
from vos_lightning.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from vos_lightning.data import DAVISDataModule, SyntheticDataModule
from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import rgb_to_lab
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.io.masks import read_mask
from vos_lightning.models.chroma_views import ChromaViews
from vos_lightning.models.colour_mix import ColourMix

SMALL = {"width": 0.125, "feature_dim": 16, "radius": 3}
TINY = SMALL | {"tracking": {"radius": 3}}
SEEDS = torch.tensor([3, 4])


def data(**options):
    defaults = {"batch_size": 4, "num_workers": 0, "size": (32, 48), "short_side": 32, "crop_size": 32}
    counts = {"num_videos": 4, "num_val_videos": 2, "num_frames": 5, "num_objects": 2, "clips_per_video": 4}
    return SyntheticDataModule(**(defaults | counts | options))


def trainer(path, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    callbacks = [LastCheckpoint(str(path)), BestCheckpoint(str(path))]
    return pl.Trainer(default_root_dir=path, callbacks=callbacks, **(quiet | options))


@pytest.fixture
def clip():
    return torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_encoder_sees_one_chroma_channel_less_in_all_frames_of_a_clip(clip):
    model = MAST(**TINY)
    model.log = lambda *_, **__: None
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.training_step({"frames": clip, "seed": SEEDS}, 0)
    empty = (seen[0].unflatten(0, (2, 3)) == 0).flatten(3).all(-1)  # (B, T, channel)
    assert not empty[..., 0].any()
    assert (empty[..., 1:].sum(-1) == 1).all()
    assert (empty == empty[:, :1]).all()


def test_clips_of_one_frame_are_refused(clip):
    with pytest.raises(VOSError, match="set clip_length to 2"):
        MAST(**TINY).training_step({"frames": clip[:, :1], "seed": SEEDS}, 0)


def test_the_loss_looks_at_the_lost_channel_only(clip, monkeypatch):
    """With a lost in all clips, other targets in b change nothing, other targets in a do."""
    model = MAST(**TINY).eval()
    lab = rgb_to_lab(clip)
    seen = lab.clone()
    seen[:, :, 1] = 0
    loss = model._pairwise_loss(seen, lab[:, :, 1:2])
    monkeypatch.setattr("vos_lightning.tasks.mast.draw_dropped_chroma", torch.ones_like)
    monkeypatch.setattr("vos_lightning.tasks.mast.drop_chroma", lambda *_: seen)
    logged = {}
    model.log = lambda name, value, **_: logged.update({name: value})
    for channel, same in ((2, True), (1, False)):
        changed = lab.clone()
        changed[:, :, channel] += 0.5 * torch.rand(2, 3, 32, 32)
        monkeypatch.setattr("vos_lightning.tasks.mast.rgb_to_lab", lambda _, changed=changed: changed)
        model.training_step({"frames": clip, "seed": SEEDS}, 0)
        assert torch.isclose(logged["train/loss"], loss).item() == same


def test_a_static_clip_costs_less_than_an_unrelated_one(clip):
    """Sanity of the whole step: the same frame twice can be copied, noise can't."""
    model = MAST(**TINY, temperature=0.01).eval()
    model.log = lambda *_, **__: None
    smooth = torch.nn.functional.interpolate(clip[:, :1, :, ::8, ::8].flatten(0, 1), 32, mode="bilinear")
    static = smooth.unflatten(0, (2, 1)).expand(-1, 2, -1, -1, -1)
    easy = model.training_step({"frames": static, "seed": SEEDS}, 0)
    hard = model.training_step({"frames": torch.cat([static[:, :1], clip[:, :1]], dim=1), "seed": SEEDS}, 0)
    assert easy < 0.25 * hard


def test_training_reduces_the_loss_and_leaves_what_is_promised(tmp_path):
    pl.seed_everything(0)
    losses = []

    class Record(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            losses.append(outputs["loss"].item())

    run = trainer(tmp_path, max_steps=70, max_epochs=-1, check_val_every_n_epoch=10)
    run.callbacks.append(Record())
    model = MAST(**TINY, learning_rate=3e-3)
    run.fit(model, data())
    assert sum(losses[-15:]) < 0.8 * sum(losses[:15])
    assert set(run.callback_metrics) >= {"train/loss", "val/J", "val/F", "val/JF"}
    assert 0 < run.callback_metrics["val/JF"] <= 1
    assert {p.name for p in tmp_path.glob("*.ckpt")} == {"last.ckpt", "best.ckpt"}

    again = MAST.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert dict(again.hparams) == dict(model.hparams)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_without_validation_max_steps_in_mid_epoch_leaves_last_only(tmp_path):
    run = trainer(tmp_path, max_steps=2, max_epochs=-1, limit_val_batches=0)
    run.fit(MAST(**TINY), data())
    assert [p.name for p in tmp_path.glob("*.ckpt")] == ["last.ckpt"]
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2


def test_with_validation_max_steps_in_mid_epoch_leaves_the_best_too(tmp_path):
    run = trainer(tmp_path, max_steps=2, max_epochs=-1)
    run.fit(MAST(**TINY), data())
    assert {p.name for p in tmp_path.glob("*.ckpt")} == {"last.ckpt", "best.ckpt"}
    assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == 2


def test_a_resumed_run_equals_the_unbroken_one(tmp_path):
    class Pause(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop = trainer.global_step == 4

    def fit(path, *callbacks, resume=None):
        pl.seed_everything(1)
        model = MAST(**TINY)
        run = trainer(path, max_epochs=2, limit_val_batches=0)
        run.callbacks += callbacks
        run.fit(model, data(), ckpt_path=resume)
        assert run.global_step == (4 if callbacks else 8)
        return model.state_dict()

    whole = fit(tmp_path / "whole")
    fit(tmp_path / "half", Pause())
    pl.seed_everything(99)  # a new process would not be where the old one was
    resumed = fit(tmp_path / "half", resume=tmp_path / "half" / "last.ckpt")
    differing = [name for name in whole if not torch.equal(whole[name], resumed[name])]
    assert differing == []


def test_the_learning_rate_warms_up_and_ends_at_zero(tmp_path):
    rates = []

    class Record(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    run = trainer(tmp_path, max_steps=40, max_epochs=-1, limit_val_batches=0)
    run.callbacks.append(Record())
    run.fit(MAST(**TINY, learning_rate=1e-2), data())
    assert rates[0] < 0.3e-2
    assert max(rates) == pytest.approx(1e-2, rel=0.05)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] < 1e-4


def test_the_learning_rate_is_halved_after_samples_not_steps(tmp_path):
    rates = []

    class Record(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    run = trainer(tmp_path, max_steps=6, max_epochs=-1, limit_val_batches=0, accumulate_grad_batches=2)
    run.callbacks.append(Record())
    # 4 clips twice are 8 samples a step: 16 samples are seen after two steps, 30 after four
    run.fit(MAST(**TINY, learning_rate=1.0, halve_lr_at=[16, 30]), data())
    assert rates[::2] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]


def test_test_and_predict_follow_the_same_objects(davis_tree, tmp_path):
    model, module = MAST(**TINY), DAVISDataModule(str(davis_tree))
    run = trainer(tmp_path)
    (scores,) = run.test(model, module, verbose=False)
    predictions = run.predict(model, module)
    assert [prediction["sequence"] for prediction in predictions] == ["synthetic-00007", "synthetic-00008"]
    for prediction in predictions:
        first = davis_tree / "Annotations" / "480p" / prediction["sequence"] / "00000.png"
        assert prediction["masks"].shape == (6, 64, 96)
        assert prediction["names"] == [f"{i:05d}" for i in range(6)]
        assert np.array_equal(prediction["masks"][0].numpy(), read_mask(first))
    assert 0 < scores["test/JF"] < 1
    assert scores["test/JF"] == pytest.approx((scores["test/J"] + scores["test/F"]) / 2)


def test_predict_keeps_the_required_frames_only(davis_tree):
    module = DAVISDataModule(str(davis_tree))
    module.setup("test")
    item = module.test_dataloader().dataset[0]
    prediction = MAST(**TINY).eval().predict_step(item | {"required": [1, 4]}, 0)
    whole = MAST(**TINY).eval()
    assert prediction["names"] == ["00001", "00004"]
    assert prediction["masks"].shape == (2, 64, 96)
    assert len(whole.predict_step(item | {"required": None}, 0)["names"]) == 6


def test_masks_are_propagated_as_the_hyper_parameters_say():
    settings = TrackingSettings(3, None, (1, 5), given_radius=9, follow=False, colour_weight=0.25)
    propagator = MAST(**SMALL, tracking=settings).tracker().propagator()
    assert propagator.settings == settings
    assert isinstance(propagator.encoder, ColourMix)
    assert isinstance(propagator.encoder.encoder, ChromaViews)
    # raw dot products have no scale that colours could share
    model = MAST(**SMALL, tracking=replace(settings, chroma_views=False), normalize=False)
    assert model.tracker().propagator().encoder is model.encoder


def test_a_limit_to_the_size_holds_for_the_network_and_masks_keep_the_frames():
    model = MAST(**SMALL, tracking=TrackingSettings(3, max_size=48))
    model.eval()
    sizes = []
    model.encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:])))
    frame = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    mask = torch.zeros(64, 96, dtype=torch.uint8)
    mask[20:40, 20:60] = 3
    propagator = model.tracker().propagator()
    assert propagator.step(frame, mask).shape == propagator.step(frame).shape == (64, 96)
    assert set(sizes) == {(32, 48)}


def test_a_frame_of_another_size_is_told_with_its_sequence():
    frames = [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 24, 3), np.uint8)]
    item = {"sequence": "odd-one", "frames": frames, "prompts": {0: np.eye(16, dtype=np.uint8)}}
    with pytest.raises(VOSError, match="odd-one: frame 1 is 24×16"):
        list(MAST(**TINY).eval().track(item))
