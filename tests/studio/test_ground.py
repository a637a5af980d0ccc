"""What other frames say of the ground."""

import numpy as np
import pytest

pytest.importorskip("cv2")

import cv2

from vos_lightning.studio.ground import difference, homographies, own_motion, view

SIZE = 120, 160
BOX = (60, 40, 100, 80)


@pytest.fixture
def ground():
    noise = np.random.default_rng(0).integers(0, 256, (180, 220, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3.0)


@pytest.fixture
def pictures(ground):
    """A camera that moves by (3, 2) pixels per frame, and a red object that moves by (5, 0) in its picture."""
    frames = []
    for index in range(4):
        frame = ground[2 * index : 2 * index + SIZE[0], 3 * index : 3 * index + SIZE[1]].copy()
        frame[45:75, 65 + 5 * index : 95 + 5 * index] = (220, 20, 20)
        frames.append(frame)
    return frames


def views(pictures, size=(80, 60), scale=0.5):
    return [view(one, to, (0, 0), scale, size) for one, to in zip(pictures, homographies(pictures, BOX), strict=True)]


def test_the_ground_is_followed(pictures):
    found = homographies(pictures, BOX)
    for index, to in enumerate(found):
        moved = to @ np.array([30.0, 30.0, 1.0])
        np.testing.assert_allclose(moved[:2] / moved[2], [30 - 3 * index, 30 - 2 * index], atol=1)


def test_a_view_shows_the_part_at_its_scale(pictures):
    part = view(pictures[0], np.eye(3), (40, 20), 1.0, (50, 60))
    assert np.array_equal(part.rgb, pictures[0][20:80, 40:90])
    assert part.seen.all()


def test_a_view_knows_what_its_frame_does_not_show(pictures):
    shift = np.array([[1.0, 0, -10], [0, 1, 0], [0, 0, 1]])
    part = view(pictures[0], shift, (0, 0), 1.0, SIZE[::-1])
    assert not part.seen[:, :10].any()
    assert part.seen[:, 10:].all()


def test_what_left_its_place_is_unlike_the_ground(pictures):
    ground = np.ones((60, 80), bool)
    ground[20:40, 30:50] = False
    median = difference(views(pictures), ground)[1]
    assert median[25:35, 34:39].min() > 0.6
    assert np.median(median[ground]) < 0.5


def test_without_other_frames_nothing_is_unlike(pictures):
    for one in difference(views(pictures[:1]), np.ones((60, 80), bool)):
        assert not one.any()


def test_the_camera_moves_nothing(pictures):
    crops = views(pictures[:2], SIZE[::-1], 1.0)
    ground = np.ones(SIZE, bool)
    ground[40:80, 60:100] = False
    own = np.linalg.norm(own_motion(crops[0].rgb, crops[1].rgb, ground), axis=-1)
    assert np.median(own[ground]) < 0.3
    assert np.median(own[50:70, 70:90]) > 2  # by (8, 2) px
