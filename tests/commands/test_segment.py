"""`vos-lightning segment --adapt`."""

import numpy as np
import pytest
from PIL import Image

from vos_lightning.cli import main
from vos_lightning.commands import segment as command
from vos_lightning.inference.adaptation_settings import CPU_SETTINGS
from vos_lightning.io.masks import read_mask, write_mask


@pytest.fixture
def video(moving_square, tmp_path):
    """Arguments: a folder of frames, its first mask, an output folder."""
    frames, truth = moving_square
    (tmp_path / "video").mkdir()
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "video" / f"{t}.png")
    write_mask(tmp_path / "first.png", truth[0])
    first, output = str(tmp_path / "first.png"), str(tmp_path / "out")
    return ["segment", str(tmp_path / "video"), "--mask", first, "--output", output, "--weights", "lab"]


@pytest.mark.parametrize("flags", [["--adapt-steps=2"], ["--adapt-steps=2", "--adapt-causal"], ["--adapt-seconds=0"]])
def test_adapt_writes_a_mask_for_every_frame(video, moving_square, tmp_path, flags):
    assert main([*video, "--device=cpu", "--adapt", *flags]) == 0
    masks = [read_mask(tmp_path / "out" / f"{t}.png") for t in range(6)]
    assert np.array_equal(masks[0], moving_square[1][0])
    assert set(np.unique(masks)) <= {0, 9}


def test_flags_change_the_preset_of_the_device(video):
    options = command._parser().parse_args(
        [*video[1:], "--device=cpu", "--adapt", "--adapt-seconds=7", "--adapt-causal"]
    )
    settings = command._adapter(options)
    assert (settings.seconds, settings.mode, settings.size) == (7, "causal", CPU_SETTINGS.size)


def test_a_budget_without_adapt_is_refused(video, capsys):
    assert main([*video, "--adapt-steps=5"]) == 2
    assert "add --adapt" in capsys.readouterr().err
