"""The numbers of the official davis2017-evaluation, on real masks."""

import json

import pytest

from vos_lightning.evaluation.scoring import evaluate_folder
from vos_lightning.io.masks import read_mask
from vos_lightning.metrics import JFMeasure

STATISTICS = {"M": "Mean", "R": "Recall", "D": "Decay"}


@pytest.fixture
def golden(shared_data):
    return json.loads((shared_data / "evaluation" / "golden.json").read_text())


def test_davis2016(shared_data, golden):
    expected = golden["osvos_on_DAVIS-2016-mini (labels merged to one foreground)"]
    report = evaluate_folder(
        shared_data / "evaluation" / "osvos", shared_data / "DAVIS-2016-mini" / "Annotations" / "480p", "davis2016"
    )
    assert report.mean() == pytest.approx(expected["mean"], abs=1e-9)
    assert {one.sequence for one in report.objects} == set(expected["per_sequence"])
    for one in report.objects:
        for measure, value in expected["per_sequence"][one.sequence].items():
            assert one.row()[measure] == pytest.approx(value, abs=1e-9), (one.sequence, measure)


def test_davis2017(shared_data, golden):
    expected = golden["multi_object (semi-supervised protocol)"]
    folder = shared_data / "evaluation" / "multi_object"
    report = evaluate_folder(folder / "predictions", folder / "ground_truth", "davis2017")
    for kind in ("J", "F"):
        for letter, name in STATISTICS.items():
            found = [one.row()[f"{kind}-{name}"] for one in report.objects]
            assert found == pytest.approx(expected[kind][letter], abs=1e-9)
        named = {f"{one.sequence}_{one.object}": one.row()[f"{kind}-Mean"] for one in report.objects}
        assert named == pytest.approx(expected[kind]["M_per_object"], abs=1e-9)


def test_metric_class(shared_data, golden):
    expected = golden["multi_object (semi-supervised protocol)"]
    folder, metric = shared_data / "evaluation" / "multi_object", JFMeasure()
    name = "dogs-jump"
    files = sorted(path.name for path in (folder / "ground_truth" / name).glob("*.png"))
    predictions, annotations = (
        [folder / kind / name / file for file in files] for kind in ("predictions", "ground_truth")
    )
    metric.update(map(read_mask, predictions), map(read_mask, annotations), sequence=name)
    for row in metric.per_object():
        for kind in ("J", "F"):
            assert row[kind] == pytest.approx(expected[kind]["M_per_object"][f"{name}_{row['object']}"], abs=1e-9)
