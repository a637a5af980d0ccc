"""All datamodules as a config sees them."""

import inspect

import pytest
import pytorch_lightning as pl
from jsonargparse import ArgumentParser

from vos_lightning import data
from vos_lightning.data.datamodules.base import ClipDataModule

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


@pytest.mark.parametrize("value", [2017, "2016"])
def test_years_are_numbers_or_text(value, tmp_path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(pl.LightningDataModule, "data")
    init_args = {"root": str(tmp_path), "year": value}
    config = parser.parse_object({"data": {"class_path": "vos_lightning.data.DAVISDataModule", "init_args": init_args}})
    assert parser.instantiate_classes(config).data.year == str(value)
