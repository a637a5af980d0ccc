import pickle
import warnings

import numpy as np
import pytest
import torch
import torch.multiprocessing

from vos_lightning.functional.measures.contour import contour_accuracy
from vos_lightning.functional.measures.region import region_similarity
from vos_lightning.functional.measures.statistics import statistics
from vos_lightning.metrics import ContourAccuracy, JFMeasure, RegionSimilarity


def moving_squares(frames=6, seed=0, ids=(1, 2)):
    """Targets with an object per id, and predictions that drift away from them."""
    random = np.random.default_rng(seed)
    targets = np.zeros((frames, 40, 50), dtype=np.uint8)
    for k, object_id in enumerate(ids):
        for frame in range(frames):
            y, x = 3 + 14 * k + frame, 5 + int(random.integers(0, 20))
            targets[frame, y : y + 9, x : x + 12] = object_id
    predictions = np.stack([np.roll(target, frame, axis=1) for frame, target in enumerate(targets)])
    return predictions, targets


def expected_rows(predictions, targets, ids, frames=slice(1, -1)):
    rows = []
    for object_id in ids:
        prediction, target = predictions[frames] == object_id, targets[frames] == object_id
        rows.append(
            (statistics(region_similarity(prediction, target)), statistics(contour_accuracy(prediction, target)))
        )
    return rows


def test_measures_are_the_official_ones():
    predictions, targets = moving_squares()
    rows = expected_rows(predictions, targets, (1, 2))
    metric = JFMeasure()
    metric.update(predictions, targets, "squares")
    found = metric.compute()
    J, F = (np.mean([row[kind] for row in rows], axis=0) for kind in (0, 1))
    names = ("J", "J_recall", "J_decay", "F", "F_recall", "F_decay", "JF")
    assert [found[name].item() for name in names] == pytest.approx([*J, *F, (J[0] + F[0]) / 2])
    assert all(value.ndim == 0 and value.dtype == torch.float64 for value in found.values())


def test_region_and_contour_alone_give_the_means():
    predictions, targets = moving_squares()
    both = JFMeasure()
    both.update(predictions, targets, "squares")
    for kind, name in ((RegionSimilarity, "J"), (ContourAccuracy, "F")):
        metric = kind()
        metric.update(predictions, targets, "squares")
        assert metric.compute() == both.compute()[name]


def test_rows_of_objects():
    predictions, targets = moving_squares(ids=(1, 3))
    metric = JFMeasure()
    metric.update(predictions, targets, "späte Sequenz")
    first, second = metric.per_object()
    assert (first["sequence"], first["object"], first["frames"]) == ("späte Sequenz", 1, 4)
    assert second["object"] == 3, "ids that no target holds are no objects"
    J, F = expected_rows(predictions, targets, (3,))[0]
    assert [second[name] for name in ("J", "J_recall", "J_decay", "F", "F_recall", "F_decay")] == [*J, *F]


def test_average_is_over_objects_not_over_sequences():
    metric = JFMeasure()
    perfect = moving_squares()[1]
    metric.update(perfect, perfect, "two objects")
    one = np.where(moving_squares(seed=1)[1] == 1, 1, 0)
    metric.update(np.zeros_like(one), one, "one object, lost")
    assert metric.compute()["J"].item() == pytest.approx(2 / 3)


def test_a_sequence_counts_once():
    predictions, targets = moving_squares()
    once, twice = JFMeasure(), JFMeasure()
    other = moving_squares(seed=3)
    for metric, names in ((once, ("a", "b")), (twice, ("a", "b", "a", "a"))):
        for name in names:
            metric.update(*((predictions, targets) if name == "a" else other), name)
    assert once.compute() == twice.compute()
    assert len(twice.per_object()) == 4


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        ({"skip_last": False}, slice(1, None)),
        ({"skip_first": False}, slice(None, -1)),
        ({"skip_first": False, "skip_last": False}, slice(None)),
    ],
)
def test_which_frames_are_scored(options, frames):
    predictions, targets = moving_squares()
    metric = JFMeasure(**options)
    metric.update(predictions, targets, "squares")
    rows = expected_rows(predictions, targets, (1, 2), frames)
    assert metric.compute()["J"].item() == pytest.approx(np.mean([J.mean for J, _ in rows]))


def test_iterators_and_kinds_of_masks_are_alike():
    predictions, targets = moving_squares()
    found = []
    for convert in (
        lambda masks: masks,
        torch.from_numpy,
        iter,
        lambda masks: (torch.from_numpy(one) for one in masks),
    ):
        metric = JFMeasure()
        metric.update(convert(predictions), iter(targets), "squares")
        found.append(metric.compute())
    mixed = JFMeasure()
    mixed.update(predictions.astype(np.int64), torch.from_numpy(targets), "squares")
    assert all(one == found[0] for one in [*found, mixed.compute()])


def test_frames_without_annotation_are_not_scored():
    predictions, targets = moving_squares(frames=9)
    sparse = [target if index % 2 == 0 else None for index, target in enumerate(targets)]
    metric, dense = JFMeasure(), JFMeasure()
    metric.update(predictions, sparse, "sparse")
    dense.update(predictions[::2], targets[::2], "sparse")
    assert metric.compute() == dense.compute()


def test_void_is_background_or_removed():
    target = np.zeros((3, 10, 10), dtype=np.uint8)
    target[:, 2:6, 2:6] = 1
    target[:, 2:6, 6:8] = 255
    prediction = (target > 0).astype(np.uint8)
    for remove_void, expected in ((False, 16 / 24), (True, 1.0)):
        metric = RegionSimilarity(remove_void=remove_void)
        metric.update(prediction, target, "void")
        assert metric.compute().item() == pytest.approx(expected)


def test_255_alone_is_an_object():
    target = np.zeros((3, 8, 8), dtype=np.uint8)
    target[:, 2:6, 2:6] = 255
    metric = JFMeasure()
    metric.update(target, target, "davis 2016")
    assert [row["object"] for row in metric.per_object()] == [255]
    assert metric.compute()["JF"] == 1


def test_objects_can_be_named():
    predictions, targets = moving_squares(ids=(1, 2))
    metric = JFMeasure()
    metric.update(predictions, targets, "squares", object_ids=[2])
    assert [row["object"] for row in metric.per_object()] == [2]


@pytest.mark.parametrize("frames", [1, 2])
def test_too_short_sequences_are_left_out_with_a_warning(frames):
    predictions, targets = moving_squares(frames=frames)
    metric = JFMeasure()
    with pytest.warns(UserWarning, match="'short' is left out: no frame is left to score"):
        metric.update(predictions, targets, "short")
    assert metric.per_object() == []


def test_sequences_without_object_are_left_out_with_a_warning():
    metric = JFMeasure()
    with pytest.warns(UserWarning, match="hold no object"):
        metric.update(np.zeros((4, 5, 5), np.uint8), np.zeros((4, 5, 5), np.uint8), "empty")


def test_without_sequences_the_result_is_unknown():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.isnan(torch.stack(list(JFMeasure().compute().values()))).all()


@pytest.mark.parametrize(
    ("predictions", "targets", "message"),
    [
        (np.ones((3, 4, 4)), np.ones((4, 4, 4)), "'odd': predictions and targets differ in their number of frames"),
        (np.ones((4, 4, 4)), np.ones((4, 4, 5)), r"'odd', frame 0: prediction is \(4, 4\), target is \(4, 5\)"),
        (np.ones((4, 1, 4, 4)), np.ones((4, 1, 4, 4)), "expected equal"),
    ],
)
def test_nonsense_names_the_sequence(predictions, targets, message):
    with pytest.raises(ValueError, match=message):
        JFMeasure().update(predictions.astype(np.uint8), targets.astype(np.uint8), "odd")


def test_scores_are_no_ids():
    _, targets = moving_squares()
    with pytest.raises(TypeError, match="'odd', frame 0: prediction must hold integer ids, not float32"):
        JFMeasure().update(targets.astype(np.float32), targets, "odd")


@pytest.mark.parametrize("object_ids", [[0, 1], [1, 255], [-1]])
def test_background_and_void_are_no_objects(object_ids):
    with pytest.raises(ValueError, match=r"'odd': object_ids are from 1 on, 0 is background and 255 void"):
        JFMeasure().update(*moving_squares(), "odd", object_ids)


@pytest.mark.parametrize("metric", [JFMeasure, ContourAccuracy, RegionSimilarity])
@pytest.mark.parametrize("bound_th", [-1, 1.5, float("nan"), float("inf")])
def test_tolerances_are_checked_at_once(metric, bound_th):
    with pytest.raises(ValueError, match="bound_th must be"):
        metric(bound_th=bound_th)


def test_predicted_ids_that_are_not_scored_are_background():
    predictions, targets = moving_squares()
    found = []
    for elsewhere in (0, 9):
        metric = JFMeasure()
        metric.update(np.where(targets == 0, elsewhere, predictions), targets, "squares")
        found.append([(row["object"], row["J"], row["F"]) for row in metric.per_object()])
    assert found[0] == found[1]
    assert [row[0] for row in found[0]] == [1, 2]


@pytest.mark.parametrize("name", [None, 3, b"boat", ["boat"]])
def test_names_are_strings(name):
    with pytest.raises(TypeError, match="sequence must be the name of a sequence"):
        JFMeasure().update(*moving_squares(), name)


def test_names_must_fit():
    predictions, targets = moving_squares()
    for name in ("", "x" * 300):
        with pytest.raises(ValueError, match="1 to 256 bytes"):
            JFMeasure().update(predictions, targets, name)


def test_a_metric_can_be_reset_pickled_and_used_step_by_step():
    predictions, targets = moving_squares()
    metric = JFMeasure()
    step = metric(predictions, targets, "squares")
    assert step == metric.compute()
    assert pickle.loads(pickle.dumps(metric)).compute() == step
    assert metric.state_dict() == {}
    metric.reset()
    assert metric.per_object() == []


def test_many_frames_are_no_problem_for_the_decay():
    target = np.zeros((300, 6, 6), dtype=np.uint8)
    target[:, 2:4, 2:4] = 1
    prediction = target.copy()
    prediction[150:] = 0
    metric = JFMeasure()
    metric.update(prediction, target, "long")
    assert metric.compute()["J_decay"] == 1.0


def test_plot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    predictions, targets = moving_squares()
    for metric in (JFMeasure(), RegionSimilarity()):
        metric.update(predictions, targets, "squares")
        _, ax = metric.plot()
        assert ax.get_ylim()[0] <= 0
        metric.plot([metric.compute(), metric.compute()])


def score_on_rank(rank, file, out):
    """Two ranks share three sequences as DistributedSampler does, one coming twice; then one rank has none."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    metric, uneven = JFMeasure(), JFMeasure()
    for index in ((0, 2), (1, 0))[rank]:
        metric.update(*moving_squares(seed=index), sequence=f"sequence {index}")
    if rank == 0:
        uneven.update(*moving_squares(seed=5), sequence="the only one")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = metric.compute(), metric.per_object(), uneven.compute()
    torch.save(results, f"{out}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_give_the_result_of_one(tmp_path):
    torch.multiprocessing.spawn(score_on_rank, (tmp_path / "rendezvous", tmp_path), nprocs=2)
    alone, uneven = JFMeasure(), JFMeasure()
    for index in range(3):
        alone.update(*moving_squares(seed=index), sequence=f"sequence {index}")
    uneven.update(*moving_squares(seed=5), sequence="the only one")
    for rank in range(2):
        result, rows, of_uneven = torch.load(tmp_path / f"{rank}.pt")
        assert result == alone.compute()
        assert rows == alone.per_object()
        assert of_uneven == uneven.compute()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_accelerator_gives_the_numbers_of_the_host():
    predictions, targets = moving_squares()
    host, device = JFMeasure(), JFMeasure().cuda()
    host.update(predictions, targets, "squares")
    device.update(torch.from_numpy(predictions).cuda(), targets, "squares")
    assert {name: value.item() for name, value in device.compute().items()} == {
        name: value.item() for name, value in host.compute().items()
    }
