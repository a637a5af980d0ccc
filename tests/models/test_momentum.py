"""Equation 8 against its closed form."""

import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing.spawn import spawn

from vos_lightning.models.momentum import momentum_copy, relative_distance, share_buffers, update_momentum_


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


def shared_by_two(rank, folder):
    """Give each rank other buffers, share them, and keep what there was and what there is."""
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.manual_seed(rank)
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm1d(5), nn.Identity()), nn.BatchNorm2d(2)).double()
    net[2].register_buffer("table", torch.randint(100, (2, 3, 4)).transpose(0, 2))  # several dimensions, strided
    for buffer in net.buffers():
        buffer.copy_(torch.rand_like(buffer) if buffer.is_floating_point() else torch.randint_like(buffer, 100))
    net[0].running_mean.fill_(float("nan"))
    before = [buffer.clone() for buffer in net.buffers()]
    sent = []
    broadcast = distributed.broadcast
    distributed.broadcast = lambda tensor, src: (sent.append(tensor.dtype), broadcast(tensor, src))
    share_buffers(net)
    torch.save({"before": before, "after": list(net.buffers()), "sent": len(sent)}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_all_ranks_get_the_buffers_of_the_first_by_one_broadcast_per_dtype(tmp_path):
    spawn(shared_by_two, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["sent"] == second["sent"] == 2
    assert len(first["before"]) == 10
    for before, other, after, shared in zip(
        first["before"], second["before"], first["after"], second["after"], strict=True
    ):
        assert before.dtype == after.dtype == shared.dtype
        assert torch.equal(before.nan_to_num(), after.nan_to_num())
        assert torch.equal(after.nan_to_num(), shared.nan_to_num())
        assert before.numel() < 3 or before.isnan().all() or not torch.equal(before, other)


def test_a_process_alone_shares_nothing():
    net = network()
    net(torch.randn(2, 3, 8, 8))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    share_buffers(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
