"""Online adaptation in a Trainer: as a run of its own, and in test and predict of the tracking tasks."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import yaml
from PIL import Image

from vos_lightning import MAST, OnlineAdapter
from vos_lightning.cli import main
from vos_lightning.data import DAVISDataModule, OneSequenceDataModule
from vos_lightning.errors import DatasetNotFoundError, VOSError
from vos_lightning.inference.adaptation import AdapterSettings, adapt
from vos_lightning.inference.adaptation.curve import Monitor
from vos_lightning.io.masks import write_mask

TINY = {"width": 0.125, "feature_dim": 16, "radius": 3, "tracking": {"radius": 3}}
FEW = AdapterSettings(steps=2, size=32, width=0.125, learning_rate=5e-3, batch_size=2, prior=0.0, min_fit=0.0)
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def trainer(path, **options):
    return pl.Trainer(default_root_dir=path, enable_checkpointing=False, **(QUIET | options))


@pytest.fixture
def video(moving_square, tmp_path):
    """Folders of frames and of masks of a moving square, id 9."""
    frames, masks = tmp_path / "video", tmp_path / "masks"
    frames.mkdir()
    masks.mkdir()
    for t, (frame, mask) in enumerate(zip(*moving_square, strict=True)):
        Image.fromarray(frame).save(frames / f"{t:05d}.png")
        write_mask(masks / f"{t:05d}.png", mask)
    return frames, masks


def test_a_run_of_its_own_learns_the_video_and_logs_both_curves(video, tmp_path):
    frames, masks = map(str, video)
    data = OneSequenceDataModule(frames, masks, 2, targets=masks, size=64, steps_per_epoch=15)
    model = OnlineAdapter(1, width=0.125, size=64, learning_rate=5e-3)
    run = trainer(tmp_path, max_steps=45, max_epochs=-1, num_sanity_val_steps=0)
    run.fit(model, data)
    assert run.callback_metrics["val/J"] > 0.8
    assert run.callback_metrics["val/JF_propagated"] == pytest.approx(run.callback_metrics["val/JF"].item())
    (prediction,) = run.predict(model, data)
    assert prediction["masks"].shape == (6, 60, 90)
    assert set(prediction["masks"].unique().tolist()) == {0, 9}
    assert prediction["names"] == [f"{t:05d}" for t in range(6)]


def test_it_trains_as_adapt_does(video, moving_square, tmp_path):
    """Weights, batches, losses and learning rates: the same numbers in every step."""
    settings = AdapterSettings(steps=8, size=32, width=0.125, learning_rate=5e-3, batch_size=3, decay_every=2, seed=5)
    monitor = Monitor(every=1)
    list(adapt(*moving_square, settings=settings, sequence="video", monitor=monitor))
    losses = []
    model = OnlineAdapter(1, width=0.125, size=32, learning_rate=5e-3, decay_every=2, seed=5)
    model.on_train_batch_end = lambda outputs, *_: losses.append(outputs["loss"].item())
    data = OneSequenceDataModule(*map(str, video), 3, size=32, steps_per_epoch=3, seed=5)
    trainer(tmp_path, max_steps=8, max_epochs=-1, precision="bf16-mixed").fit(model, data)
    assert losses == [point.loss for point in monitor.points]


def test_a_checkpoint_loads_alone(tmp_path):
    model = OnlineAdapter(3, width=0.125, size=64)
    run = trainer(tmp_path)
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "a.ckpt")
    loaded = OnlineAdapter.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert loaded.network.head.out_channels == 4
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["hyper_parameters"]["size"] == 64


def test_more_objects_than_outputs_raise_with_their_number(video, tmp_path):
    frames, masks = video
    write_mask(masks / "00003.png", np.tile(np.array([1, 2], np.uint8), (60, 45)))
    data = OneSequenceDataModule(str(frames), str(masks), 6, size=32)
    with pytest.raises(VOSError, match="hold 3 objects; set"):
        trainer(tmp_path, max_steps=1).fit(OnlineAdapter(1, width=0.125, size=32), data)


def test_objects_are_numbered_in_order_of_appearance_and_unknown_before(video):
    frames, masks = video
    for t in (3, 4, 5):
        write_mask(masks / f"{t:05d}.png", np.repeat(np.array([[2, 9]], np.uint8), 60, 0).repeat(45, 1))
    data = OneSequenceDataModule(str(frames), str(masks), 6, size=32)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert data._item["object_ids"] == [9, 2]
    assert torch.equal(batch["num_classes"], torch.where(batch["t"] < 3, 2, 3))
    assert (batch["labels"].flatten(1).max(1).values == batch["num_classes"] - 1).all()


def test_frames_without_a_mask_are_named(video):
    frames, masks = video
    (masks / "00004.png").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"00004\.png: missing"):
        OneSequenceDataModule(str(frames), str(masks)).setup("fit")


def test_empty_masks_and_invalid_options_raise(video):
    frames, masks = video
    for path in masks.iterdir():
        write_mask(path, np.zeros((60, 90), np.uint8))
    with pytest.raises(VOSError, match="no object in any"):
        OneSequenceDataModule(str(frames), str(masks)).setup("fit")
    with pytest.raises(VOSError, match="multiple of 32"):
        OneSequenceDataModule(str(frames), str(masks), size=100)
    with pytest.raises(VOSError, match="give targets"):
        OneSequenceDataModule(str(frames), str(masks)).test_dataloader()


def test_the_example_runs(video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = Path(__file__).parent.parent.parent / "examples" / "adapter.yaml"
    frames, masks = map(str, video)
    small = ["--model.init_args.width=0.125", "--model.init_args.size=32", "--data.init_args.size=32"]
    data = [f"--data.init_args.root={frames}", f"--data.init_args.masks={masks}"]
    quick = ["--trainer.max_steps=2", "--trainer.accelerator=cpu", "--trainer.logger=false"]
    assert main(["fit", "--config", str(example), *small, *data, *quick]) == 0
    assert list(tmp_path.rglob("last.ckpt"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_test_and_predict_adapt_to_each_sequence_and_leave_the_model_alone(davis_tree, tmp_path, precision):
    """Under Lightning's inference mode and autocast, in any order of the sequences."""
    pl.seed_everything(0)
    model = MAST(**TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run = trainer(tmp_path, precision=precision)
    names = ["synthetic-00007", "synthetic-00008"]
    plain = run.predict(model, DAVISDataModule(str(davis_tree)))
    model.adapter = FEW
    adapted = run.predict(model, DAVISDataModule(str(davis_tree)))
    alone = run.predict(model, DAVISDataModule(str(davis_tree), sequences=names[1:]))
    (scores,) = run.test(model, DAVISDataModule(str(davis_tree)), verbose=False)
    assert torch.equal(adapted[1]["masks"], alone[0]["masks"])
    for one, other in zip(adapted, plain, strict=True):
        assert not torch.equal(one["masks"], other["masks"])
        assert torch.equal(one["masks"][0], other["masks"][0])
    assert 0 < scores["test/JF"] < 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_validation_does_not_adapt_and_observers_see_what_comes_out(davis_tree, tmp_path):
    pl.seed_everything(0)
    model = MAST(**TINY, adapter=replace(FEW, steps=10**9))
    assert "adapter" not in model.hparams
    seen = []
    model.observers.append(lambda item, t, frame, ids: seen.append((item["sequence"], t, frame.shape, ids.shape)))
    trainer(tmp_path).validate(model, DAVISDataModule(str(davis_tree)), verbose=False)
    assert len(seen) == 12
    assert seen[7] == ("synthetic-00008", 1, (64, 96, 3), (64, 96))


def test_a_config_sets_the_adapter(davis_tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {
        "model": {"class_path": "vos_lightning.MAST", "init_args": TINY | {"adapter": asdict(FEW)}},
        "data": {"class_path": "vos_lightning.data.DAVISDataModule", "init_args": {"root": str(davis_tree)}},
        "trainer": {"accelerator": "cpu", "logger": False},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["predict", "--config", str(tmp_path / "config.yaml")]) == 0
    assert len(list((tmp_path / "predictions").rglob("*.png"))) == 12


@pytest.fixture
def one_thread(monkeypatch):
    """Here and in processes that are started: sums come out alike only with equal numbers of threads."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_two_ranks_adapt_their_own_sequences_and_agree_with_one(davis_tree, tmp_path):
    """Through spawned processes: no collectives are needed on the way, scores are exact."""
    pl.seed_everything(0)
    model = MAST(**TINY, adapter=FEW)
    (alone,) = trainer(tmp_path).test(model, DAVISDataModule(str(davis_tree)), verbose=False)
    two = trainer(tmp_path, devices=2, strategy="ddp_spawn")
    (shared,) = two.test(model, DAVISDataModule(str(davis_tree)), verbose=False)
    assert shared == pytest.approx(alone)
