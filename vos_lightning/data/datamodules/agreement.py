"""Whether all ranks of a run see the same data: where they differ, they would wait for one another for ever."""

import hashlib
import json
import platform
from collections.abc import Mapping

import torch.distributed as dist

from vos_lightning.errors import VOSError
from vos_lightning.ranks import AllRanksError, gather_soon

# for ranks that are past the same barrier, and differ by reading their lists of files
_PATIENCE = 120.0

# by kind ("training videos"), names with what else has to be equal, in order
Listings = Mapping[str, Mapping[str, str]]


def distributed() -> bool:
    """Whether there are other ranks."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def check_agreement(listings: Listings, fault: VOSError | None) -> None:
    """Compare what the ranks have found.

    Args:
        listings: of this rank.
        fault: why there are none.

    Raises:
        AllRanksError: the ranks differ, one of them can't go on, or one gives no answer; all raise alike.
        VOSError: the fault, of a process without others.
    """
    if not distributed():
        if fault is not None:
            raise fault
        return
    content = json.dumps({kind: list(listing.items()) for kind, listing in listings.items()})
    state = {
        "host": platform.node(),
        "fault": None if fault is None else str(fault),
        "digest": hashlib.sha256(content.encode()).hexdigest(),
    }
    states = gather_soon(state, _PATIENCE)
    places = [f"rank {rank} on {one['host']}" for rank, one in enumerate(states)]
    faults = [f"{place}: {one['fault']}" for place, one in zip(places, states, strict=True) if one["fault"] is not None]
    if faults:
        raise AllRanksError("; ".join(faults))
    if len({one["digest"] for one in states}) == 1:
        return
    first = gather_soon(content if dist.get_rank() == 0 else None, _PATIENCE)[0]
    own = differences(listings, {kind: dict(rows) for kind, rows in json.loads(first).items()})
    told = zip(places, gather_soon(own, _PATIENCE), strict=True)
    raise AllRanksError(
        f"the ranks of this run see different data. {'; '.join(f'{place} {text}' for place, text in told if text)} "
        f"({places[0]} is compared with). Give all machines the same files and options"
    )


def differences(own: Listings, first: Listings) -> str:
    """What sets a rank's listings apart from those of the first one; empty if nothing does.

    >>> differences({"videos": {"a": "3 frames", "c": "4"}}, {"videos": {"a": "9 frames", "b": "4"}})
    'lacks b of the 2 videos, has c besides, has a with 3 frames instead of 9 frames'
    """
    found = []
    for kind in first:
        here, there = own.get(kind, {}), first[kind]
        if lacking := [name for name in there if name not in here]:
            found.append(f"lacks {_some(lacking)} of the {len(there)} {kind}")
        if more := [name for name in here if name not in there]:
            found.append(f"has {_some(more)} besides")
        if changed := [name for name in here if name in there and here[name] != there[name]]:
            name = changed[0]
            others = f" and {len(changed) - 1} more that differ" if len(changed) > 1 else ""
            found.append(f"has {name} with {here[name]} instead of {there[name]}{others}")
        if not (lacking or more or changed) and list(here) != list(there):
            found.append(f"has the {kind} in another order")
    return ", ".join(found)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
