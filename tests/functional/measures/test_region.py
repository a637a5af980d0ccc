import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vos_lightning.functional.measures import device_masks
from vos_lightning.functional.measures.region import region_similarity

masks = arrays.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=9).flatmap(
    lambda shape: st.tuples(*[arrays.arrays(bool, shape)] * 3)
)


def definition(prediction, target, void):
    """Intersection over union by going through all pixels."""
    intersection = union = 0
    for y in range(target.shape[0]):
        for x in range(target.shape[1]):
            if not void[y, x]:
                intersection += prediction[y, x] and target[y, x]
                union += prediction[y, x] or target[y, x]
    return intersection / union if union else 1.0


@given(masks)
def test_equals_the_definition(given_masks):
    prediction, target, void = given_masks
    similarity = region_similarity(prediction, target, void)
    assert similarity.shape == target.shape[:-2]
    for index in np.ndindex(target.shape[:-2]):
        assert similarity[index] == definition(prediction[index], target[index], void[index])


@given(masks)
def test_tensors_give_the_numbers_of_arrays(given_masks):
    prediction, target, void = given_masks
    expected = region_similarity(prediction, target, void)
    tensors = [torch.from_numpy(mask.copy()) for mask in given_masks]
    for found in (region_similarity(*tensors), device_masks.region_similarity(*tensors)):
        assert isinstance(found, torch.Tensor)
        assert found.dtype == torch.float64
        assert found.numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("width", [1, 63, 64, 65, 128, 200])
def test_counts_all_columns_whatever_the_width(width):
    target = np.ones((3, width), dtype=bool)
    prediction = target.copy()
    prediction[:, -1] = False
    assert region_similarity(prediction, target) == pytest.approx((width - 1) / width)


def test_empty_masks():
    empty, full = np.zeros((4, 5), dtype=bool), np.ones((4, 5), dtype=bool)
    assert region_similarity(empty, empty) == 1.0
    assert region_similarity(empty, full) == region_similarity(full, empty) == 0.0
    assert region_similarity(np.zeros((0, 4, 5), dtype=bool), np.zeros((0, 4, 5), dtype=bool)).shape == (0,)


def test_void_is_in_neither_mask():
    prediction, target = np.array([[True, True, False]]), np.array([[True, False, True]])
    void = np.array([[False, True, False]])
    assert region_similarity(prediction, target) == pytest.approx(1 / 3)
    assert region_similarity(prediction, target, void) == 0.5


@pytest.mark.parametrize(
    ("prediction", "target", "error", "message"),
    [
        (np.ones((2, 2)), np.ones((2, 2), dtype=bool), TypeError, "prediction must be a bool"),
        (np.ones((2, 2), dtype=bool), np.ones((2, 2), dtype=np.uint8), TypeError, "target must be a bool"),
        (np.ones((2, 2), dtype=bool), torch.ones(2, 2, dtype=torch.bool), TypeError, "all arrays or all tensors"),
        (np.ones((2, 2), dtype=bool), np.ones((2, 3), dtype=bool), ValueError, r"target has shape \(2, 3\)"),
        (np.ones(2, dtype=bool), np.ones(2, dtype=bool), ValueError, "must be"),
        (np.ones((0, 2), dtype=bool), np.ones((0, 2), dtype=bool), ValueError, "at least one pixel"),
        ([[True]], [[True]], TypeError, "prediction must be a bool"),
    ],
)
def test_nonsense_is_refused(prediction, target, error, message):
    with pytest.raises(error, match=message):
        region_similarity(prediction, target)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_accelerator_gives_the_numbers_of_the_host():
    generator = torch.Generator().manual_seed(0)
    prediction, target, void = (torch.rand(3, 2, 60, 71, generator=generator) < 0.5 for _ in range(3))
    found = region_similarity(prediction.cuda(), target.cuda(), void.cuda())
    assert found.is_cuda
    assert torch.equal(found.cpu(), region_similarity(prediction, target, void))
