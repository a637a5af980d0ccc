"""What the processes of a run tell one another."""

from typing import TypeVar

import torch.distributed as dist

from vos_lightning.errors import VOSError

T = TypeVar("T")


class AllRanksError(VOSError):
    """An error that all ranks raise alike; the first one reports it."""


def gather(value: T) -> list[T]:
    """The value of each rank, in their order; all of them have to ask."""
    values = [value]
    if dist.is_available() and dist.is_initialized():
        values *= dist.get_world_size()
        dist.all_gather_object(values, value)
    return values


def raise_together(reason: str | None) -> None:
    """Raise on all ranks what one or more of them have found; None has found nothing.

    Raises:
        AllRanksError: with the different reasons.
    """
    reasons = [one for one in gather(reason) if one is not None]
    if reasons:
        raise AllRanksError("; ".join(dict.fromkeys(reasons)))
