"""Stage 2 of MAST, momentum memory, in a real Trainer."""

import shutil
from copy import deepcopy

import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import MAST, VideoSegmenter
from vos_lightning.callbacks.checkpoints import LastCheckpoint
from vos_lightning.data import SyntheticDataModule
from vos_lightning.errors import VOSError
from vos_lightning.inference.weights import load_tracker

TINY = {"width": 0.125, "feature_dim": 16, "radius": 3, "tracking": {"radius": 3}}


def data(batch_size=2):
    sizes = {"size": (32, 48), "short_side": 32, "crop_size": 32, "num_videos": 4, "num_frames": 8}
    return SyntheticDataModule(batch_size=batch_size, num_workers=0, clip_length=4, clips_per_video=4, **sizes)


def fit(model, path, steps, batch_size=2, ckpt_path=None, callbacks=(), **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        callbacks=[LastCheckpoint(str(path)), *callbacks],
        default_root_dir=path,
        **quiet,
        **options,
    )
    trainer.fit(model, data(batch_size), ckpt_path=ckpt_path)
    return trainer


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_momentum_encoder_takes_one_step_per_optimizer_step(tmp_path, accumulate):
    pl.seed_everything(0)
    model = MAST(**TINY, momentum=0.9, learning_rate=1e-2)
    assert_equal_states(model.momentum_encoder.state_dict(), model.encoder.state_dict())
    expected = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    states = []
    original = pl.LightningModule.optimizer_step

    def step(self, *args, **kwargs):
        original(self, *args, **kwargs)
        states.append({k: v.clone() for k, v in model.encoder.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl.LightningModule, "optimizer_step", step)
        fit(model, tmp_path, 4, accumulate_grad_batches=accumulate)
    assert len(states) == 4
    for state in states:
        for name, value in expected.items():
            expected[name] = 0.9 * value + 0.1 * state[name] if value.is_floating_point() else state[name]
    for name, value in model.momentum_encoder.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not torch.equal(model.momentum_encoder.head.weight, model.encoder.head.weight)


def test_a_resumed_run_equals_the_unbroken_one_bit_for_bit(tmp_path):
    pl.seed_everything(0)
    unbroken = MAST(**TINY, momentum=0.9)
    start = deepcopy(unbroken.state_dict())
    fit(unbroken, tmp_path / "unbroken", 6)

    first = MAST(**TINY, momentum=0.9, learning_rate=1e-3)
    first.load_state_dict(start)

    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 3:
                trainer.save_checkpoint(tmp_path / "half.ckpt")
                raise KeyboardInterrupt

    pl.seed_everything(0)
    with pytest.raises(SystemExit):
        fit(first, tmp_path / "first", 6, callbacks=[Stop()])
    second = MAST(**TINY, momentum=0.9)
    fit(second, tmp_path / "second", 6, ckpt_path=tmp_path / "half.ckpt")
    assert_equal_states(second.state_dict(), unbroken.state_dict())


def test_only_the_query_encoder_learns(tmp_path):
    model = MAST(**TINY, momentum=0.5)
    trainer = fit(model, tmp_path, 2)
    learning = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert learning == {id(p) for p in model.encoder.parameters()}
    assert all(p.grad is None for p in model.momentum_encoder.parameters())
    assert not model.train().momentum_encoder.training


def test_the_last_frame_is_the_query_and_all_before_it_are_references():
    model = MAST(**TINY, momentum=0.9).eval()
    generator = torch.Generator().manual_seed(0)
    seen, colours = (torch.rand(1, 4, c, 32, 32, generator=generator) for c in (3, 1))
    loss = model._memory_loss(seen, colours)
    for t in range(4):
        changed = colours.clone()
        changed[:, t] = 0
        assert model._memory_loss(seen, changed) != loss
    reordered = [2, 0, 1, 3]
    torch.testing.assert_close(model._memory_loss(seen[:, reordered], colours[:, reordered]), loss)
    assert abs(model._memory_loss(seen.flip(1), colours.flip(1)) - loss) > 1e-3


@pytest.mark.parametrize("momentum_encoder", [True, False])
def test_stage_two_starts_from_stage_one_and_its_checkpoint_stands_alone(tmp_path, momentum_encoder):
    stage1 = MAST(**TINY)
    fit(stage1, tmp_path / "one", 2)
    checkpoint = tmp_path / "one" / "last.ckpt"
    tracking = {"radius": 3, "momentum_encoder": momentum_encoder}
    stage2 = MAST(**(TINY | {"tracking": tracking}), momentum=0.999, learning_rate=1e-4, init_from=str(checkpoint))
    assert_equal_states(stage2.encoder.state_dict(), stage1.encoder.state_dict())
    assert_equal_states(stage2.momentum_encoder.state_dict(), stage1.encoder.state_dict())
    fit(stage2, tmp_path / "two", 2)
    shutil.rmtree(tmp_path / "one")
    alone = MAST.load_from_checkpoint(tmp_path / "two" / "last.ckpt", map_location="cpu")
    assert_equal_states(alone.state_dict(), stage2.state_dict())
    tracker = load_tracker(tmp_path / "two" / "last.ckpt")
    assert_equal_states(tracker.reference_encoder.state_dict(), stage2.momentum_encoder.state_dict())
    assert (tracker.propagator().reference_encoder is not None) == momentum_encoder
    video = torch.randint(0, 255, (3, 3, 32, 32), dtype=torch.uint8)
    mask = torch.zeros(32, 32, dtype=torch.uint8)
    mask[8:20, 8:20] = 1
    masks = VideoSegmenter(tmp_path / "two" / "last.ckpt", device="cpu", precision="float32").segment(video, mask)
    propagator = stage2.tracker().prepared(torch.device("cpu")).propagator()
    for t, ids in enumerate(masks):
        assert torch.equal(torch.from_numpy(ids), propagator.step(video[t], mask if t == 0 else None))


def test_other_sizes_and_other_weights_are_refused(tmp_path):
    fit(MAST(**TINY), tmp_path, 1)
    with pytest.raises(VOSError, match="doesn't fit"):
        MAST(width=0.25, feature_dim=16, init_from=str(tmp_path / "last.ckpt"))
    with pytest.raises(VOSError, match="no reconstruction encoder"):
        MAST(init_from="lab")
    with pytest.raises(VOSError, match="width is 0"):
        MAST(width=0)
    with pytest.raises(VOSError, match="momentum is 1"):
        MAST(**TINY, momentum=1.0)


def test_a_compiled_run_leaves_the_same_names_and_numbers(tmp_path):
    """The eager backend stands in for the code generator, which needs a compiler on the machine."""
    pl.seed_everything(0)
    plain = MAST(**TINY, momentum=0.9)
    compiled = MAST(**TINY, momentum=0.9, compile=True)
    compiled.load_state_dict(plain.state_dict())
    fit(plain, tmp_path / "plain", 2)
    pl.seed_everything(0)
    with pytest.MonkeyPatch.context() as patch:
        compile_in_place = torch.nn.Module.compile
        patch.setattr(torch.nn.Module, "compile", lambda self: compile_in_place(self, backend="eager"))
        fit(compiled, tmp_path / "compiled", 2)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    for name, value in compiled.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name])


def test_pictures_show_the_frame_and_its_reconstruction():
    model = MAST(**TINY, temperature=0.01, momentum=0.9).eval()
    frame = torch.rand(1, 1, 3, 4, 4).repeat_interleave(8, -1).repeat_interleave(8, -2)
    pictures = model.pictures({"frames": frame.expand(2, 3, -1, -1, -1), "seed": torch.tensor([1, 2])})
    assert list(pictures) == ["frame", "reconstruction"]
    assert all(p.shape == (3, 32, 32) and p.dtype == torch.uint8 for p in pictures.values())
    assert (pictures["frame"].int() - (frame[0, 0] * 255).round().int()).abs().max() <= 1
    error = (pictures["reconstruction"].float() - pictures["frame"].float()).abs().mean()
    assert error < 0.5 * (pictures["frame"].float() - pictures["frame"].float().mean((1, 2), True)).abs().mean()
