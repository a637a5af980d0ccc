"""CTVOS: what its steps see and lose, every switch of the ablations, training in a real Trainer."""

import pytest
import pytorch_lightning as pl
import torch

from vos_lightning import CTVOS, MAST
from vos_lightning.callbacks.checkpoints import LastCheckpoint
from vos_lightning.data import DAVISDataModule, SyntheticDataModule
from vos_lightning.data.datamodules.video_folder import VideoFolderDataModule
from vos_lightning.errors import VOSError
from vos_lightning.functional.colour import draw_dropped_chroma, drop_chroma, rgb_to_lab
from vos_lightning.functional.cutout import cutout_masks
from vos_lightning.functional.tags import sample_tags
from vos_lightning.inference.weights import load_tracker, save_tracker
from vos_lightning.transforms.zoom import zoom_views

TINY = {"width": 0.125, "key_dim": 16, "value_dim": 32}
SEEDS = torch.tensor([3, 4])


def batch(length=3, size=32, **extra):
    """Smooth random clips that move a little."""
    coarse = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    scene = torch.nn.functional.interpolate(coarse, 2 * size, mode="bicubic").clamp(0, 1)
    frames = [scene[..., 2 * t : 2 * t + size, 3 * t : 3 * t + size] for t in range(length)]
    return {"frames": torch.stack(frames, 1), "seed": SEEDS, "sequence": ["a", "b"]} | extra


def zoomed(clip, frames=1):
    views, places = zoom_views(clip["frames"], clip["seed"], (1.5, 2.0), frames)
    return clip | {"zoom_views": views, "zoom_places": places}


def quiet(**options):
    """A model, and what it logs."""
    torch.manual_seed(0)
    model, logged = CTVOS(**(TINY | options)), {}
    model.log = lambda name, value, **_: logged.update({name: value.item()})
    model.log_dict = lambda values, **_: logged.update({name: value.item() for name, value in values.items()})
    return model, logged


def seen_by(model):
    """Inputs of each encoder in the next step."""
    seen = {}
    for name in ("query_encoder", "key_encoder", "value_encoder"):
        encoder = getattr(model.network, name)
        encoder.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs[0]}))
    return seen


@pytest.mark.parametrize("views", [0, 1, 2])
def test_what_each_encoder_sees(views):
    clip = zoomed(batch(), views) if views else batch()
    model, _ = quiet()
    seen = seen_by(model)
    model.training_step(clip, 0)
    lab, cutouts = rgb_to_lab(clip["frames"]), cutout_masks(SEEDS, (32, 32))
    past = lab[:, :-1]
    if views:
        past = torch.cat([past, rgb_to_lab(clip["zoom_views"])], 1)
    assert past.shape[1] == 2 + 2 * views
    torch.testing.assert_close(seen["query_encoder"], lab[:, -1])
    torch.testing.assert_close(seen["key_encoder"].unflatten(0, (2, -1)), past)
    values = seen["value_encoder"].unflatten(0, (2, -1))
    lost = cutouts[:, None, None].expand_as(values)
    assert (values[lost] == 0).all()
    torch.testing.assert_close(values[~lost], past[~lost])


def test_the_target_is_the_current_frame_with_the_cutout():
    model, _ = quiet()
    output = model(batch())
    lab, cutouts = rgb_to_lab(batch()["frames"][:, -1]), cutout_masks(SEEDS, (32, 32))
    assert torch.equal(output["cutout"], cutouts)
    torch.testing.assert_close(output["target"], lab * ~cutouts[:, None])


@pytest.mark.parametrize(
    ("tag_loss", "terms"),
    [
        ("none", set()),
        ("pull", {"tag_pull"}),
        ("push", {"tag_push"}),
        ("pull_push", {"tag_pull", "tag_push"}),
        ("bce", {"tag_bce"}),
    ],
)
def test_the_loss_is_the_sum_of_its_logged_terms(tag_loss, terms):
    model, logged = quiet(tags={"loss": tag_loss, "weight": 0.7})
    loss = model.training_step(batch(), 0)
    assert set(logged) == {"train/loss", "train/reconstruction"} | {f"train/{term}" for term in terms}
    parts = sum(value for name, value in logged.items() if name != "train/loss")
    assert logged["train/loss"] == loss.item() == pytest.approx(parts, rel=1e-5)


def test_lambda_margin_and_pixels_are_used():
    model, logged = quiet(tags={"weight": 3.0, "margin": 0.9, "pixels": 7})
    model.training_step(batch(), 0)
    output = model(batch())
    inside, outside = sample_tags(output["tags"], output["cutout"], SEEDS, 7)
    push = sum(max(0, 0.9 - abs(o.mean() - i.mean()).item()) for i, o in zip(inside, outside, strict=True)) / 2
    pull = sum(((i - i.mean()) ** 2).mean().item() for i in inside) / 2
    assert logged["train/tag_push"] == pytest.approx(3 * push, rel=0.02)
    assert logged["train/tag_pull"] == pytest.approx(3 * pull, rel=0.2, abs=1e-4)


@pytest.mark.parametrize("cutout", ["square", "rectangle", "circle", "triangle"])
def test_all_shapes_can_be_lost(cutout):
    model, _ = quiet(cutout={"shape": cutout, "side": 0.4})
    assert torch.equal(model(batch())["cutout"], cutout_masks(SEEDS, (32, 32), cutout, 0.4))


def test_without_cutout_nothing_is_lost_and_tags_are_refused():
    model, _ = quiet(cutout={"shape": "none"}, tags={"loss": "none"})
    output = model(batch())
    assert not output["cutout"].any()
    torch.testing.assert_close(output["target"], rgb_to_lab(batch()["frames"][:, -1]))
    with pytest.raises(VOSError, match="tags need a cutout"):
        CTVOS(**TINY, cutout={"shape": "none"})


def test_label_share_gives_values_of_minus_one_and_one_and_leaves_queries_and_keys():
    model, _ = quiet(values={"label_share": 1.0})
    seen = seen_by(model)
    model.training_step(batch(), 0)
    assert set(seen["value_encoder"].unique().tolist()) == {-1, 0, 1}
    assert set(model(batch(), label_share=1.0)["target"].unique().tolist()) == {-1, 0, 1}
    torch.testing.assert_close(seen["query_encoder"], rgb_to_lab(batch()["frames"])[:, -1])


def test_with_the_bottleneck_queries_and_keys_lose_the_same_channel_and_values_none():
    model, _ = quiet(matching={"bottleneck": True})
    seen, lab = seen_by(model), rgb_to_lab(batch()["frames"])
    model.training_step(batch(), 0)
    expected = drop_chroma(lab, draw_dropped_chroma(SEEDS))
    torch.testing.assert_close(seen["query_encoder"], expected[:, -1])
    torch.testing.assert_close(seen["key_encoder"].unflatten(0, (2, -1)), expected[:, :-1])
    assert (seen["value_encoder"] != 0).flatten(2).any(2).all()


MAST_LIKE = {
    "output_stride": 4,
    "key_dim": 64,
    "matching": {"encoder": "mast", "learning_rate": 0.0},
    "values": {"copy": True},
}


@pytest.mark.parametrize("compare", ["default", "checkpoint"])
def test_queries_and_keys_start_from_mast_and_stay_frozen(compare, tmp_path):
    options = MAST_LIKE | {"tags": {"detach_matching": True}, "learning_rate": 1e-2}
    source = "default"
    if compare == "checkpoint":
        torch.manual_seed(1)
        source, mast = str(tmp_path / "mast.ckpt"), MAST(width=0.125)
        torch.save({"state_dict": mast.state_dict(), "hyper_parameters": dict(mast.hparams)}, source)
        options |= {"matching": options["matching"] | {"width": 0.125}}
    start = load_tracker(source).encoder.state_dict()
    model = CTVOS(**(TINY | options), init_from=source)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer(tmp_path, max_steps=3, max_epochs=-1, limit_val_batches=0).fit(model, data())
    for encoder in (model.network.query_encoder, model.network.key_encoder):
        for name, value in encoder.state_dict().items():
            assert torch.equal(value, start[name]), name
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert any("value_encoder" in name for name in changed)
    assert any("decoder" in name for name in changed)
    again, _ = quiet(**options, init_from=str(tmp_path / "last.ckpt"))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())


def test_queries_and_keys_have_a_learning_rate_of_their_own():
    model, _ = quiet(matching={"learning_rate": 1e-5}, learning_rate=1e-3)
    groups = model.configure_optimizers().param_groups
    assert [group["lr"] for group in groups] == [1e-3, 1e-5]
    matching = {id(p) for p in (*model.network.query_encoder.parameters(), *model.network.key_encoder.parameters())}
    assert {id(p) for p in groups[1]["params"]} == matching
    assert {id(p) for group in groups for p in group["params"]} == {id(p) for p in model.network.parameters()}


def test_queries_and_keys_may_share_an_encoder_in_training_and_files(tmp_path):
    options = TINY | {"matching": {"shared": True, "learning_rate": 1e-3}}
    torch.manual_seed(0)
    model = CTVOS(**options)
    assert model.network.query_encoder is model.network.key_encoder
    groups = model.configure_optimizers().param_groups
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    trainer(tmp_path, max_steps=2, max_epochs=-1, limit_val_batches=0).fit(model, data())
    again = CTVOS.load_from_checkpoint(tmp_path / "last.ckpt")
    assert again.network.query_encoder is again.network.key_encoder
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    save_tracker(tmp_path / "shared.safetensors", model.state_dict(), dict(model.hparams), model.task)
    query, key = load_tracker(tmp_path / "shared.safetensors").features(rgb_to_lab(batch()["frames"][:, 0]))
    assert torch.equal(query, key)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(VOSError, match="init_from=default doesn't fit"):
        CTVOS(**TINY, init_from="default")
    with pytest.raises(VOSError, match="output_stride is 16"):
        CTVOS(**TINY, matching={"encoder": "mast"})


def test_a_clip_costs_the_same_in_any_batch():
    """Nothing is drawn from a state that batches, ranks or a resumed run would share."""
    model, _ = quiet(values={"label_share": 0.5})
    model.eval()  # batch statistics would tie clips to their batch
    clip = batch()
    losses = [model.training_step({"frames": clip["frames"][i : i + 1], "seed": SEEDS[i : i + 1]}, 0) for i in (0, 1)]
    both = model.training_step(clip, 0)
    assert both.item() == pytest.approx(sum(losses).item() / 2, rel=1e-4)
    torch.manual_seed(5)
    assert model.training_step(clip, 0).item() == both.item()


def test_half_precision_keeps_losses_in_float32():
    model, _ = quiet()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.training_step(batch(), 0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(model.training_step(batch(), 0).item(), rel=0.05)


def test_pictures_are_rgb_of_the_first_clip():
    model, _ = quiet()
    with torch.no_grad():
        pictures = model.eval().pictures(zoomed(batch()))
    assert set(pictures) == {"input", "reconstruction", "tags"}
    assert all(p.shape == (3, 32, 32) and p.dtype == torch.uint8 for p in pictures.values())
    lost = cutout_masks(SEEDS, (32, 32))[0]
    grey = pictures["input"][:, lost].unique()
    assert (grey.float() - 119).abs().max() <= 1  # L = 50 without chroma


def constant_error(model, clip):
    """What the best constant image would cost: the spread of the target's channels about their means."""
    target = model(clip)["target"]
    return torch.nn.functional.huber_loss(target.mean((2, 3), keepdim=True).expand_as(target), target).item()


def reconstruction_error(model, clip):
    output = model(clip)
    return torch.nn.functional.huber_loss(output["reconstruction"], output["target"]).item()


def overfit(model, clip, steps, learning_rate=3e-3):
    optimizer = torch.optim.Adam(model.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        model.training_step(clip, 0).backward()
        optimizer.step()
        schedule.step()
    return model


def check_overfitting_and_leak(model, clip, steps, learning_rate=3e-3):
    """The promises of one clip learned by heart."""
    constant = constant_error(model, clip)
    with torch.no_grad():
        before = reconstruction_error(model, clip)
    overfit(model, clip, steps, learning_rate)
    with torch.no_grad():
        output, after = model(clip), reconstruction_error(model, clip)
        noise = clip | {"frames": torch.cat([torch.rand_like(clip["frames"][:, :-1]), clip["frames"][:, -1:]], 1)}
        blind = reconstruction_error(model, noise)
    lost = output["cutout"][:, None].expand_as(output["target"])
    gap = (output["reconstruction"] - output["target"]).abs()
    assert after < before / 10
    assert after < constant / 3
    assert gap[lost].mean() < 0.1
    inside, outside = sample_tags(output["tags"], output["cutout"], clip["seed"], 256)
    assert ((outside.mean(1) - inside.mean(1)).abs() > 0.5 - 0.02).all()
    # the leak: what was learned comes from the past frames alone
    assert blind > constant


def test_one_clip_is_learned_by_heart_and_nothing_leaks_from_the_current_frame():
    model, _ = quiet(output_stride=8)
    check_overfitting_and_leak(model, batch(), steps=160, learning_rate=1e-2)


@pytest.mark.slow
def test_one_real_clip_is_learned_by_heart_and_nothing_leaks(shared_data):
    data = VideoFolderDataModule(
        str(shared_data / "clips"), 1, 0, 8, crop_size=128, zoom_levels=(1.5, 2.0), limit_videos=1, horizontal_flip=0.0
    )
    data.setup("fit")
    clip = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    torch.manual_seed(0)
    model, _ = quiet(width=0.25, key_dim=32, value_dim=64)
    check_overfitting_and_leak(model, clip, steps=400)


def data(**options):
    defaults = {
        "batch_size": 2,
        "num_workers": 0,
        "clip_length": 3,
        "size": (32, 48),
        "short_side": 32,
        "crop_size": 32,
    }
    counts = {"num_videos": 4, "num_val_videos": 1, "num_frames": 6, "num_objects": 2, "clips_per_video": 4}
    return SyntheticDataModule(**(defaults | counts | options))


def trainer(path, **options):
    calm = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=path, callbacks=[LastCheckpoint(str(path))], **(calm | options))


def test_fit_with_zoom_validation_and_a_checkpoint_that_loads_alone(tmp_path, davis_tree):
    run = trainer(tmp_path, max_epochs=1, precision="bf16-mixed", log_every_n_steps=1)
    model = CTVOS(**TINY, learning_rate=1e-3, cosine=True, tracking={"radius": 2, "topk": 3, "mutual_weight": 0.0})
    run.fit(model, data(zoom_levels=(1.5, 2.0)))
    logged = {"train/loss", "train/reconstruction", "train/tag_pull", "train/tag_push", "val/J", "val/F", "val/JF"}
    assert set(run.callback_metrics) >= logged
    again = CTVOS.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert dict(again.hparams) == dict(model.hparams)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    (scores,) = run.test(again, DAVISDataModule(str(davis_tree)), verbose=False)
    assert 0 <= scores["test/JF"] <= 1


def test_a_resumed_run_equals_the_unbroken_one(tmp_path):
    class Pause(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop = trainer.global_step == 8

    def fit(path, *callbacks, resume=None):
        pl.seed_everything(1)
        model = CTVOS(**TINY, values={"label_share": 0.5}, cosine=True)
        run = trainer(path, max_epochs=2, limit_val_batches=0)
        run.callbacks += callbacks
        run.fit(model, data(), ckpt_path=resume)
        return model.state_dict()

    whole = fit(tmp_path / "whole")
    fit(tmp_path / "half", Pause())
    pl.seed_everything(99)
    resumed = fit(tmp_path / "half", resume=tmp_path / "half" / "last.ckpt")
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_a_compiled_run_leaves_the_same_names_and_numbers(tmp_path, monkeypatch):
    """The eager backend stands in for the code generator, which needs a compiler on the machine."""
    compile_in_place, compiled = torch.nn.Module.compile, []

    def compile_eagerly(module):
        compiled.append(module)
        compile_in_place(module, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_eagerly)
    states = []
    for compile in (False, True):
        pl.seed_everything(0)
        model = CTVOS(**TINY, compile=compile)
        trainer(tmp_path, max_steps=2, max_epochs=-1, limit_val_batches=0).fit(model, data())
        states.append(model.state_dict())
    assert compiled == [model.network]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name])


@pytest.mark.parametrize(("cosine", "last"), [(False, 1e-2), (True, 0.0)])
def test_the_learning_rate_stays_or_falls_along_a_cosine(tmp_path, cosine, last):
    rates = []

    class Record(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    run = trainer(tmp_path, max_steps=16, max_epochs=-1, limit_val_batches=0)
    run.callbacks.append(Record())
    run.fit(CTVOS(**TINY, learning_rate=1e-2, cosine=cosine), data())
    assert max(rates) == pytest.approx(1e-2, rel=0.05)
    assert rates[-1] == pytest.approx(last, abs=3e-4)
