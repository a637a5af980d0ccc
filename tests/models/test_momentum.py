"""Equation 8 against its closed form."""

import torch
from torch import nn

from vos_lightning.models.momentum import momentum_copy, relative_distance, update_momentum_


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def test_the_copy_is_equal_frozen_and_its_own():
    net = network()
    slow = momentum_copy(net)
    assert all(torch.equal(a, b) for a, b in zip(slow.state_dict().values(), net.state_dict().values(), strict=True))
    assert not any(p.requires_grad for p in slow.parameters())
    assert not slow.training
    with torch.no_grad():
        net[0].weight.add_(1)
    assert not torch.equal(slow[0].weight, net[0].weight)


def test_n_steps_are_the_closed_form_for_parameters_and_statistics():
    """θ_r(n) = mⁿ·θ(0) + (1 - m)·Σ mⁿ⁻¹⁻ⁱ·θ(i + 1)."""
    net, m, steps = network().double(), 0.9, 7
    slow = momentum_copy(net)
    states = [{k: v.clone() for k, v in net.state_dict().items()}]
    for _ in range(steps):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p))
        net(torch.randn(2, 3, 8, 8, dtype=torch.float64))  # moves the running statistics
        states.append({k: v.clone() for k, v in net.state_dict().items()})
        update_momentum_(slow, net, m)
    for name, value in slow.state_dict().items():
        if not value.is_floating_point():
            assert value == states[-1][name] == steps
            continue
        expected = m**steps * states[0][name]
        expected += (1 - m) * sum(m ** (steps - 1 - i) * states[i + 1][name] for i in range(steps))
        torch.testing.assert_close(value, expected)


def test_distance_is_relative_and_over_all_parameters():
    net = network()
    slow = momentum_copy(net)
    assert relative_distance(slow, net) == 0
    with torch.no_grad():
        for p in slow.parameters():
            p.mul_(1.5)
    torch.testing.assert_close(relative_distance(slow, net), torch.tensor(0.5))
