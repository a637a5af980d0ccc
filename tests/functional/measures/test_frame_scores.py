import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vos_lightning.functional.measures import frame_scores
from vos_lightning.functional.measures.contour import contour_accuracy
from vos_lightning.functional.measures.frame_scores import score_frame
from vos_lightning.functional.measures.region import region_similarity

ids = st.sampled_from([0, 0, 1, 2, 7, 255])
frames = st.tuples(st.integers(1, 12), st.integers(1, 70)).flatmap(
    lambda shape: st.tuples(
        arrays.arrays(np.uint8, shape, elements=ids),
        arrays.arrays(np.uint8, shape, elements=ids),
        st.none() | arrays.arrays(bool, shape),
    )
)


@given(frames)
def test_every_object_is_scored_as_if_it_were_alone(frame):
    prediction, target, void = frame
    scores = score_frame(prediction, target, (1, 2, 7), 2, void)
    tensors = [None if mask is None else torch.from_numpy(mask) for mask in frame]
    on_device = frame_scores._score_on_device(tensors[0], tensors[1], (1, 2, 7), 2, tensors[2])
    for k, object_id in enumerate((1, 2, 7)):
        alone = prediction == object_id, target == object_id
        assert scores.J[k] == region_similarity(*alone, void)
        assert scores.F[k] == contour_accuracy(*alone, 2, void)
        kept = np.ones(target.shape, bool) if void is None else ~void
        assert (scores.predicted[k], scores.given[k]) == tuple((mask & kept).any() for mask in alone)
    for ours, theirs in zip(scores, on_device, strict=True):
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((1, 2, 3), (1, 2, 3)), ((6,), (6,))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="expected equal"):
        score_frame(*(np.ones(shape, np.uint8) for shape in shapes), (1,))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("fault", ["prediction", "target"])
def test_other_types_are_refused(kind, fault):
    masks = {"prediction": np.ones((2, 3), np.uint8), "target": np.ones((2, 3), np.uint8)}
    masks[fault] = masks[fault].astype(np.float32)
    with pytest.raises(TypeError, match=f"{fault} must hold integer ids, not .*float32"):
        score_frame(kind(masks["prediction"]), kind(masks["target"]), (1,))


def test_arrays_of_any_integer_and_mixed_kinds():
    target = np.array([[0, 1], [1, 2]])
    for prediction in (target.astype(np.int64), target.astype(np.uint8), torch.from_numpy(target)):
        assert score_frame(prediction, target, (1, 2)).J.tolist() == [1.0, 1.0]
