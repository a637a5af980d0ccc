"""The slow copy of a network that encodes what goes into the memory (SSVOS §3.2)."""

from collections import defaultdict
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

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
    """Give all ranks those of the first: without SyncBN each has seen other batches, and Φ_r must be one network.

    One broadcast per dtype, for there are three small buffers in every BatchNorm.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = defaultdict(list)
    for buffer in network.buffers():
        by_dtype[buffer.dtype].append(buffer)
    for buffers in by_dtype.values():
        joined = torch.cat([buffer.flatten() for buffer in buffers])
        torch.distributed.broadcast(joined, src=0)
        for buffer, values in zip(buffers, joined.split([buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(values.view_as(buffer))


@torch.no_grad()
def relative_distance(slow: nn.Module, network: nn.Module) -> Tensor:
    """‖θ_r - θ_q‖ / ‖θ_q‖ over all parameters."""
    slow_vector, vector = (parameters_to_vector(one.parameters()) for one in (slow, network))
    distance: Tensor = (slow_vector - vector).norm() / vector.norm()
    return distance
