"""From a box to an outline."""

import numpy as np
import pytest

pytest.importorskip("cv2")

from tests.studio.conftest import HEIGHT, WIDTH, overlap, square_at, truth
from vos_lightning.io.frame_folder import read_frame
from vos_lightning.studio.outline import Outliner, Stroke


@pytest.fixture
def pictures(clip):
    return [read_frame(clip / f"{index:05d}.png") for index in (0, 1, 2)]


def box_with_room(room: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = square_at(0)
    return left - room, top - room, right + room, bottom + room


def outline(pictures, box, strokes=()):
    return Outliner(pictures, box).outline(strokes)


@pytest.mark.parametrize("room", [1, 4, 10])
def test_the_object_in_a_box_is_found(pictures, room):
    found = outline(pictures, box_with_room(room))
    assert overlap(found, truth(0) > 0) > 0.9


def test_one_picture_is_enough(pictures):
    assert overlap(outline(pictures[:1], box_with_room(4)), truth(0) > 0) > 0.9


def test_nothing_is_found_outside_of_the_box(pictures):
    left, top, right, bottom = box = box_with_room(2)
    found = outline(pictures, box)
    found[top:bottom, left:right] = False
    assert not found.any()


@pytest.mark.parametrize("inside", [True, False])
def test_strokes_count(pictures, inside):
    left, top, right, _ = square_at(0)
    points = tuple((float(x), top + 5.0) for x in range(left + 4, right - 4))
    wrong = not inside
    found = outline(pictures, box_with_room(4), [Stroke(points, 1.5, wrong), Stroke(points, 1.5, inside)])
    assert found[top + 5, left + 8] == inside  # the later one holds


@pytest.mark.parametrize("box", [(0, 0, WIDTH, HEIGHT), (0, 0, 4, 4), (104, 0, WIDTH, HEIGHT), (0, 30, WIDTH, 34)])
def test_any_box_gets_an_answer(pictures, box):
    assert outline(pictures, box).shape == (HEIGHT, WIDTH)


def test_a_flat_picture_gets_an_answer():
    picture = np.full((40, 60, 3), 90, np.uint8)
    assert outline([picture, picture], (10, 10, 40, 30)).shape == (40, 60)


def test_a_stroke_leaves_what_is_far_from_it(pictures):
    left, top, right, bottom = square_at(0)
    outliner = Outliner(pictures, box_with_room(4))
    before = outliner.outline()
    corner = outliner.outline([Stroke(((left - 3.0, top - 3.0),), 1.0, False)])
    assert not corner[top - 3, left - 3]
    assert overlap(corner, before) > 0.9
    assert corner[top + 10 : bottom - 6, left + 10 : right - 6].all()
