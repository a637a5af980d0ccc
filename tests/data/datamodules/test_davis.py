import pytest

from vos_lightning.data import DAVISDataModule, VideoFolderDataModule, write_davis_tree
from vos_lightning.data.synthetic.datasets import SyntheticSpec
from vos_lightning.errors import DatasetNotFoundError

SPEC = SyntheticSpec(num_frames=5, size=(48, 80), num_objects=2)


@pytest.fixture(scope="module")
def davis(tmp_path_factory):
    root = tmp_path_factory.mktemp("davis")
    write_davis_tree(root, train=range(3), val=range(10, 13), spec=SPEC)
    return root


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_every_sequence_once(davis, recorder, verb):
    rows, _ = recorder(DAVISDataModule(str(davis)), verb)
    assert [row["names"][0] for row in rows] == ["synthetic-00010", "synthetic-00011", "synthetic-00012"]


def test_two_ranks_share_the_sequences(davis, recorder):
    rows, _ = recorder(DAVISDataModule(str(davis)), "validate", strategy="ddp_fork", devices=2)
    assert {row["names"][0] for row in rows} == {"synthetic-00010", "synthetic-00011", "synthetic-00012"}
    assert {row["rank"] for row in rows} == {0, 1}


def test_the_training_split_gives_clips(davis, recorder):
    datamodule = DAVISDataModule(str(davis), 2, 0, crop_size=32, short_side=48, sequences=["synthetic-00011"])
    rows, _ = recorder(datamodule, num_sanity_val_steps=0)
    names = [name for row in rows if "epoch" in row for name in row["names"]]
    assert sorted(names) == ["synthetic-00000", "synthetic-00001", "synthetic-00002"]
    assert [row["names"][0] for row in rows if "epoch" not in row] == ["synthetic-00011"]


def test_evaluating_needs_no_training_split(davis, recorder):
    rows, _ = recorder(DAVISDataModule(str(davis), train_split="nothing"), "validate")
    assert len(rows) == 3
    with pytest.raises(DatasetNotFoundError, match=r"nothing\.txt"):
        DAVISDataModule(str(davis), train_split="nothing").setup("fit")


@pytest.mark.parametrize("year", ["2016", "2017"])
def test_val_root_of_either_edition_turns_validation_on(videos, tmp_path, recorder, year):
    write_davis_tree(tmp_path / "val", train=[], val=[7], spec=SPEC, year=year)
    datamodule = VideoFolderDataModule(
        str(videos), num_workers=0, crop_size=24, short_side=40, val_root=str(tmp_path / "val")
    )
    rows, _ = recorder(datamodule, num_sanity_val_steps=0)
    assert rows[-1] == {"rank": 0, "names": ["synthetic-00007"]}
    item = next(iter(datamodule.val_dataloader()))
    assert item["object_ids"] == ([255] if year == "2016" else [1, 2])


def test_a_missing_tree_says_what_is_expected(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="a DAVIS tree has"):
        DAVISDataModule(str(tmp_path)).setup("validate")
