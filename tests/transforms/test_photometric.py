import colorsys

import pytest
import torch

from vos_lightning.transforms.photometric import hue_rotation, jitter_colours, luma


@pytest.fixture
def frames():
    return torch.rand(3, 2, 3, 8, 8, generator=torch.manual_seed(0))


def factors(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0):
    return [torch.full((3,), value) for value in (brightness, contrast, saturation, hue)]


def test_neutral_factors_change_nothing(frames):
    assert torch.allclose(jitter_colours(frames, *factors()), frames, atol=1e-6)


def test_brightness_scales_and_clips(frames):
    assert torch.allclose(jitter_colours(frames, *factors(brightness=1.5)), (frames * 1.5).clamp(0, 1), atol=1e-6)


def test_contrast_is_about_the_grey_of_the_whole_clip(frames):
    out = jitter_colours(frames, *factors(contrast=0.0))
    for clip, result in zip(frames, out, strict=True):
        assert torch.allclose(result, luma(clip).mean().expand_as(result), atol=1e-6)


def test_no_saturation_is_grey(frames):
    out = jitter_colours(frames, *factors(saturation=0.0))
    assert torch.allclose(out, luma(frames).expand_as(out), atol=1e-6)


def test_hue_keeps_luma_and_grey_and_turns_the_colour():
    muted = torch.tensor([0.5, 0.45, 0.4]).view(1, 1, 3, 1, 1)
    turned = jitter_colours(muted, torch.ones(1), torch.ones(1), torch.ones(1), torch.full((1,), 0.5))
    assert torch.allclose(luma(turned), luma(muted), atol=1e-4)
    before, after = (colorsys.rgb_to_hsv(*image.flatten().tolist()) for image in (muted, turned))
    assert abs(abs(before[0] - after[0]) - 0.5) < 0.06
    grey = torch.full((1, 1, 3, 2, 2), 0.3)
    one = torch.ones(1)
    assert torch.allclose(jitter_colours(grey, one, one, one, torch.full((1,), 0.3)), grey, atol=1e-3)


def test_a_full_turn_is_no_turn():
    assert torch.allclose(hue_rotation(torch.tensor([0.0, 1.0])), torch.eye(3).double().expand(2, 3, 3), atol=1e-9)


def test_each_clip_takes_its_own_factor(frames):
    brightness = torch.tensor([1.0, 0.5, 0.0])
    one, zero = torch.ones(3), torch.zeros(3)
    out = jitter_colours(frames, brightness, one, one, zero)
    assert torch.allclose(out, frames * brightness.view(-1, 1, 1, 1, 1), atol=1e-6)
