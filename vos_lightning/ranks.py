"""What the processes of a run tell one another."""

import json
import time
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

import torch.distributed as dist

from vos_lightning.errors import VOSError

T = TypeVar("T")

_calls = count()


class AllRanksError(VOSError):
    """An error that all ranks raise alike; the first one reports it."""


def gather(value: T) -> list[T]:
    """The value of each rank, in their order; all of them have to ask."""
    values = [value]
    if dist.is_available() and dist.is_initialized():
        values *= dist.get_world_size()
        dist.all_gather_object(values, value)
    return values


def gather_soon(value: Any, seconds: float) -> list[Any]:  # noqa: ANN401
    """As `gather`, for values that JSON can hold, and without waiting for the half hour of a collective.

    Args:
        value: of this rank.
        seconds: to wait for the others at most.

    Raises:
        AllRanksError: a rank doesn't answer in time.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    # the key-value store that the ranks found one another by
    store, call, size = dist.distributed_c10d._get_default_store(), next(_calls), dist.get_world_size()
    keys = [f"vos_lightning/{call}/{rank}" for rank in range(size)]
    deadline = time.monotonic() + seconds
    values = []
    try:
        store.set(keys[dist.get_rank()], json.dumps(value))
        for key in keys:
            store.wait([key], timedelta(seconds=max(0.1, deadline - time.monotonic())))
            values.append(json.loads(store.get(key)))
    except RuntimeError as error:
        raise AllRanksError(
            f"rank {len(values)} of {size} gives no answer for {seconds:.0f} seconds: see what it printed, and start "
            "all of them again"
        ) from error
    return values


def raise_together(reason: str | None) -> None:
    """Raise on all ranks what one or more of them have found; None has found nothing.

    Raises:
        AllRanksError: with the different reasons.
    """
    reasons = [one for one in gather(reason) if one is not None]
    if reasons:
        raise AllRanksError("; ".join(dict.fromkeys(reasons)))
