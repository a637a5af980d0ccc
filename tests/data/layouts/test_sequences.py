import pickle

import numpy as np
import pytest

from vos_lightning.data.layouts.sequences import MaskFolder, SequenceDataset, SequenceRecord
from vos_lightning.errors import DatasetNotFoundError, MaskError
from vos_lightning.io.masks import write_mask


@pytest.fixture
def sequence(tmp_path, make):
    """Frames named with gaps; object 3 enters at frame 00010, and one frame has no mask."""
    names = ["00000", "00005", "00010", "00020"]
    make.folder(tmp_path / "frames", make.frames(4, 6, 8), names)
    masks = np.zeros((4, 6, 8), dtype=np.uint8)
    masks[:, :2, :2], masks[:, 5, 7] = 1, 255
    masks[2:, 4:, 4:6] = 3
    (tmp_path / "masks").mkdir()
    for index in (0, 2, 3):
        write_mask(tmp_path / "masks" / f"{names[index]}.png", masks[index])
    return tmp_path, masks


def record(root, **options):
    return SequenceRecord("walk", root / "frames", root / "masks", **options)


def test_masks_are_matched_by_name_and_lazy(sequence):
    root, masks = sequence
    folder = MaskFolder(root / "masks", ["00000", "00005", "00010", "00020"])
    assert len(folder) == 4
    assert folder[1] is None
    assert folder.annotated() == [0, 2, 3]
    assert np.array_equal(folder[3], np.where(masks[3] == 255, 0, masks[3]))


def test_an_item_holds_the_contract(sequence):
    root, masks = sequence
    item = SequenceDataset([record(root)])[0]
    assert item["sequence"] == "walk"
    assert item["frames"].names == ["00000", "00005", "00010", "00020"]
    assert list(item["prompts"]) == [0]
    assert np.array_equal(item["prompts"][0], np.where(masks[0] == 255, 0, masks[0]))
    assert item["object_ids"] == [1]
    assert item["targets"][1] is None
    assert item["targets"][2].max() == 3
    assert len(item["palette"]) == 768


def test_prompts_introduce_their_own_ids_only(sequence):
    root, masks = sequence
    item = SequenceDataset([record(root, prompts={"00000": [1], "00010": [3]})])[0]
    assert list(item["prompts"]) == [0, 2]
    assert np.array_equal(item["prompts"][2], np.where(masks[2] == 3, 3, 0))
    assert item["object_ids"] == [1]


def test_prompts_may_start_after_the_first_frame(sequence):
    root, _ = sequence
    item = SequenceDataset([record(root, prompts={"00010": [3]})])[0]
    assert list(item["prompts"]) == [2]
    assert item["object_ids"] == [3]


def test_without_ground_truth_there_are_no_targets(sequence):
    assert SequenceDataset([record(sequence[0], scored=False)])[0]["targets"] is None


def test_merged_sequences_have_one_object(sequence):
    root, masks = sequence
    item = SequenceDataset([record(root, merge=True)])[0]
    assert item["object_ids"] == [255]
    assert np.array_equal(item["targets"][0] == 255, masks[0] > 0)


def test_a_missing_prompt_is_named(sequence):
    root, _ = sequence
    (root / "masks" / "00000.png").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"masks/00000.png: missing; sequence walk"):
        SequenceDataset([record(root)])[0]


def test_a_prompt_of_void_alone_is_refused_with_a_hint(sequence):
    root, _ = sequence
    write_mask(root / "masks" / "00000.png", np.full((6, 8), 255, dtype=np.uint8))
    with pytest.raises(MaskError, match=r"00000.png: no object.*year is 2016"):
        SequenceDataset([record(root)])[0]


def test_a_prompt_without_its_object_is_refused(sequence):
    with pytest.raises(MaskError, match=r"none of the objects \[8\]"):
        SequenceDataset([record(sequence[0], prompts={"00000": [8]})])[0]


def test_there_is_no_limit_to_the_number_of_objects(tmp_path, make):
    make.folder(tmp_path / "frames", make.frames(2, 20, 20))
    (tmp_path / "masks").mkdir()
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask.ravel()[: 2 * 120 : 2] = np.arange(1, 121)
    write_mask(tmp_path / "masks" / "00000.png", mask)
    item = SequenceDataset([record(tmp_path)])[0]
    assert item["object_ids"] == list(range(1, 121))
    assert item["targets"][1] is None


def test_items_pickle_without_their_frames(sequence):
    item = SequenceDataset([record(sequence[0])])[0]
    stored = pickle.dumps({key: item[key] for key in ("frames", "targets")})
    assert len(stored) < 5000
    assert np.array_equal(pickle.loads(stored)["frames"][3], item["frames"][3])
