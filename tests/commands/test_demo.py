"""The demo, short and in full."""

import pytest

from vos_lightning.commands import demo
from vos_lightning.errors import VOSError
from vos_lightning.io.frames import VideoFile


def test_a_short_demo_leaves_masks_and_overlays(tmp_path):
    scores = demo.run(tmp_path, steps=2)
    assert set(scores) == {demo.COPY, demo.LAB, demo.TRAINED}
    folders = list((tmp_path / "trained").iterdir())
    assert len(folders) == 3
    for folder in folders:
        assert len(list(folder.glob("*.png"))) == len(VideoFile(folder / "overlay.mp4")) == 32


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "last.ckpt").write_text("precious")
    with pytest.raises(VOSError, match="holds something else than an earlier demo"):
        demo.run(tmp_path, steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_the_full_demo_ranks_the_trained_model_first(tmp_path):
    scores = {name: row["JF"] for name, row in demo.run(tmp_path).items()}
    assert scores[demo.COPY] < scores[demo.LAB] < scores[demo.TRAINED]
