import json

import numpy as np
import pytest

from vos_lightning.data.layouts.sequences import SequenceDataset
from vos_lightning.data.layouts.youtube_vos import frames_folder, other_release, read_meta, youtube_vos_sequences
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError


def item(tree, name="late", **options):
    return SequenceDataset(youtube_vos_sequences(tree, sequences=[name], **options))[0]


def test_meta_says_who_enters_where(youtube_tree):
    videos = {video.name: video for video in read_meta(youtube_tree / "valid/meta.json")}
    late = videos["late"]
    assert late.introduced == {"00005": [2], "00020": [4, 7]}
    assert late.required == ["00005", "00010", "00020", "00030"]
    assert late.categories == {2: "dog", 4: "person", 7: "person"}


def test_late_objects_gaps_and_ids_as_given(youtube_tree):
    late = item(youtube_tree)
    assert late["frames"].names == ["00000", "00005", "00010", "00020", "00030"]
    assert sorted(late["prompts"]) == [1, 3]  # by file name: nothing is annotated on the first frame
    assert set(np.unique(late["prompts"][1])) == {0, 2}
    assert set(np.unique(late["prompts"][3])) == {0, 4, 7}  # 2 is in that file too, and known already
    assert late["object_ids"] == [2]
    assert late["required"] == [1, 2, 3, 4]
    assert late["targets"] is None
    assert late["categories"][7] == "person"


def test_all_frames_keeps_the_required_ones(youtube_tree):
    late = item(youtube_tree, all_frames=True)
    assert len(late["frames"]) == 31
    assert sorted(late["prompts"]) == [5, 20]
    assert late["required"] == [5, 10, 20, 30]


def test_the_training_split_has_targets_where_annotated(youtube_tree):
    walk = item(youtube_tree, "walk", split="train")
    assert set(np.unique(walk["targets"][0])) == {0, 1}
    assert walk["targets"].annotated() == [0, 1, 2, 3]


@pytest.mark.parametrize("place", ["all_frames/valid_all_frames", "valid_all_frames", "2018/valid_all_frames"])
def test_all_frames_may_be_unpacked_here_or_there(tmp_path, place):
    (tmp_path / place / "JPEGImages").mkdir(parents=True)
    assert frames_folder(tmp_path, "2018", "valid", all_frames=True) == tmp_path / place / "JPEGImages"


def test_a_folder_per_release(youtube_tree, tmp_path):
    (tmp_path / "2019").symlink_to(youtube_tree)
    assert len(youtube_vos_sequences(tmp_path, "2019")) == 2


def test_the_root_may_be_the_split_itself(youtube_tree):
    assert len(youtube_vos_sequences(youtube_tree / "valid")) == 2


def test_the_other_release_is_recognised():
    assert other_release("2018", "valid", 507) == "2019"
    assert other_release("2019", "valid", 507) is None
    assert other_release("2018", "valid", 100) is None
    assert other_release("2018", "train", 3471) is None


def test_what_is_missing_is_named(youtube_tree, tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"valid/JPEGImages: missing; did you mean root=.*/ytvos"):
        youtube_vos_sequences(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="valid/JPEGImages: missing; a YouTube-VOS tree has"):
        youtube_vos_sequences(tmp_path / "nowhere")
    with pytest.raises(VOSError, match="nobody: not among the 2 videos"):
        youtube_vos_sequences(youtube_tree, sequences=["nobody"])
    with pytest.raises(VOSError, match="year='2020'"):
        youtube_vos_sequences(youtube_tree, "2020")
    (tmp_path / "valid/JPEGImages").mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match=r"meta\.json"):
        youtube_vos_sequences(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"videos": {"a": {}}}', '{"videos": {"a": {"objects": {"1": 2}}}}', "[" * 100_000]
)
def test_a_damaged_meta_is_named(tmp_path, content):
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"meta\.json"):
        read_meta(tmp_path / "meta.json")


def test_a_missing_required_frame_is_named(youtube_tree):
    meta = json.loads((youtube_tree / "valid/meta.json").read_text())
    meta["videos"]["late"]["objects"]["2"]["frames"].append("00035")
    (youtube_tree / "valid/meta.json").write_text(json.dumps(meta))
    with pytest.raises(DatasetNotFoundError, match="late/00035"):
        item(youtube_tree)


HOSTILE = ["", ".", "..", "../../evil", "/etc", "a/b", "a\\b", "C:x", ".hidden", "a\nb", "a\0b", "\x1b[31m"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("place", ["video", "frame"])
def test_names_that_lead_elsewhere_are_refused(youtube_tree, place, name):
    video, frame = (name, "00000") if place == "video" else ("plain", name)
    meta = {"videos": {video: {"objects": {"1": {"frames": [frame]}}}}}
    (youtube_tree / "valid/meta.json").write_text(json.dumps(meta))
    with pytest.raises(VOSError, match=r"valid/meta\.json: ") as caught:
        youtube_vos_sequences(youtube_tree)
    assert f"{name!r} can't be the name" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["0", "-1", "255", "300", "x", "1.5", "", " 1", "01", "1_0", "٣", "9" * 5000])
def test_ids_that_no_mask_can_have_are_refused(youtube_tree, key):
    meta = {"videos": {"plain": {"objects": {key: {"frames": ["00000"]}}}}}
    (youtube_tree / "valid/meta.json").write_text(json.dumps(meta))
    with pytest.raises(VOSError, match=r"valid/meta\.json: ") as caught:
        youtube_vos_sequences(youtube_tree)
    assert f"{key!r} can't be the id" in str(caught.value)


def test_254_is_the_last_id(youtube_tree):
    meta = {"videos": {"plain": {"objects": {"254": {"frames": ["00000"]}}}}}
    (youtube_tree / "valid/meta.json").write_text(json.dumps(meta))
    assert youtube_vos_sequences(youtube_tree)[0].prompts == {"00000": [254]}


def test_a_video_without_objects_is_named(youtube_tree):
    (youtube_tree / "valid/meta.json").write_text('{"videos": {"plain": {"objects": {}}}}')
    with pytest.raises(MaskError, match="valid/JPEGImages/plain: no object of plain enters"):
        item(youtube_tree, "plain")
