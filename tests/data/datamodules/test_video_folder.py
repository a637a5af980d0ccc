import pickle
import warnings

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from vos_lightning.data import VideoFolderDataModule, write_davis_tree
from vos_lightning.data.synthetic.datasets import SyntheticSpec
from vos_lightning.errors import DatasetNotFoundError, VOSError

OPTIONS = {"batch_size": 4, "num_workers": 0, "crop_size": 24, "short_side": 40, "colour_jitter": 0.5, "seed": 3}


def module(root, **options):
    return VideoFolderDataModule(str(root), **{**OPTIONS, **options})


def batches(datamodule, epochs=1):
    datamodule.setup("fit")
    loader = datamodule.train_dataloader()
    seen = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            batch = datamodule.transfer_batch_to_device(batch, torch.device("cpu"), 0)
            seen.append(datamodule.on_after_batch_transfer(batch, 0))
    return seen


def test_batches_hold_the_contract(videos):
    seen = batches(module(videos, clip_length=3, clips_per_video=2))
    assert [batch["frames"].shape for batch in seen] == [(4, 3, 3, 24, 24)] * 3
    assert all(set(batch) == {"frames", "sequence", "seed"} for batch in seen)
    assert all(batch["frames"].dtype == torch.float32 for batch in seen)
    assert min(batch["frames"].min() for batch in seen) >= 0
    assert max(batch["frames"].max() for batch in seen) <= 1
    names = [name for batch in seen for name in batch["sequence"]]
    assert sorted(names) == sorted(2 * ["clip2", "clip10", "frames/a", "frames/b", "walks/old/lake", "walks/park"])


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_workers(videos, workers):
    alone, shared = (batches(module(videos, num_workers=count), epochs=2) for count in (0, workers))
    for one, two in zip(alone, shared, strict=True):
        assert one["sequence"] == two["sequence"]
        assert torch.equal(one["frames"], two["frames"])


def test_epochs_and_seeds_differ(videos):
    first, *_, last = batches(module(videos, batch_size=6), epochs=2)
    other = batches(module(videos, batch_size=6, seed=4))[0]

    def by_name(batch):
        return dict(zip(batch["sequence"], batch["frames"], strict=True))

    for name, clip in by_name(first).items():
        assert not torch.equal(clip, by_name(last)[name])
        assert not torch.equal(clip, by_name(other)[name])


def test_the_models_random_state_is_left_alone(videos):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    batches(module(videos))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("workers", "stops"), [(0, (2, 3, 4, 7)), (2, (4,))])
def test_a_resumed_run_sees_the_batches_it_would_have_seen(videos, recorder, tmp_path, workers, stops):
    """Three batches per epoch: the stops are mid-epoch, at its end, and mid-epoch again."""
    options = {"batch_size": 2, "num_workers": workers}
    every_step = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    limits = {"max_steps": 9, "max_epochs": -1}
    whole, _ = recorder(module(videos, **options), callbacks=[every_step], enable_checkpointing=True, **limits)
    assert len(whole) == 9
    for stop in stops:
        after, _ = recorder(module(videos, **options), ckpt_path=tmp_path / f"step={stop}.ckpt", **limits)
        assert after == whole[stop:]


def test_a_resume_after_a_shortened_epoch_begins_the_next_one(videos, recorder, tmp_path):
    at_epochs_end = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1)
    limits = {"batch_size": 2}, {"max_epochs": 3, "limit_train_batches": 2}
    whole, _ = recorder(module(videos, **limits[0]), callbacks=[at_epochs_end], enable_checkpointing=True, **limits[1])
    after, _ = recorder(module(videos, **limits[0]), ckpt_path=tmp_path / "epoch=0.ckpt", **limits[1])
    assert len(whole) == 6
    assert after == whole[2:]


def test_overfitting_repeats_the_same_batches(videos, recorder):
    rows, _ = recorder(module(videos), overfit_batches=1, max_epochs=3)
    assert len(rows) == 3
    assert rows[0]["digest"] == rows[1]["digest"] == rows[2]["digest"]


def test_two_ranks_and_two_workers_see_every_clip_once(videos, recorder):
    datamodule = module(videos, batch_size=1, num_workers=2)
    rows, _ = recorder(datamodule, strategy="ddp_fork", devices=2, max_epochs=2)
    for epoch in range(2):
        names = [row["names"][0] for row in rows if row["epoch"] == epoch]
        assert sorted(names) == ["clip10", "clip2", "frames/a", "frames/b", "walks/old/lake", "walks/park"]
    assert [sum(row["rank"] == rank for row in rows) for rank in (0, 1)] == [6, 6]


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_files_are_left_out_counted_and_named_once(spoiled, recorder, workers):
    root, bad = spoiled
    datamodule = module(root, num_workers=workers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows, _ = recorder(datamodule, max_epochs=3)
    messages = [str(warning.message) for warning in caught if "left out" in str(warning.message)]
    assert len(messages) == len(bad)
    for path in bad:
        assert sum(str(path) in message for message in messages) == 1
    assert sorted(datamodule.skipped) == sorted(map(str, bad))
    assert sum(len(row["names"]) for row in rows) == 3 * 6


@pytest.mark.parametrize("workers", [0, 2])
def test_what_only_decoding_finds_is_named_once_too(half_decodable, make, recorder, workers):
    for index in range(3):
        make.video(half_decodable / f"good{index}.mp4", make.frames(8))
    datamodule = module(half_decodable, num_workers=workers, clip_length=7, max_gap=1)
    with pytest.warns(UserWarning, match="left out: .*broken/0000") as caught:
        rows, _ = recorder(datamodule, max_epochs=4)
    assert sum("left out" in str(warning.message) for warning in caught) == 1
    assert datamodule.clips_skipped == 4
    assert all("broken" not in row["names"] for row in rows)


def test_only_bad_files_is_an_error(tmp_path):
    (tmp_path / "text.mp4").write_text("no")
    with (
        pytest.warns(UserWarning, match=r"text\.mp4"),
        pytest.raises(DatasetNotFoundError, match="none of the 1 videos"),
    ):
        module(tmp_path).setup("fit")


def test_without_val_root_validation_is_off_and_testing_says_why(videos):
    datamodule = module(videos)
    datamodule.setup("fit")
    assert datamodule.val_dataloader() == []
    with pytest.raises(VOSError, match="give val_root"):
        datamodule.test_dataloader()


def test_hyperparameters_are_primitives_and_the_clips_pickle(videos):
    datamodule = module(videos)
    assert datamodule.hparams["crop_size"] == 24
    assert all(isinstance(value, (int, float, str, tuple, type(None))) for value in datamodule.hparams.values())
    datamodule.setup("fit")
    pickle.loads(pickle.dumps(datamodule.train_dataloader().dataset))


def test_the_skip_list_takes_names_and_stems(videos, tmp_path):
    (tmp_path / "skip.txt").write_text("clip2\nlake\nframes/a\nunknown\n")
    datamodule = module(videos, skip_list=str(tmp_path / "skip.txt"))
    assert [video.name for video in datamodule.index().videos] == ["clip10", "frames/b", "walks/park"]


def test_a_limit_trains_on_a_subset(videos):
    datamodule = module(videos, limit_videos=2)
    datamodule.setup("fit")
    assert len(datamodule._train) == 2


def test_zoom_views_come_with_the_batch(videos):
    datamodule = module(videos, clip_length=4, max_gap=1, zoom_levels=(1.5, 2.0), batch_size=5)
    with pytest.warns(UserWarning, match="3 frames, a clip needs 4"):
        (batch,) = batches(datamodule)
    assert batch["zoom_views"].shape == (5, 2, 3, 24, 24)
    assert batch["zoom_places"].shape == (5, 1)


def test_gaps_in_seconds_reach_the_clips(videos):
    datamodule = module(videos, gap_seconds=(0.2, 0.2), crop_scale=(1.0, 1.0), colour_jitter=0.0)
    datamodule.setup("fit")
    item = datamodule._train[1]["frames"].float().mean(dim=(1, 2, 3))
    assert item[1] - item[0] == pytest.approx(10, abs=1.5)  # 10 frames per second, 5 grey levels per frame


def test_masks_beside_the_videos_are_left_out_with_one_note(tmp_path):
    write_davis_tree(tmp_path, train=(1, 2), val=(3,), spec=SyntheticSpec(4, (48, 64), 1))
    datamodule = module(tmp_path)
    with pytest.warns(UserWarning, match="synthetic-00001: left out with 2 more folders") as caught:
        datamodule.setup("fit")
    assert sum("left out" in str(warning.message) for warning in caught) == 1
    names = [video.name for video in datamodule.index().videos]
    assert names == [f"JPEGImages/480p/synthetic-0000{index}" for index in (1, 2, 3)]


def test_equal_stems_have_distinct_names_and_either_can_be_skipped(make, tmp_path):
    for name in ("a.mp4", "a.mov"):
        make.video(tmp_path / name, make.frames(4))
    assert sorted(batches(module(tmp_path))[0]["sequence"]) == ["a.mov", "a.mp4"]
    (tmp_path / "skip.txt").write_text("a.mov\n")
    datamodule = module(tmp_path, skip_list=str(tmp_path / "skip.txt"))
    assert [video.path for video in datamodule.index().videos] == [str(tmp_path / "a.mp4")]


@pytest.mark.parametrize("options", [{"zoom_levels": (0.5,)}, {"zoom_levels": (2.0,), "zoom_frames": 2}])
def test_zooms_that_no_clip_has_are_refused_at_once(tmp_path, options):
    with pytest.raises(VOSError, match=list(options)[-1]):
        module(tmp_path, **options)
