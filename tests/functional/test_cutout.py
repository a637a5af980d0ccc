"""Cutouts: their area, place and shape against slow geometry; the loss against a loop over pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vos_lightning.functional.cutout import cutout_masks, erase

SHAPES = ["square", "rectangle", "circle", "triangle"]
SEEDS = torch.arange(60)


def bounds(mask: torch.Tensor) -> tuple[int, int]:
    """Height and width of what is True."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    return int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)


@pytest.mark.parametrize("shape", SHAPES)
@given(
    seed=st.integers(0, 2**62),
    height=st.integers(4, 70),
    width=st.integers(4, 70),
    side=st.floats(0.3, 0.7071),
)
def test_at_least_half_of_the_image_remains(shape, seed, height, width, side):
    if side * min(height, width) < 1:
        return
    mask = cutout_masks(torch.tensor([seed]), (height, width), shape, side)
    assert mask.shape == (1, height, width)
    assert mask.sum() <= height * width / 2
    assert mask.sum() <= (side * min(height, width)) ** 2 + 1e-2


@pytest.mark.parametrize("shape", SHAPES)
def test_all_shapes_have_the_area_of_the_square_on_either_kind_of_frame(shape):
    for size in ((128, 128), (96, 160)):
        area = cutout_masks(SEEDS, size, shape).sum((1, 2)) / (0.5 * min(size)) ** 2
        assert area.min() > 0.9
        assert area.max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
def test_cutouts_come_everywhere_and_stay_in_the_frame(shape):
    masks = cutout_masks(torch.arange(2000), (48, 64), shape, 0.5)
    assert masks.any((1, 2)).all()
    reached = masks.any(0)  # round ones don't fill the corners, and shapes at the border not its last pixel
    assert reached[2:-2, 32].all()
    assert reached[24, 2:-2].all()
    assert shape == "circle" or reached[3:-3, 3:-3].all()


def test_a_square_is_one_to_the_pixel():
    for mask in cutout_masks(SEEDS, (96, 128), "square", 0.5):
        assert bounds(mask) == (48, 48)
        assert mask.sum() == 48 * 48


def test_a_rectangle_is_full_and_up_to_twice_as_long_as_broad():
    ratios = []
    for mask in cutout_masks(SEEDS, (128, 128), "rectangle", 0.5):
        height, width = bounds(mask)
        assert mask.sum() == height * width
        ratios.append(height / width)
    assert 0.45 < min(ratios) < 0.7
    assert 1.5 < max(ratios) < 2.2


def test_a_circle_is_the_pixels_wholly_within_its_radius():
    side, size = 0.5, (90, 100)
    radius = 45 / np.sqrt(np.pi)
    for mask in cutout_masks(SEEDS[:10], size, "circle", side):
        y, x = mask.nonzero().float().T + 0.5
        middle = [((axis.min() + axis.max()) / 2).item() for axis in (y, x)]
        for j in range(0, size[0], 3):
            for i in range(0, size[1], 3):
                distance = np.hypot(j + 0.5 - middle[0], i + 0.5 - middle[1])
                if distance < radius - 1.8:
                    assert mask[j, i]
                if distance > radius + 0.6:
                    assert not mask[j, i]


def hull_corners(mask: torch.Tensor) -> np.ndarray:
    """The three corners of a filled triangle: the pair farthest apart, and what is farthest from their line."""
    points = mask.nonzero().double().numpy()
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    a, b = np.unravel_index(distances.argmax(), distances.shape)
    edge = points[b] - points[a]
    offset = points - points[a]
    c = np.abs(edge[0] * offset[:, 1] - edge[1] * offset[:, 0]).argmax()
    return points[[a, b, c]]


def test_a_triangle_is_full_and_its_sides_differ():
    for mask in cutout_masks(SEEDS[:12], (96, 96), "triangle", 0.5):
        corners = hull_corners(mask)
        sides = sorted(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1))
        assert sides[1] / sides[0] > 1.03
        assert sides[2] / sides[1] > 1.03
        (y0, x0), (y1, x1), (y2, x2) = corners
        area = abs((y1 - y0) * (x2 - x0) - (y2 - y0) * (x1 - x0)) / 2
        assert mask.sum() == pytest.approx(area, rel=0.12)


def test_triangles_lie_all_ways():
    masks = cutout_masks(torch.arange(40), (96, 96), "triangle", 0.5)
    assert {bounds(mask)[0] > bounds(mask)[1] for mask in masks} == {True, False}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_clip_loses_the_same_in_any_batch(shape):
    masks = cutout_masks(SEEDS, (64, 64), shape)
    assert torch.equal(cutout_masks(SEEDS.flip(0), (64, 64), shape).flip(0), masks)
    assert len({mask.numpy().tobytes() for mask in masks}) > 50


@pytest.mark.parametrize("side", [0.0, 0.005, 0.72, 2.0, float("nan")])
def test_sizes_that_leave_too_little_or_take_nothing_are_refused(side):
    with pytest.raises(ValueError, match="cutout side"):
        cutout_masks(SEEDS, (64, 64), "square", side)


def test_an_unknown_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape is 'star', expected one of \('square'"):
        cutout_masks(SEEDS, (64, 64), "star")


def test_erase_empties_all_frames_and_channels_of_a_clip_alike():
    frames = torch.rand(2, 3, 3, 16, 16) + 0.1
    masks = cutout_masks(torch.tensor([5, 6]), (16, 16))
    erased = erase(frames, masks)
    for clip in range(2):
        for frame in erased[clip].flatten(0, 1):
            assert torch.equal(frame == 0, masks[clip])
    assert torch.equal(erased[~masks[:, None, None].expand_as(frames)], frames[~masks[:, None, None].expand_as(frames)])
    assert torch.equal(erase(frames[:, 0], masks), erased[:, 0])
