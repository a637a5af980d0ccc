"""The slow copy of a network that encodes what goes into the memory (SSVOS §3.2)."""

from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def momentum_copy(network: Network) -> Network:
    """An equal network that no optimizer touches: Φ_r at the start of stage 2."""
    return deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def update_momentum_(slow: nn.Module, network: nn.Module, momentum: float) -> None:
    """Eq. 8 in place: θ_r ← m·θ_r + (1 - m)·θ_q, also for the statistics of normalisations; counters are copied.

    Args:
        slow: Φ_r.
        network: Φ_q, of the same architecture.
        momentum: m in [0, 1].
    """
    state = network.state_dict()
    for name, value in slow.state_dict().items():
        if value.is_floating_point():
            value.lerp_(state[name], 1 - momentum)
        else:
            value.copy_(state[name])


def share_buffers(network: nn.Module) -> None:
    """Give all ranks those of the first: without SyncBN each has seen other batches, and Φ_r must be one network."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


@torch.no_grad()
def relative_distance(slow: nn.Module, network: nn.Module) -> Tensor:
    """‖θ_r - θ_q‖ / ‖θ_q‖ over all parameters."""
    slow_vector, vector = (torch.cat([p.flatten() for p in n.parameters()]) for n in (slow, network))
    distance: Tensor = (slow_vector - vector).norm() / vector.norm()
    return distance
