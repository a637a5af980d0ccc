"""What is tracked from two sides is put together object by object."""

import numpy as np
import pytest

from vos_lightning.inference.directions import Seen, merge_directions


def side(uncertainty, **rows):
    """Objects that fill a row each: ids in the order of rows."""
    ids = np.zeros((4, 5), np.uint8)
    for name, row in rows.items():
        ids[row] = int(name.removeprefix("id"))
    return Seen(ids, uncertainty)


@pytest.mark.parametrize(
    ("way", "doubts", "expected"),
    [
        (0.4, (0.3, 0.3), 0),
        (0.6, (0.3, 0.3), 2),
        (0.4, (0.45, 0.3), 2),  # 0.6 - 0.9 < 0.4 - 0.6
        (0.4, (0.35, 0.3), 0),
        (0.9, (0.1, 0.55), 0),
    ],
)
def test_each_object_comes_from_the_side_that_is_nearer_or_surer(way, doubts, expected):
    merged = merge_directions(side({7: doubts[0]}, id7=0), side({7: doubts[1]}, id7=2), way)
    assert np.array_equal(np.flatnonzero(merged.ids.any(1)), [expected])
    assert merged.uncertainty == {7: doubts[0 if expected == 0 else 1]}


def test_objects_are_taken_from_either_side_and_the_more_trusted_lies_above():
    forward = side({1: 0.1, 255: 0.8, 9: 0.2}, id1=0, id255=1, id9=3)
    backward = side({1: 0.9, 255: 0.1, 4: 0.7}, id1=1, id255=0, id4=3)
    merged = merge_directions(forward, backward, 0.5)
    # object 1 as forward sees it, 255 as backward does, both in row 0; 9 and 4 are known to one side each
    assert merged.ids[:, 0].tolist() == [255, 0, 0, 9]
    assert merged.uncertainty == {1: 0.1, 255: 0.1, 9: 0.2, 4: 0.7}


def test_an_object_that_a_side_has_lost_is_left_to_the_other():
    lost, found = side({3: 1.0}), side({3: 0.6}, id3=2)
    assert (merge_directions(lost, found, 0.2).ids == found.ids).all()
