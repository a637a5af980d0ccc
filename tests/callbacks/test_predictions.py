"""Masks of `predict` on disk: where they go, and what becomes of those of earlier runs."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vos_lightning.callbacks.predictions import PredictionWriter
from vos_lightning.errors import VOSError
from vos_lightning.io.locks import FolderLock
from vos_lightning.io.masks import read_mask, read_palette, write_mask
from vos_lightning.io.palette import DAVIS_PALETTE

TRAINER = SimpleNamespace(is_global_zero=True)


def masks(count, height=8, width=9, seed=0):
    return torch.randint(0, 4, (count, height, width), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def predict(directory, sequences, palette=None, fail_at=None):
    """Write masks as a run of `predict` does; sequences: masks by name."""
    writer = PredictionWriter(str(directory))
    writer.on_predict_start(TRAINER, None)
    try:
        for name, ids in sequences.items():
            names = [f"f{t}" for t in range(len(ids))]
            batch = {"sequence": name, "frames": SimpleNamespace(names=names, fps=10.0)}
            writer.on_predict_batch_start(TRAINER, None, batch, 0)
            if name == fail_at:
                raise KeyboardInterrupt
            outputs = {"sequence": name, "names": names, "masks": ids, "palette": palette}
            writer.on_predict_batch_end(TRAINER, None, outputs, batch, 0)
        writer.on_predict_end(TRAINER, None)
    except BaseException as error:
        writer.on_exception(TRAINER, None, error)
        raise


def written(directory):
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("[!.]*.*")}


@pytest.mark.parametrize("palette", [None, bytes(range(256)) * 3])
def test_predictions_are_palette_pngs_in_folders_of_sequences(tmp_path, palette):
    predict(tmp_path, {"dog": masks(2)}, palette)
    for t, mask in enumerate(masks(2)):
        path = tmp_path / "dog" / f"f{t}.png"
        assert np.array_equal(read_mask(path), mask.numpy())
        assert read_palette(path) == (palette or DAVIS_PALETTE)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil"])
def test_names_that_lead_out_of_the_directory_are_refused(tmp_path, name):
    with pytest.raises(VOSError, match="outside of"):
        predict(tmp_path / "masks", {name: masks(1)})
    assert list(tmp_path.rglob("*.png")) == []


def test_nothing_of_an_earlier_run_is_left(tmp_path):
    predict(tmp_path, {"cat": masks(3), "dog": masks(5)})
    write_mask(tmp_path / "cat" / "own.png", np.ones((4, 4), np.uint8))
    predict(tmp_path, {"dog": masks(2, seed=1)})
    assert sorted(written(tmp_path)) == ["cat/own.png", "dog/f0.png", "dog/f1.png"]
    assert np.array_equal(read_mask(tmp_path / "dog" / "f1.png"), masks(2, seed=1)[1].numpy())


def test_a_run_cut_short_leaves_the_earlier_masks(tmp_path):
    predict(tmp_path, {"cat": masks(3), "dog": masks(5)})
    before = written(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path, {"dog": masks(2, seed=1)}, fail_at="dog")
    assert written(tmp_path) == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_masks_of_somebody_else_are_not_replaced(tmp_path):
    (tmp_path / "dog").mkdir()
    write_mask(tmp_path / "dog" / "f1.png", np.ones((4, 4), np.uint8))
    before = written(tmp_path)
    with pytest.raises(VOSError, match=r"f1\.png: would be replaced"):
        predict(tmp_path, {"dog": masks(2)})
    assert written(tmp_path) == before


def test_a_directory_in_use_is_refused(tmp_path):
    with FolderLock(tmp_path), pytest.raises(VOSError, match="being written to"):
        predict(tmp_path, {"dog": masks(2)})
    predict(tmp_path, {"dog": masks(2)})
