"""Lab conversion against scikit-image, and the bottleneck against its definition."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from vos_lightning.functional.colour import draw_dropped_chroma, drop_chroma, lab_to_rgb, rgb_to_lab, take_channel


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(2, 3, 3, 8, 10, generator=torch.Generator().manual_seed(0))


def expected_lab(frames: torch.Tensor) -> np.ndarray:
    lab = rgb2lab(frames.numpy(), channel_axis=-3)
    shift, scale = np.array([50, 0, 0.0]), np.array([50, 127, 127.0])
    return np.moveaxis((np.moveaxis(lab, -3, -1) - shift) / scale, -1, -3)


@pytest.mark.parametrize("autocast", [False, True])
def test_lab_equals_scikit_image_also_under_autocast(frames, autocast):
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        lab = rgb_to_lab(frames)
    assert lab.dtype == torch.float32
    np.testing.assert_allclose(lab.numpy(), expected_lab(frames), atol=2e-4)


def test_there_and_back(frames):
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(frames)), frames, atol=1e-3, rtol=0)


def test_white_and_black_are_the_ends_of_lightness():
    extremes = torch.stack([torch.zeros(3, 1, 1), torch.ones(3, 1, 1)])
    torch.testing.assert_close(rgb_to_lab(extremes)[:, 0].flatten(), torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)


def test_one_chroma_channel_is_lost_in_all_frames_and_the_rest_is_scaled(frames):
    lab = rgb_to_lab(frames)
    seen = drop_chroma(lab, torch.tensor([1, 2]))
    assert (seen[0, :, 1] == 0).all()
    assert (seen[1, :, 2] == 0).all()
    torch.testing.assert_close(seen[0, :, [0, 2]], lab[0, :, [0, 2]] * 1.5)
    torch.testing.assert_close(seen[1, :, [0, 1]], lab[1, :, [0, 1]] * 1.5)


def test_lightness_is_never_drawn_and_a_and_b_equally_often():
    dropped = draw_dropped_chroma(torch.arange(10_000))
    counts = torch.bincount(dropped, minlength=4).tolist()
    assert counts[0] == counts[3] == 0
    assert abs(counts[1] - 5000) < 200  # four standard deviations


def test_take_channel_gives_each_clip_its_own(frames):
    taken = take_channel(frames, torch.tensor([2, 1]))
    assert torch.equal(taken[0, :, 0], frames[0, :, 2])
    assert torch.equal(taken[1, :, 0], frames[1, :, 1])


def test_a_clip_loses_the_same_channel_in_any_batch():
    seeds = torch.arange(20)
    assert torch.equal(draw_dropped_chroma(seeds.flip(0)).flip(0), draw_dropped_chroma(seeds))
