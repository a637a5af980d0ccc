"""The example trains, goes on where it was, and leaves weights that track."""

import importlib.util
from pathlib import Path

import pytest
import torch
from PIL import Image

from vos_lightning import VideoSegmenter
from vos_lightning.inference.weights import load_tracker

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "default_weights.py"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("default_weights", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.EARLY = module.LATE = module.Scale(64, 2, 6)
    module.AT_A_TIME = 1
    return module


def test_a_run_that_was_ended_goes_on(example, moving_square, tmp_path):
    frames, truth = moving_square
    (tmp_path / "clips" / "square").mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "clips" / "square" / f"{t}.png")
    options = [str(tmp_path / "clips"), "--output", str(tmp_path / "run"), "--width", "0.25"]
    example.main([*options, "--minutes", "0.00001"])
    first = example.Run(tmp_path / "run", 0.25)
    assert (first.step, first.chunk) == (1, 1)
    example.main([*options, "--minutes", str(first.seconds / 60 + 0.00001)])
    second = example.Run(tmp_path / "run", 0.25)
    assert (second.step, second.chunk) == (2, 2)
    assert second.seconds > first.seconds
    before, after = (run.encoder.head.weight for run in (first, second))
    assert not torch.equal(before, after)

    weights = tmp_path / "run" / "weights.safetensors"
    expected = second.average.module.state_dict()
    for name, value in load_tracker(weights).encoder.state_dict().items():
        torch.testing.assert_close(value.float(), expected[name].float(), rtol=1e-3, atol=1e-3)
    segmenter = VideoSegmenter(weights)
    assert segmenter.tracking.max_size == 640
    assert len(list(segmenter.segment(frames, truth[0]))) == len(frames)
