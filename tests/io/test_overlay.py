import numpy as np
import pytest

from vos_lightning.errors import MaskError
from vos_lightning.io.overlay import overlay
from vos_lightning.io.palette import VIVID_PALETTE


def _slow(frame, mask, palette, alpha):
    height, width = mask.shape
    drawn = frame.copy()
    for y in range(height):
        for x in range(width):
            index = int(mask[y, x])
            if not index:
                continue
            colour = np.array(list(palette[3 * index : 3 * index + 3]))
            neighbours = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            line = any(0 <= v < height and 0 <= u < width and mask[v, u] != index for v, u in neighbours)
            drawn[y, x] = colour if line else np.rint(frame[y, x] * (1 - alpha) + colour * alpha)
    return drawn


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_equals_the_slow_way(alpha):
    generator = np.random.default_rng(0)
    frame = generator.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    mask = generator.choice([0, 1, 5, 255], (6, 8)).astype(np.uint8).repeat(4, 0).repeat(4, 1)[:, :31]
    before = frame.copy()
    np.testing.assert_array_equal(overlay(frame, mask, alpha), _slow(frame, mask, VIVID_PALETTE, alpha))
    np.testing.assert_array_equal(frame, before)


def test_colours_are_saturated_and_those_of_the_first_ids_far_apart():
    colours = np.frombuffer(VIVID_PALETTE, np.uint8).reshape(256, 3).astype(int)
    assert (colours.max(1) == 255).all()
    assert (colours.min(1) == 0).all()  # neither white nor grey, 255 included
    distances = np.abs(colours[1:9, None] - colours[None, 1:9]).sum(-1)
    assert distances[~np.eye(8, dtype=bool)].min() > 90


def test_background_is_untouched():
    frame = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(overlay(frame, np.zeros((9, 9), np.uint8)), frame)
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    drawn = overlay(frame, mask)
    np.testing.assert_array_equal(drawn[~mask], frame[~mask])
    colour = np.array(list(VIVID_PALETTE[3:6]))
    assert (drawn[3, 3] == colour).all()
    assert (drawn[4, 4] == np.rint(frame[4, 4] * 0.5 + colour * 0.5)).all()


def test_full_mask_has_no_line():
    drawn = overlay(np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8))
    assert (drawn == np.rint(np.array(list(VIVID_PALETTE[3:6])) * 0.5)).all()


def test_sizes_must_agree():
    with pytest.raises(MaskError, match=r"\(4, 5\) on a frame of \(4, 4\)"):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8))
    with pytest.raises(MaskError):
        overlay(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 1), np.uint8))
