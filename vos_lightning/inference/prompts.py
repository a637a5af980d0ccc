"""Masks that are given for a video, by frame."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from vos_lightning.errors import MaskError
from vos_lightning.ids import given_objects
from vos_lightning.io.mask_reader import MaskReader, fit_mask
from vos_lightning.io.terminal import printable

Mask = np.ndarray | Tensor | str | Path

_log = logging.getLogger(__name__)


class Prompts:
    """Masks of one video by frame; what reading a file has decided is logged.

    Attributes:
        masks: (H, W) uint8 ids by frame, void set to 0.
    """

    def __init__(self) -> None:
        self.masks: dict[int, np.ndarray] = {}
        self._reader = MaskReader()
        self._size: tuple[int, int] | None = None
        self._names: Sequence[str] = ()

    @property
    def palette(self) -> bytes:
        """See `MaskReader.palette`."""
        return self._reader.palette

    def belong_to(self, size: tuple[int, int], names: Sequence[str] = ()) -> None:
        """The masks, those to come as well, are of a video of this size and these names of frames: they take its size.

        Raises:
            MaskError: one of another shape.
        """
        self._size, self._names = size, names
        self.masks = {t: self._fitted(mask, f"the mask of frame {t}") for t, mask in self.masks.items()}

    def put(self, t: int, mask: Mask) -> None:
        """Add a mask, over what was given for its frame before.

        Raises:
            MaskError: a mask that can't be used, or an index that no frame has.
        """
        if not isinstance(t, int) or t < 0:
            raise MaskError(f"a mask was given for frame {t!r}; expected the index of a frame, 0 or more")
        top = self._fitted(*self._read(t, mask))
        if t in self.masks and self.masks[t].shape == top.shape:
            top = np.where(top == 0, self.masks[t], top)
        self.masks[t] = top

    def _read(self, t: int, mask: Mask) -> tuple[np.ndarray, str]:
        """Ids, and how to call their mask."""
        if not isinstance(mask, str | Path):
            return as_ids(mask), f"the mask of frame {t}"
        name = self._names[t] if t < len(self._names) else None
        ids = as_ids(self._reader.read(mask, name), f"the mask {mask}")
        for note in self._reader.notes:
            _log.warning("%s", printable(note))
        self._reader.notes.clear()
        return ids, str(mask)

    def _fitted(self, mask: np.ndarray, name: str) -> np.ndarray:
        if self._size is None or mask.shape == self._size:
            return mask
        fitted = fit_mask(mask, self._size)
        sizes = (f"{width}×{height}" for height, width in (mask.shape, fitted.shape))
        _log.warning("%s: scaled from %s to %s, nearest neighbour", printable(name), *sizes)
        return fitted


def as_ids(mask: np.ndarray | Tensor, name: str = "the mask") -> np.ndarray:
    """(H, W) uint8 ids of an array or a tensor, void set to 0.

    Raises:
        MaskError: not two-dimensional, ids outside of 0…255 or not whole, no object.
    """
    array = np.asarray(mask)
    if array.ndim != 2:
        raise MaskError(f"{name} has shape {array.shape}; expected integer ids (H, W)")
    ids = np.unique(array)
    if not np.isin(ids, np.arange(256)).all():
        raise MaskError(f"{name} holds {ids[0]}…{ids[-1]}; expected whole ids from 0 to 255")
    array = given_objects(array.astype(np.uint8))
    if not array.any():
        raise MaskError(f"{name} holds no object: every pixel is 0")
    return array
