import pytest
from pytorch_lightning.callbacks import ModelCheckpoint

from vos_lightning.data import Encoding, ShardDataModule, prepare_shards
from vos_lightning.errors import VOSError

pytest.importorskip("webdataset", reason="the extra `shards` isn't installed")
NAMES = [f"video{index}" for index in range(8)]


@pytest.fixture
def sharded(tmp_path, make):
    for name in NAMES:
        make.video(tmp_path / "videos" / f"{name}.mp4", make.frames(6))
    prepare_shards(tmp_path / "videos", tmp_path / "shards", 4, encoding=Encoding(short_side=32))
    return str(tmp_path / "shards")


def module(root, workers=0):
    return ShardDataModule(root, 2, workers, crop_size=16, short_side=32)


def names(rows, epoch):
    return sorted(name for row in rows if row["epoch"] == epoch for name in row["names"])


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_is_every_clip_once(sharded, recorder, workers):
    rows, _ = recorder(module(sharded, workers), max_epochs=3)
    for epoch in range(3):
        assert names(rows, epoch) == NAMES
    digests = [{digest for row in rows if row["epoch"] == epoch for digest in row["digest"]} for epoch in range(3)]
    assert digests[0] != digests[1] != digests[2]


def test_two_ranks_see_every_clip_once(sharded, recorder):
    rows, _ = recorder(module(sharded, 2), strategy="ddp_fork", devices=2, max_epochs=2)
    for epoch in range(2):
        assert names(rows, epoch) == NAMES
    assert [sum(row["rank"] == rank for row in rows) for rank in (0, 1)] == [4, 4]


def test_a_resumed_run_sees_the_batches_it_would_have_seen(sharded, recorder, tmp_path):
    every_step = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    limits = {"max_steps": 10, "max_epochs": -1}
    whole, _ = recorder(module(sharded), callbacks=[every_step], enable_checkpointing=True, **limits)
    assert len(whole) == 10
    for stop in (2, 4, 7):
        after, _ = recorder(module(sharded), ckpt_path=tmp_path / f"step={stop}.ckpt", **limits)
        assert after == whole[stop:]


def test_options_that_shards_cannot_serve_are_refused(sharded):
    with pytest.raises(VOSError, match="limit_videos"):
        ShardDataModule(sharded, limit_videos=2)
