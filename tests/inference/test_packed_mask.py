"""Masks that are kept compressed."""

import numpy as np

from vos_lightning.inference.packed_mask import PackedMask


def test_packed_masks_come_back_as_they_were():
    ids = np.random.default_rng(0).integers(0, 256, (31, 17)).astype(np.uint8)
    assert np.array_equal(PackedMask(ids).ids(), ids)
    assert np.array_equal(PackedMask(ids[:, ::2]).ids(), ids[:, ::2])
