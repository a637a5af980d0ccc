"""Copies for inference."""

import pytest
import torch
from torch import nn

from vos_lightning.models.cutout_tagging import CutoutTagging
from vos_lightning.models.folding import inference_copy
from vos_lightning.models.reconstruction import ReconstructionEncoder

CPU = torch.device("cpu")


def with_statistics(network):
    """As after training: normalisations with means, variances and weights of their own."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network


def test_an_encoder_without_batch_norms_gives_the_same():
    encoder = with_statistics(ReconstructionEncoder(0.25, 16))
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    copied = inference_copy(encoder, CPU, torch.float32)
    lab = torch.rand(2, 3, 32, 40) * 2 - 1
    torch.testing.assert_close(copied(lab), encoder.eval()(lab), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules())
    assert sum(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()) == 19
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert all(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("depth", [18, 50])
def test_the_networks_of_ct_vos_too(depth):
    network = with_statistics(CutoutTagging(depth, 0.125, 8, 8, 16)).eval().double()
    copied = inference_copy(network, CPU, torch.float64)
    current, past = torch.rand(1, 3, 32, 48), torch.rand(1, 2, 3, 32, 48)
    for actual, expected in zip(copied(current, past, past), network(current, past, past), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_features_in_bfloat16_are_nearly_those_in_float32():
    encoder = with_statistics(ReconstructionEncoder(0.25, 16)).eval()
    copied = inference_copy(encoder, CPU, torch.bfloat16)
    lab = torch.rand(1, 3, 32, 40) * 2 - 1
    features = copied(lab)
    assert features.dtype == torch.float32
    assert (features * encoder(lab)).sum(1).min() > 0.999
