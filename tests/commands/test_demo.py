"""The demo, short and in full."""

import numpy as np
import pytest

from vos_lightning.commands import demo
from vos_lightning.errors import VOSError
from vos_lightning.io.frames import VideoFile
from vos_lightning.io.mask_reader import MaskReader
from vos_lightning.io.masks import read_mask


def test_a_short_demo_leaves_masks_and_overlays(tmp_path):
    scores = demo.run(tmp_path, steps=2)
    assert set(scores) == {demo.COPY, demo.LAB, demo.TRAINED}
    folders = list((tmp_path / "trained").iterdir())
    assert len(folders) == 3
    for folder in folders:
        assert len(list(folder.glob("*.png"))) == len(VideoFile(folder / "overlay.mp4")) == 32
    masks = [read_mask(path) for path in sorted((tmp_path / "real").glob("*.png"))]
    assert len(masks) == len(VideoFile(tmp_path / "real" / "overlay.mp4")) == 36
    np.testing.assert_array_equal(masks[0], MaskReader().read(demo.FIRST))
    for one in (1, 2):  # the man and the ball, through the clip
        areas = np.array([(mask == one).sum() for mask in masks])
        assert 0.5 * areas[0] < np.median(areas) < 2 * areas[0]


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "last.ckpt").write_text("precious")
    with pytest.raises(VOSError, match="holds something else than an earlier demo"):
        demo.run(tmp_path, steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_no_steps_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(VOSError, match="--steps is -1; expected 1 or more"):
        demo.main(["--output", str(tmp_path / "demo"), "--steps", "-1"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_full_demo_ranks_the_trained_model_first(tmp_path):
    scores = {name: row["JF"] for name, row in demo.run(tmp_path).items()}
    assert scores[demo.COPY] < scores[demo.LAB] < scores[demo.TRAINED]
