import numpy as np
import pytest
import torch

from vos_lightning.data import SyntheticDataModule
from vos_lightning.errors import VOSError

SMALL = {"batch_size": 4, "num_workers": 0, "num_videos": 6, "num_val_videos": 2, "num_frames": 6, "size": (48, 80)}
SMALL |= {"short_side": 48, "crop_size": 32}


def test_it_trains_and_validates(recorder):
    rows, _ = recorder(SyntheticDataModule(**SMALL), num_sanity_val_steps=0)
    assert sorted(name for row in rows if "epoch" in row for name in row["names"]) == [
        f"synthetic-{seed:05d}" for seed in range(6)
    ]
    assert [row["names"][0] for row in rows if "epoch" not in row] == ["synthetic-1000000", "synthetic-1000001"]


def test_another_seed_is_other_videos_with_the_same_validation():
    one, two = SyntheticDataModule(**SMALL), SyntheticDataModule(**SMALL, seed=1)
    for datamodule in (one, two):
        datamodule.setup("fit")
    names = [{clip["sequence"] for clip in (d._train[i] for i in range(6))} for d in (one, two)]
    assert not names[0] & names[1]
    assert [s["sequence"] for s in one.val_dataloader()] == [s["sequence"] for s in two.val_dataloader()]


def test_root_keeps_the_validation_videos_as_a_davis_tree(tmp_path):
    written, made = SyntheticDataModule(str(tmp_path), **SMALL), SyntheticDataModule(**SMALL)
    written.prepare_data()
    for datamodule in (written, made):
        datamodule.setup("validate")
    for one, two in zip(written.val_dataloader(), made.val_dataloader(), strict=True):
        assert one["sequence"] == two["sequence"]
        assert one["object_ids"] == two["object_ids"]
        assert np.array_equal(one["targets"][3], two["targets"][3])


def test_workers_render_the_same_clips():
    def epoch(workers):
        datamodule = SyntheticDataModule(**{**SMALL, "num_workers": workers})
        datamodule.setup("fit")
        return torch.cat([batch["frames"] for batch in datamodule.train_dataloader()])

    assert torch.equal(epoch(0), epoch(2))


@pytest.mark.parametrize("option", [{"num_videos": 0}, {"num_val_videos": 0}, {"num_frames": 0}, {"size": (0, 80)}])
def test_what_no_video_could_follow_is_refused(option):
    (name,) = option
    with pytest.raises(VOSError, match=f"{name}=.*at least 1"):
        SyntheticDataModule(**(SMALL | option))
