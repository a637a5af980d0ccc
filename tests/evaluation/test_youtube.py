import json
import math

import numpy as np
import pytest

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError
from vos_lightning.evaluation.metadata import SEEN_CATEGORIES, read_metadata
from vos_lightning.evaluation.scoring import evaluate_folder
from vos_lightning.evaluation.table import plain_lines, score_table
from vos_lightning.functional.contour import contour_accuracy
from vos_lightning.functional.region import region_similarity

FRAMES = ["00000", "00005", "00010", "00015", "00020"]


@pytest.fixture
def valid(tmp_path, save_masks, scene):
    """A video with a seen object (id 2) from the start and an unseen one (id 7) from the third frame on."""
    targets = scene(5, ids=(2, 7))
    targets[:2][targets[:2] == 7] = 0
    predictions = np.roll(targets, 2, axis=2)
    save_masks(tmp_path / "valid" / "Annotations" / "0a49f5265b", targets, FRAMES)
    save_masks(tmp_path / "results" / "0a49f5265b", predictions, FRAMES)
    objects = {"2": {"category": "cow", "frames": FRAMES}, "7": {"category": "spider", "frames": FRAMES[2:]}}
    write_metadata(tmp_path / "valid", {"0a49f5265b": objects})
    return tmp_path / "results", tmp_path / "valid" / "Annotations", predictions, targets


def write_metadata(folder, videos):
    content = {"videos": {name: {"objects": objects} for name, objects in videos.items()}}
    (folder / "meta.json").write_text(json.dumps(content))


def test_objects_are_scored_after_the_frame_that_introduces_them(valid):
    predictions, annotations, masks, targets = valid
    report = evaluate_folder(predictions, annotations, "youtube-vos")
    first, second = report.objects
    assert (first.object, first.category, second.object, second.category) == (2, "cow", 7, "spider")
    for one, frames in ((first, slice(1, None)), (second, slice(3, None))):
        prediction, target = masks[frames] == one.object, targets[frames] == one.object
        assert one.J.mean == pytest.approx(region_similarity(prediction, target).mean())
        assert one.F.mean == pytest.approx(contour_accuracy(prediction, target).mean())
    assert report.frames == 4


def test_G_is_the_mean_over_seen_and_unseen(valid):
    report = evaluate_folder(*valid[:2], "youtube-vos")
    seen, unseen = report.objects
    mean = report.mean()
    assert (mean["J-Seen"], mean["F-Seen"]) == (seen.J.mean, seen.F.mean)
    assert (mean["J-Unseen"], mean["F-Unseen"]) == (unseen.J.mean, unseen.F.mean)
    assert mean["G"] == pytest.approx((seen.J.mean + seen.F.mean + unseen.J.mean + unseen.F.mean) / 4)
    assert report.to_dict()["per_object"][1]["category"] == "spider"


def test_G_is_unknown_without_unseen_categories(valid):
    report = evaluate_folder(*valid[:2], "youtube-vos", seen_categories=frozenset({"cow", "spider"}))
    assert math.isnan(report.mean()["G"])
    assert report.to_dict()["mean"]["J-Unseen"] is None
    assert report.to_dict()["mean"]["J-Seen"] is not None


def test_only_listed_frames_are_scored(valid, tmp_path):
    frames = [FRAMES[0], FRAMES[2], FRAMES[4]]
    write_metadata(tmp_path / "valid", {"0a49f5265b": {"2": {"category": "cow", "frames": frames}}})
    with pytest.raises(MaskError, match=r"00010\.png: holds id 7, but the annotated objects are 2;"):
        evaluate_folder(*valid[:2], "youtube-vos")
    objects = {"2": {"category": "cow", "frames": frames}, "7": {"category": "spider", "frames": FRAMES[4:]}}
    write_metadata(tmp_path / "valid", {"0a49f5265b": objects})
    report = evaluate_folder(*valid[:2], "youtube-vos")
    assert report.sequences[0].frames == ("00010", "00020")
    assert report.notes == ("0a49f5265b: object 7 is left out, for no frame after its first is annotated",)


def test_the_metadata_must_be_of_these_annotations(valid, tmp_path):
    write_metadata(tmp_path / "valid", {"another": {"1": {"category": "cow", "frames": FRAMES}}})
    with pytest.raises(VOSError, match=r"0a49f5265b: .* has no video '0a49f5265b'"):
        evaluate_folder(*valid[:2], "youtube-vos")


def test_metadata_elsewhere(valid, tmp_path):
    (tmp_path / "valid" / "meta.json").rename(tmp_path / "other.json")
    with pytest.raises(DatasetNotFoundError, match=r"meta\.json: no such file"):
        evaluate_folder(*valid[:2], "youtube-vos")
    assert evaluate_folder(*valid[:2], "youtube-vos", meta=tmp_path / "other.json").objects


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"videos": {"a": {}}}', '{"videos": {"a": {"objects": {"x": {}}}}}'])
def test_damaged_metadata_is_named(tmp_path, text):
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(CorruptFileError, match=r"meta\.json: not the meta\.json of YouTube-VOS"):
        read_metadata(tmp_path / "meta.json")


def test_there_are_65_seen_categories():
    assert len(SEEN_CATEGORIES) == 65
    assert {"airplane", "frisbee", "zebra"} <= SEEN_CATEGORIES


def test_ids_between_those_of_the_objects_are_unknown(valid, save_masks):
    predictions, annotations, masks, _ = valid
    masks[3, 35:, :] = 4
    save_masks(predictions / "0a49f5265b", masks, FRAMES)
    with pytest.raises(MaskError, match=r"00015\.png: holds id 4, but the annotated objects are 2, 7"):
        evaluate_folder(predictions, annotations, "youtube-vos")


def test_the_table_sums_up_seen_and_unseen(valid):
    report = evaluate_folder(*valid[:2], "youtube-vos")
    lines = {line.split()[0]: line.split()[1:] for line in plain_lines(score_table(report))[1:]}
    seen, unseen = report.objects
    assert lines["seen"] == [f"{value:.3f}" for value in (seen.mean, seen.J.mean, seen.F.mean)]
    assert lines["unseen"] == [f"{value:.3f}" for value in (unseen.mean, unseen.J.mean, unseen.F.mean)]
    assert lines["G"] == [f"{report.mean()['G']:.3f}"]
