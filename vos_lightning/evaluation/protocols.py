"""What a protocol does with the ids of masks and which frames it scores."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.ids import VOID, merged_objects, present_ids, scored_ids, without_void

Protocol: TypeAlias = Literal["davis2017", "davis2016", "youtube-vos"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

IdMask: TypeAlias = NDArray[np.uint8]


def check_protocol(protocol: str) -> Protocol:
    """Returns the name of a protocol that exists.

    Raises:
        VOSError: There is none of that name.
    """
    for known in PROTOCOLS:
        if protocol == known:
            return known
    raise VOSError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")


def target_ids(mask: IdMask, protocol: Protocol) -> IdMask:
    """Ground truth as the protocol sees it: davis2016 has one object, id 1; elsewhere 255 is void, so background."""
    return merged_objects(mask, 1) if protocol == "davis2016" else without_void(mask)


def predicted_ids(mask: IdMask, protocol: Protocol) -> IdMask:
    """Prediction as the protocol sees it."""
    return merged_objects(mask, 1) if protocol == "davis2016" else mask


def objects_of(first: IdMask, protocol: Protocol, path: object) -> list[int]:
    """Ids to score, from the first annotation of a sequence: 1 to the largest one.

    Raises:
        MaskError: It holds no object.
    """
    if ids := scored_ids(target_ids(first, protocol)):
        return ids
    if first.any():
        raise MaskError(f"{path}: the only id is 255, which is void in {protocol}; score it with --protocol davis2016")
    raise MaskError(f"{path}: the first annotation holds no object, so there is nothing to score; give its mask")


def unknown_ids(mask: IdMask, known: Collection[int]) -> list[int]:
    """Ids of a mask (H, W) that are neither 0 nor among the `known` ones, ascending."""
    if mask.max() <= len(known) == max(known):  # the known ones are 1 to N: quick to see
        return []
    return [one for one in present_ids(mask) if one not in known]


def check_known(prediction: IdMask, known: Sequence[int], path: object) -> None:
    """Checks the ids of a prediction (H, W) that was read from `path`.

    Raises:
        MaskError: It holds an id that was not given; the official code refuses it too.
    """
    if found := unknown_ids(prediction, known):
        hint = "; 255 is void and cannot be predicted" if found == [VOID] else ""
        objects = f"the annotated objects are {some(known)}"
        raise MaskError(f"{path}: holds id {some(found)}, but {objects}; keep those ids{hint}")


def some(names: Sequence[str | int], limit: int = 5) -> str:
    """Names or ids, shortened: the first few and how many there are."""
    shown = ", ".join(map(str, names[:limit]))
    return shown if len(names) <= limit else f"{shown}, … ({len(names)} in all)"
