import shutil

import pytest

from vos_lightning.data import YouTubeVOSDataModule, write_davis_tree
from vos_lightning.data.layouts import youtube_vos
from vos_lightning.data.synthetic.datasets import SyntheticSpec


def module(root, **options):
    return YouTubeVOSDataModule(str(root), 2, 0, **{"crop_size": 16, "short_side": 24, **options})


def test_training_reads_no_masks(youtube_tree, recorder):
    shutil.rmtree(youtube_tree / "train/Annotations")
    (youtube_tree / "train/meta.json").unlink()
    rows, _ = recorder(module(youtube_tree))
    assert sorted(name for row in rows for name in row["names"]) == ["run", "walk"]


def test_low_data_subsets(youtube_tree):
    chosen = {
        tuple(video.name for video in module(youtube_tree, limit_videos=1, seed=s).index().videos) for s in range(9)
    }
    assert chosen == {("run",), ("walk",)}


@pytest.mark.parametrize("verb", ["test", "predict"])
def test_evaluation_serves_the_split(youtube_tree, recorder, verb):
    rows, _ = recorder(module(youtube_tree), verb)
    assert [row["names"][0] for row in rows] == ["late", "plain"]


def test_validation_while_fitting_is_on_val_root(youtube_tree, recorder, tmp_path):
    write_davis_tree(tmp_path / "davis", train=[], val=[3], spec=SyntheticSpec(4, (48, 80), 1))
    rows, _ = recorder(module(youtube_tree, val_root=str(tmp_path / "davis")), num_sanity_val_steps=0)
    assert [row["names"][0] for row in rows if "epoch" not in row] == ["synthetic-00003"]
    rows, _ = recorder(module(youtube_tree, val_root=str(tmp_path / "davis")), "test")
    assert [row["names"][0] for row in rows] == ["late", "plain"]


def test_a_tree_of_the_other_release_is_pointed_out(youtube_tree, monkeypatch):
    monkeypatch.setitem(youtube_vos.RELEASES, "2019", {"valid": 2})
    with pytest.warns(UserWarning, match="2 videos in valid, as in 2019; year is 2018"):
        module(youtube_tree).setup("predict")
