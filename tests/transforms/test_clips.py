import pytest
import torch

from vos_lightning.errors import VOSError
from vos_lightning.transforms.clips import ClipAugmentation

PLAIN = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "horizontal_flip": 0.0}


def clips(batch=3, length=4, size=32, seed=0):
    return torch.randint(0, 256, (batch, length, 3, size, size), dtype=torch.uint8, generator=torch.manual_seed(seed))


def still(batch=3, length=4, size=32):
    return clips(batch, 1, size).expand(-1, length, -1, -1, -1).contiguous()


def test_without_changes_it_only_scales_to_unit_range():
    frames = clips()
    out = ClipAugmentation(crop_size=32, **PLAIN)(frames, torch.arange(3))
    assert out.dtype == torch.float32
    assert torch.equal(out, frames.float() / 255)


def test_shape_range_and_no_overshoot():
    out = ClipAugmentation(crop_size=20, colour_jitter=1.0, brightness=0.9, contrast=0.9)(clips(), torch.arange(3))
    assert out.shape == (3, 4, 3, 20, 20)
    assert out.min() >= 0
    assert out.max() <= 1


def test_every_frame_of_a_clip_gets_the_same_transform():
    out = ClipAugmentation(crop_size=24, colour_jitter=1.0, hue=0.4)(still(), torch.tensor([5, 6, 7]))
    assert torch.allclose(out, out[:, :1].expand_as(out))
    assert not torch.allclose(out[0], out[1])


def test_a_clip_does_not_depend_on_its_neighbours_in_the_batch():
    augment = ClipAugmentation(crop_size=16, colour_jitter=0.5, temporal_flip=0.5)
    frames, seeds = clips(6), torch.arange(6) * 1000
    together = augment(frames, seeds)
    alone = torch.cat([augment(frames[i : i + 1], seeds[i : i + 1]) for i in range(6)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_the_crop_is_a_rectangle_of_the_frame():
    rows = torch.arange(64, dtype=torch.uint8).view(1, 1, 1, 64, 1).expand(40, 1, 3, 64, 64).contiguous()
    out = ClipAugmentation(crop_size=8, crop_scale=(0.25, 0.25), crop_ratio=(1.0, 1.0))(rows, torch.arange(40)) * 255
    first, last = out[:, 0, 0, 0, 0], out[:, 0, 0, -1, 0]
    assert torch.allclose(last - first, torch.full((40,), 28.0), atol=1.2)  # 8 samples, 4 pixels apart
    assert first.min() < 6
    assert last.max() > 57


@pytest.mark.parametrize(("option", "dimension"), [("horizontal_flip", -1), ("temporal_flip", 1)])
def test_flips(option, dimension):
    frames = clips(2)
    out = ClipAugmentation(crop_size=32, **{**PLAIN, option: 1.0})(frames, torch.arange(2))
    assert torch.equal(out, frames.float().flip(dimension) / 255)


def test_flips_happen_as_often_as_asked_and_independently():
    frames = torch.zeros(400, 2, 3, 2, 2, dtype=torch.uint8)
    frames[..., 0, :, 0] = 100  # channel 0: left column marked
    frames[:, 0, 1] = 200  # channel 1: first frame marked
    options = {**PLAIN, "horizontal_flip": 0.5, "temporal_flip": 0.25}
    out = ClipAugmentation(crop_size=2, **options)(frames, torch.arange(400) * 7919)
    mirrored, reversed_ = out[:, 0, 0, 0, 1] > 0, out[:, 1, 1, 0, 0] > 0
    assert 0.42 < mirrored.float().mean() < 0.58
    assert 0.18 < reversed_.float().mean() < 0.32
    assert 0.15 < reversed_[mirrored].float().mean() < 0.35


@pytest.mark.parametrize(
    "options",
    [
        {"crop_scale": (0.0, 1.0)},
        {"crop_scale": (0.5, 1.5)},
        {"crop_ratio": (2.0, 1.0)},
        {"horizontal_flip": 1.5},
        {"temporal_flip": -0.1},
        {"crop_size": 0},
    ],
)
def test_nonsense_is_refused_by_name(options):
    with pytest.raises(VOSError, match=next(iter(options))):
        ClipAugmentation(**options)
