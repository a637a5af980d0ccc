"""Shapes of the trunk, and dilation as a finer sampling of the same features."""

import pytest
import torch

from vos_lightning.models.resnet import Bottleneck, ResNetTrunk, make_stage


@pytest.mark.parametrize(("depth", "channels", "blocks"), [(18, 256, [2, 2, 2]), (50, 1024, [3, 4, 6])])
def test_full_width_is_the_resnet_up_to_res4(depth, channels, blocks):
    trunk = ResNetTrunk(depth)
    assert trunk.channels == channels
    assert [len(stage) for stage in trunk.stages] == blocks
    with torch.device("meta"):
        features = ResNetTrunk(depth).eval()(torch.empty(1, 3, 64, 96))
    assert features.shape == (1, channels, 4, 6)
    # torchvision's ResNets without res5 and classifier
    expected = {18: 2_782_784, 50: 8_543_296}
    assert sum(p.numel() for p in trunk.parameters()) == expected[depth]


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize(("coarse", "fine"), [(16, 8), (8, 4), (16, 4)])
def test_a_smaller_stride_gives_the_same_features_at_more_positions(depth, coarse, fine):
    torch.manual_seed(0)
    trunk = ResNetTrunk(depth, 0.125, coarse).eval()
    dilated = ResNetTrunk(depth, 0.125, fine).eval()
    dilated.load_state_dict(trunk.state_dict())
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features, more = trunk(images), dilated(images)
    step = coarse // fine
    assert more.shape[-2:] == (64 // fine, 96 // fine)
    torch.testing.assert_close(more[..., ::step, ::step], features)


def test_a_bottleneck_strides_once_and_widens_fourfold():
    stage = make_stage(Bottleneck, 16, 8, 3, stride=2)
    assert stage(torch.rand(2, 16, 8, 12)).shape == (2, 32, 4, 6)
    assert [block.branch[0].in_channels for block in stage] == [16, 32, 32]


@pytest.mark.parametrize("options", [{"depth": 34}, {"output_stride": 32}, {"output_stride": 5}])
def test_other_trunks_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        ResNetTrunk(**options)
