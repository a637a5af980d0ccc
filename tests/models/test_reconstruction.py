"""The encoder's shape, the resizing that must not shift, and reconstruction where the answer is known."""

import pytest
import torch
import torch.nn.functional as F

from vos_lightning.models.lab_patches import LabPatches
from vos_lightning.models.reconstruction import ReconstructionEncoder, downsample, reconstruct


def test_features_are_at_a_quarter_and_of_length_one():
    encoder = ReconstructionEncoder(width=0.25, feature_dim=32).eval()
    features = encoder(torch.rand(2, 3, 32, 48))
    assert features.shape == (2, 32, 8, 12)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2, 8, 12))


def test_full_width_has_the_channels_of_the_paper():
    encoder = ReconstructionEncoder()
    widths = [stage[-1].branch[-1].num_features for stage in encoder.stages]
    strides = [stage[0].branch[0].stride[0] for stage in encoder.stages]
    assert encoder.stem[0].out_channels == 64
    assert encoder.stem[0].stride == (2, 2)
    assert widths == [64, 128, 256, 256]
    assert strides == [1, 2, 1, 1]
    assert encoder.head.out_channels == 64


def test_moving_the_input_by_the_stride_moves_the_features_by_one():
    encoder = ReconstructionEncoder(width=0.125).eval()
    frame = torch.rand(1, 3, 192, 192, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, moved = encoder(frame), encoder(frame.roll((4, 8), (2, 3)))
    inner = slice(18, -18)  # the receptive field wraps around the border
    torch.testing.assert_close(moved[..., inner, inner], features.roll((1, 2), (2, 3))[..., inner, inner])


def test_downsample_averages_cells_of_any_leading_shape():
    images = torch.rand(2, 3, 1, 8, 12)
    expected = F.avg_pool2d(images.flatten(0, 1), 4).unflatten(0, (2, 3))
    torch.testing.assert_close(downsample(images, 4), expected)


def test_down_and_up_again_does_not_shift():
    """The centre of mass of a blob stays where it was, to a hundredth of a pixel."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    blob = torch.exp(-((y - 30.3) ** 2 + (x - 33.7) ** 2) / 80)
    again = F.interpolate(downsample(blob[None, None], 4), scale_factor=4, mode="bilinear", align_corners=False)[0, 0]
    for axis, centre in ((y, 30.3), (x, 33.7)):
        assert (again * axis).sum() / again.sum() == pytest.approx(centre, abs=0.01)


def test_a_frame_is_reconstructed_from_its_moved_copy():
    """With features that name positions, each cell takes its colour from where it went."""
    names = F.normalize(torch.randn(1, 64, 8, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    colours = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    full = colours.repeat_interleave(4, 2).repeat_interleave(4, 3)
    reconstruction = reconstruct(names, names.roll(1, 3)[:, None], full.roll(4, 3)[:, None], radius=2, temperature=0.01)
    torch.testing.assert_close(
        downsample(reconstruction, 4)[..., 2:-2],
        downsample(F.interpolate(colours, scale_factor=4, mode="bilinear"), 4)[..., 2:-2],
        atol=1e-3,
        rtol=0,
    )


def test_lab_patches_are_the_neighbourhood_of_each_cell():
    encoder = LabPatches()
    assert list(encoder.parameters()) == []
    lab = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0)) - 0.5
    features, cells = encoder(lab), F.avg_pool2d(lab, 4)
    assert features.shape == (1, 27, 5, 6)
    patch = cells[0, :, 1:4, 2:5].flatten()
    torch.testing.assert_close(features[0, :, 2, 3], patch / patch.norm())
