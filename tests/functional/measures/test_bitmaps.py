import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vos_lightning.functional.measures.bitmaps import boundary, content, count, dilate, disk_rows, pack, widening_steps

masks = st.tuples(st.integers(1, 7), st.integers(1, 150)).flatmap(lambda shape: arrays.arrays(bool, shape))


def unpack(words, width):
    bits = np.unpackbits(words.T.copy().view(np.uint8), axis=-1, bitorder="little")
    return bits[:, :width].astype(bool)


@given(masks)
def test_packing_keeps_every_pixel(mask):
    words = pack(mask)
    assert words.shape == (-(-mask.shape[1] // 64), mask.shape[0])
    assert np.array_equal(unpack(words, mask.shape[1]), mask)
    assert count(words) == mask.sum(), "the bits past the last column are zero"


def test_packing_of_several_masks():
    random = np.random.default_rng(0).random((2, 3, 5, 70)) < 0.5
    assert np.array_equal(pack(random)[1, 2], pack(random[1, 2]))


@given(masks, st.integers(0, 90))
def test_dilation_is_that_by_a_disk(mask, radius):
    ys, xs = np.nonzero(mask)
    grid_y, grid_x = np.indices(mask.shape)
    expected = np.zeros(mask.shape, bool)
    for y, x in zip(ys, xs, strict=True):
        expected |= (grid_y - y) ** 2 + (grid_x - x) ** 2 <= radius**2
    assert np.array_equal(unpack(dilate(pack(mask), radius), mask.shape[1]), expected)


@given(st.integers(0, 300), st.integers(0, 300))
def test_steps_add_up_and_leave_no_gap(start, more):
    reached = start
    for step in widening_steps(start, start + more):
        assert 0 < step <= min(reached + 1, 63)
        reached += step
    assert reached == start + more


@pytest.mark.parametrize("radius", [0, 1, 7, 8, 18])
def test_rows_of_the_disk(radius):
    for y, half_width in disk_rows(radius):
        assert half_width**2 + y**2 <= radius**2 < (half_width + 1) ** 2 + y**2


def test_content_has_a_margin_within_the_image():
    mask = np.zeros((40, 300), bool)
    mask[10:12, 130] = True
    assert content(pack(mask)) == (slice(1, 4), slice(9, 13))
    mask[0, 0] = True
    assert content(pack(mask)) == (slice(0, 4), slice(0, 13))


def test_the_image_border_is_no_boundary():
    assert count(boundary(pack(np.ones((5, 64), bool)), 64)) == 0
    assert count(boundary(pack(np.ones((5, 70), bool)), 70)) == 0
