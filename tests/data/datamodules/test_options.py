"""All datamodules as a config sees them."""

import inspect

import pytest
import pytorch_lightning as pl
from jsonargparse import ArgumentParser

from vos_lightning import data
from vos_lightning.data.datamodules.base import ClipDataModule
from vos_lightning.errors import VOSError

NAMES = [name for name in data.__all__ if name.endswith("DataModule")]
MODULES = [name for name in NAMES if issubclass(getattr(data, name), ClipDataModule)]


def test_the_list_is_complete():
    assert len(MODULES) == 7
    assert set(NAMES) - {*MODULES} == {"OneSequenceDataModule"}


@pytest.mark.parametrize("name", MODULES)
def test_root_comes_first_then_the_loader_then_the_clip(name):
    parameters = list(inspect.signature(getattr(data, name)).parameters)
    assert parameters[:4] == ["root", "batch_size", "num_workers", "clip_length"]


@pytest.mark.parametrize("name", MODULES)
def test_a_config_can_set_the_common_options(name, tmp_path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data")
    options = {
        "root": str(tmp_path),
        "batch_size": 4,
        "num_workers": 0,
        "clip_length": 3,
        "crop_size": 64,
        "short_side": 96,
        "max_gap": 5,
        "gap_seconds": [0.1, 0.5],
        "crop_scale": [0.3, 1.0],
        "temporal_flip": 0.5,
        "colour_jitter": 0.3,
        "zoom_levels": [1.5, 2.0],
        "clips_per_video": 4,
        "seed": 7,
        "val_root": str(tmp_path),
    }
    config = parser.parse_object({"data": {"class_path": f"vos_lightning.data.{name}", "init_args": options}})
    datamodule = parser.instantiate_classes(config).data
    assert datamodule.sampling.seconds == (0.1, 0.5)
    assert datamodule.augmentation.crop_size == 64
    assert datamodule.zoom_levels == (1.5, 2.0)
    assert datamodule.val_root == str(tmp_path)


IMPOSSIBLE = [
    ({"batch_size": 0}, "batch_size=0: need at least 1"),
    ({"num_workers": -1}, "num_workers=-1: need at least 0"),
    ({"clip_length": 0}, "clip_length=0: a clip has at least one frame"),
    ({"crop_size": 0}, "crop_size=0: need at least one pixel"),
    ({"short_side": -3}, "short_side=-3: need at least 1"),
    ({"clips_per_video": 0}, "clips_per_video=0: need at least 1"),
    ({"limit_videos": 0}, "limit_videos=0: need at least 1"),
    ({"min_gap": 0}, "min_gap=0, max_gap=3: need 1 <= min_gap <= max_gap"),
    ({"min_gap": 5}, "min_gap=5, max_gap=3: need 1 <= min_gap <= max_gap"),
    ({"gap_seconds": (0.5, 0.1)}, "gap_seconds=(0.5, 0.1): need 0 < low <= high"),
    ({"crop_scale": (0.5, 2.0)}, "crop_scale=(0.5, 2.0): need 0 < low <= high <= 1"),
    ({"crop_scale": (float("nan"), 1.0)}, "crop_scale=(nan, 1.0): need 0 < low <= high <= 1"),
    ({"horizontal_flip": 1.5}, "horizontal_flip=1.5: a probability lies in [0, 1]"),
    ({"zoom_levels": (0.5,)}, "zoom_levels=(0.5,): magnifications are at least 1"),
    ({"zoom_levels": (2.0,), "zoom_frames": 2}, "zoom_frames=2: a clip of 2 frames has 1 past ones"),
]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize(("options", "message"), IMPOSSIBLE, ids=[next(iter(case[0])) for case in IMPOSSIBLE])
def test_options_that_no_training_could_follow_are_refused_at_once(name, options, message, tmp_path):
    with pytest.raises(VOSError) as refused:
        getattr(data, name)(str(tmp_path), **options)
    assert str(refused.value) == message


@pytest.mark.parametrize("name", MODULES)
def test_the_smallest_options_are_allowed(name, tmp_path):
    least = {"batch_size": 1, "num_workers": 0, "clip_length": 1, "crop_size": 1, "short_side": 1, "clips_per_video": 1}
    datamodule = getattr(data, name)(str(tmp_path), **least)
    assert (datamodule.batch_size, datamodule.num_workers, datamodule.clips_per_video) == (1, 0, 1)


@pytest.mark.parametrize("value", [2017, "2016"])
def test_years_are_numbers_or_text(value, tmp_path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data")
    init_args = {"root": str(tmp_path), "year": value}
    config = parser.parse_object({"data": {"class_path": "vos_lightning.data.DAVISDataModule", "init_args": init_args}})
    assert parser.instantiate_classes(config).data.year == str(value)
