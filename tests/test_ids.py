"""One rule for what is an object, for arrays and tensors."""

import numpy as np
import pytest
import torch

from vos_lightning.ids import given_objects, merged_objects, present_ids, scored_ids, without_void

kinds = pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])


def mask(values):
    return np.array([values], dtype=np.uint8)


@kinds
@pytest.mark.parametrize(
    ("values", "present", "dataset", "given", "scored"),
    [
        ([9, 0, 2, 2], [2, 9], [9, 0, 2, 2], [9, 0, 2, 2], list(range(1, 10))),
        ([0, 1, 7, 255], [1, 7, 255], [0, 1, 7, 0], [0, 1, 7, 0], list(range(1, 8))),
        ([0, 255], [255], [0, 0], [0, 255], [255]),
        ([255, 255], [255], [0, 0], [255, 255], [255]),
        ([0, 0], [], [0, 0], [0, 0], []),
    ],
)
def test_255_is_void_beside_other_ids_and_an_object_alone(kind, values, present, dataset, given, scored):
    ids = kind(mask(values))
    assert present_ids(ids) == present
    assert scored_ids(ids) == scored
    for rule, expected in ((without_void, dataset), (given_objects, given)):
        found = rule(ids)
        assert found.tolist() == [expected]
        assert found.dtype == ids.dtype
    assert ids.tolist() == [values]


@kinds
def test_a_bool_mask_holds_the_object_1(kind):
    ids = kind(np.array([[True, False]]))
    assert present_ids(ids) == scored_ids(ids) == [1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_all_labels_merge_to_one_object(dtype):
    ids = mask([0, 1, 7, 255]).astype(dtype)
    assert merged_objects(ids).tolist() == [[0, 255, 255, 255]]
    assert merged_objects(ids, 1).tolist() == [[0, 1, 1, 1]]
    assert merged_objects(ids).dtype == np.uint8
