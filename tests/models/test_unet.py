"""The adapter's network."""

import pytest
import torch

from vos_lightning.models.unet import UNet


@pytest.mark.parametrize(("size", "classes"), [((64, 64), 2), ((32, 96), 9)])
def test_outputs_have_the_size_of_the_input(size, classes):
    assert UNet(classes, width=0.125)(torch.zeros(2, 3, *size)).shape == (2, classes, *size)


def test_at_full_width_the_encoder_is_resnet_18():
    """11.7 million parameters less the classifier's 0.5 million."""
    network = UNet(2)
    encoder = [*network.stem.parameters(), *network.stages.parameters()]
    assert sum(parameter.numel() for parameter in encoder) == 11_176_512


def test_every_parameter_learns():
    network = UNet(3, width=0.125)
    network(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())


def test_details_reach_the_output_through_the_skips():
    network = UNet(2, width=0.125).eval()
    frames = torch.rand(1, 3, 64, 64)
    changed = frames.clone()
    changed[..., 0, 0] += 1
    difference = (network(frames) - network(changed)).abs().sum(1)[0]
    assert difference[0, 0] > 0


def test_outputs_of_known_classes_stay_when_others_come():
    network = UNet(2, width=0.125).eval()
    frames = torch.rand(1, 3, 32, 32)
    before = network(frames)
    network.add_classes(3)
    after = network(frames)
    assert after.shape[1] == 5
    assert torch.allclose(after[:, :2], before, atol=1e-5)
