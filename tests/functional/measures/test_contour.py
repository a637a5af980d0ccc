import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vos_lightning.functional.measures import device_masks
from vos_lightning.functional.measures.contour import contour_accuracy, tolerance


def boundary_pixels(mask):
    """Pixels that differ from the east, south or south-east one; in the last row and column only from what is there."""
    height, width = mask.shape
    found = []
    for y in range(height):
        for x in range(width):
            neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
            if any(v < height and u < width and mask[v, u] != mask[y, x] for v, u in neighbours):
                found.append((y, x))
    return found


def definition(prediction, target, radius, void=None):
    """Contour accuracy by measuring the distance of every pair of boundary pixels."""
    if void is not None:
        prediction, target = prediction & ~void, target & ~void
    ours, theirs = boundary_pixels(prediction), boundary_pixels(target)
    if not ours or not theirs:
        return float(len(ours) == len(theirs))

    def share(pixels, others):
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in pixels]
        return sum(near) / len(near)

    precision, recall = share(ours, theirs), share(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def sparse(shape):
    """Masks of a few rectangles: 1-pixel objects, full frames and contact with the border come by themselves."""
    height, width = shape
    box = st.tuples(st.integers(0, height), st.integers(0, height), st.integers(0, width), st.integers(0, width))

    def draw(boxes):
        mask = np.zeros(shape, dtype=bool)
        for top, bottom, left, right in boxes:
            mask[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] ^= True
        return mask

    return st.lists(box, max_size=3).map(draw)


def pairs(kinds):
    shapes = st.tuples(st.integers(1, 14), st.integers(1, 14))
    return shapes.flatmap(lambda shape: st.tuples(*[kind(shape) for kind in kinds]))


def noise(shape):
    return arrays.arrays(bool, shape)


def one_pixel(shape, y, x):
    mask = np.zeros(shape, dtype=bool)
    mask[y, x] = True
    return mask


@settings(max_examples=300)
@given(pairs([sparse, sparse]) | pairs([noise, sparse]) | pairs([noise, noise]), st.integers(0, 6))
@example((one_pixel((9, 9), 4, 4), one_pixel((9, 9), 4, 6)), 1)
@example((one_pixel((9, 9), 8, 8), one_pixel((9, 9), 0, 0)), 3)
@example((np.ones((5, 7), dtype=bool), np.zeros((5, 7), dtype=bool)), 1)
@example((np.ones((5, 7), dtype=bool), one_pixel((5, 7), 2, 2)), 2)
@example((np.ones((1, 1), dtype=bool), np.zeros((1, 1), dtype=bool)), 1)
def test_equals_the_definition(masks, radius):
    prediction, target = masks
    expected = definition(prediction, target, radius)
    assert contour_accuracy(prediction, target, bound_th=radius) == expected
    tensors = torch.from_numpy(prediction), torch.from_numpy(target)
    assert contour_accuracy(*tensors, bound_th=radius).item() == expected
    assert device_masks.contour_accuracy(*tensors, radius=radius).item() == expected


@given(pairs([noise, sparse, noise]), st.integers(0, 3))
def test_void_is_in_neither_mask(masks, radius):
    prediction, target, void = masks
    expected = definition(prediction, target, radius, void)
    assert contour_accuracy(prediction, target, radius, void) == expected
    tensors = [torch.from_numpy(mask) for mask in masks]
    assert device_masks.contour_accuracy(tensors[0], tensors[1], radius, tensors[2]).item() == expected


@given(
    st.integers(55, 140), st.integers(1, 6), st.lists(st.integers(0, 139), min_size=1), st.integers(0, 139), st.data()
)
def test_equals_the_definition_across_words(width, height, columns, column, data):
    prediction, target = np.zeros((height, width), dtype=bool), np.zeros((height, width), dtype=bool)
    prediction[-1, [x % width for x in columns]] = True
    target[0, column % width :] = True
    radius = data.draw(st.integers(1, 80))
    assert contour_accuracy(prediction, target, radius) == definition(prediction, target, radius)


def test_leading_dimensions_are_scored_one_by_one():
    random = np.random.default_rng(0)
    prediction, target = random.random((2, 2, 3, 12, 13)) < 0.1
    found = contour_accuracy(prediction, target, 2)
    assert found.shape == (2, 3)
    for index in np.ndindex(2, 3):
        assert found[index] == definition(prediction[index], target[index], 2)
    on_device = device_masks.contour_accuracy(torch.from_numpy(prediction), torch.from_numpy(target), 2)
    assert on_device.tolist() == found.tolist()


def test_identical_masks_score_one_and_the_rest_is_symmetric():
    random = np.random.default_rng(1)
    one, other = random.random((2, 20, 30)) < 0.2
    assert contour_accuracy(one, one) == 1.0
    assert contour_accuracy(one, other, 1) == pytest.approx(float(contour_accuracy(other, one, 1)), abs=1e-15)


@pytest.mark.parametrize(
    ("height", "width", "bound_th", "radius"),
    [
        (480, 854, 0.008, 8),
        (480, 910, 0.008, 9),
        (480, 640, 0.008, 7),
        (1080, 1920, 0.008, 18),
        (300, 400, 0.008, 4),
        (10, 10, 0, 0),
        (10, 10, 1, 1),
        (10, 10, 12, 12),
        (10, 10, 25, 15),
        (10, 10, 10**300, 15),
    ],
)
def test_tolerance(height, width, bound_th, radius):
    assert tolerance(height, width, bound_th) == radius
    if 0 < bound_th < 1:
        assert radius == math.ceil(bound_th * math.dist((0, 0), (height, width)))


def test_a_tolerance_beyond_the_diagonal_finds_everything():
    first, last = one_pixel((9, 9), 1, 1), one_pixel((9, 9), 7, 7)
    tensors = torch.from_numpy(first), torch.from_numpy(last)
    radius = tolerance(9, 9, 1e12)
    assert contour_accuracy(first, last, 1e12) == definition(first, last, 13) == 1.0
    assert device_masks.contour_accuracy(*tensors, radius=radius) == 1.0


@pytest.mark.parametrize("bound_th", [-0.1, 1.5, -3, math.inf, -math.inf, math.nan])
def test_tolerance_refuses_nonsense(bound_th):
    with pytest.raises(ValueError, match="bound_th must be"):
        contour_accuracy(np.ones((2, 2), dtype=bool), np.ones((2, 2), dtype=bool), bound_th)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_accelerator_gives_the_numbers_of_the_host():
    generator = torch.Generator().manual_seed(0)
    prediction, target = (torch.rand(4, 120, 213, generator=generator) < 0.01 for _ in range(2))
    found = contour_accuracy(prediction.cuda(), target.cuda())
    assert found.is_cuda
    assert torch.equal(found.cpu(), contour_accuracy(prediction, target))
