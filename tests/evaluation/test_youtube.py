import json
import math

import numpy as np
import pytest

from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError
from vos_lightning.evaluation.metadata import SEEN_CATEGORIES, read_metadata
from vos_lightning.evaluation.scoring import evaluate_folder
from vos_lightning.evaluation.table import plain_lines, score_table
from vos_lightning.functional.measures.contour import contour_accuracy
from vos_lightning.functional.measures.region import region_similarity

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


def one_object(number="1", **entry):
    return {"videos": {"a": {"objects": {number: {"category": "cow", "frames": ["00000"], **entry}}}}}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "the file has no 'videos'"),
        ({}, "the file has no 'videos'"),
        ({"videos": {}}, "the file has no 'videos'"),
        ({"videos": {"a": []}}, "video 'a' has no 'objects'"),
        ({"videos": {"a": {"objects": {}}}}, "video 'a' has no 'objects'"),
        (one_object("x"), "object 'x' of video 'a' has no id between 1 and 254"),
        (one_object("0"), "object '0' of video 'a' has no id between 1 and 254"),
        (one_object("01"), "object '01' of video 'a' has no id between 1 and 254"),
        (one_object("255"), "object '255' of video 'a' has no id between 1 and 254"),
        (one_object("300"), "object '300' of video 'a' has no id between 1 and 254"),
        (one_object(frames=[]), "object '1' of video 'a' has no 'frames'"),
        (one_object(frames="00000"), "object '1' of video 'a' has no 'frames'"),
        (one_object(frames=[0]), "object '1' of video 'a' has frames that are no names"),
        (one_object(category=None), "object '1' of video 'a' has no 'category'"),
        (one_object(category=""), "object '1' of video 'a' has no 'category'"),
    ],
)
def test_damaged_metadata_is_named(tmp_path, content, fault):
    (tmp_path / "meta.json").write_text(json.dumps(content))
    with pytest.raises(CorruptFileError, match=rf"meta\.json: not the meta\.json of YouTube-VOS: {fault}; expected"):
        read_metadata(tmp_path / "meta.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe"])
def test_metadata_that_is_no_json_is_named(tmp_path, content):
    (tmp_path / "meta.json").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"meta\.json: not the meta\.json of YouTube-VOS"):
        read_metadata(tmp_path / "meta.json")


def test_categories_are_needed_to_score_only(valid, tmp_path):
    write_metadata(tmp_path / "valid", {"0a49f5265b": {"7": {"frames": FRAMES[::-1]}}})
    with pytest.raises(CorruptFileError, match="object '7' of video '0a49f5265b' has no 'category'"):
        evaluate_folder(*valid[:2], "youtube-vos")
    videos = read_metadata(tmp_path / "valid" / "meta.json", need_categories=False)
    (entry,) = videos["0a49f5265b"].objects
    assert (entry.id, entry.category, entry.frames) == (7, "", tuple(FRAMES))


def test_what_the_annotations_lack_is_noted(valid, tmp_path):
    predictions, annotations, *_ = valid
    frames = [*FRAMES, "00025", "00030"]
    objects = {"2": {"category": "cow", "frames": frames}, "7": {"category": "spider", "frames": frames[2:]}}
    write_metadata(tmp_path / "valid", {"0a49f5265b": objects, "gone": objects})
    notes = (
        f"{annotations}: lacks gone of the 2 videos in meta.json",
        f"{annotations / '0a49f5265b'}: lacks 00025, 00030 of the 7 frames in meta.json, so not scored",
    )
    assert evaluate_folder(predictions, annotations, "youtube-vos").notes == notes
    with pytest.raises(VOSError, match=r"strict: .*lacks gone of the 2 videos in meta\.json \(and 1 more\)"):
        evaluate_folder(predictions, annotations, "youtube-vos", strict=True)


def test_annotated_ids_that_are_not_listed_are_noted(valid, save_masks):
    predictions, annotations, _, targets = valid
    targets[3:, 35:, :] = 4
    save_masks(annotations / "0a49f5265b", targets, FRAMES)
    notes = evaluate_folder(predictions, annotations, "youtube-vos").notes
    assert notes == ("0a49f5265b: id 4, annotated from 00015 on, is not scored; the objects are 2, 7",)


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
