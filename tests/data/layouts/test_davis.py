import numpy as np
import pytest

from vos_lightning.data.layouts.davis import davis_names, davis_sequences, davis_year
from vos_lightning.data.layouts.sequences import SequenceDataset
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, MaskError, VOSError
from vos_lightning.io.masks import write_mask


def tree(root, make, image_sets, resolution="480p", annotations="Annotations", values=(1, 2, 255), masks=3):
    """Two sequences of three frames; `image_sets` maps a file below ImageSets to its lines."""
    for name in ("bear", "bus"):
        make.folder(root / "JPEGImages" / resolution / name, make.frames(3, 24, 32))
        folder = root / annotations / resolution / name
        folder.mkdir(parents=True)
        mask = np.zeros((24, 32), dtype=np.uint8)
        for place, value in enumerate(values):
            mask[4:9, 2 + 8 * place : 8 + 8 * place] = value
        for index in range(masks):
            write_mask(folder / f"{index:05d}.png", mask)
    for path, lines in image_sets.items():
        (root / "ImageSets" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / path).write_text("\n".join(lines) + "\n")
    return root


OFFICIAL_2016 = [
    f"/JPEGImages/480p/{name}/{index:05d}.jpg /Annotations/480p/{name}/{index:05d}.png"
    for name in ("bear", "bus")
    for index in range(3)
]


@pytest.mark.parametrize(
    ("year", "path", "lines"),
    [
        ("2016", "480p/val.txt", OFFICIAL_2016),
        ("2016", "2016/val.txt", ["bear", "bus"]),
        ("2017", "2017/val.txt", ["bear", "", "bus"]),
    ],
)
def test_every_list_format_gives_the_names_in_order(tmp_path, make, year, path, lines):
    root = tree(tmp_path, make, {path: lines})
    assert davis_names(root, year, "val") == ["bear", "bus"]
    assert davis_year(root) == year
    assert [record.name for record in davis_sequences(root, year)] == ["bear", "bus"]


def test_the_year_decides_what_255_means(tmp_path, make):
    root = tree(tmp_path, make, {"2016/val.txt": ["bear"], "2017/val.txt": ["bear"]})
    assert davis_year(root) == "2017"
    merged = SequenceDataset(davis_sequences(root, "2016"))[0]
    several = SequenceDataset(davis_sequences(root, "2017"))[0]
    assert merged["object_ids"] == [255]
    assert (merged["prompts"][0] == 255).sum() == 90
    assert several["object_ids"] == [1, 2]
    assert several["targets"][1].max() == 2


def test_2016_as_published_has_one_object_255(tmp_path, make):
    root = tree(tmp_path, make, {"480p/val.txt": OFFICIAL_2016}, values=(255,))
    item = SequenceDataset(davis_sequences(root, "2016"))[1]
    assert (item["sequence"], item["object_ids"]) == ("bus", [255])


def test_test_dev_has_first_masks_and_no_targets(tmp_path, make):
    root = tree(tmp_path, make, {"2017/test-dev.txt": ["bear", "bus"]}, masks=1)
    item = SequenceDataset(davis_sequences(root, "2017", "test-dev"))[0]
    assert item["targets"] is None
    assert item["object_ids"] == [1, 2]
    assert len(item["frames"]) == 3


def test_unsupervised_trees(tmp_path, make):
    sets = {"2017/val.txt": ["bear"], "2019/test-dev.txt": ["bus"]}
    root = tree(tmp_path, make, sets, annotations="Annotations_unsupervised")
    assert [r.name for r in davis_sequences(root, "2017", "val", unsupervised=True)] == ["bear"]
    dev = davis_sequences(root, "2017", "test-dev", unsupervised=True)
    assert [(r.name, r.scored) for r in dev] == [("bus", False)]
    assert "Annotations_unsupervised" in str(dev[0].masks)


def test_full_resolution(tmp_path, make):
    root = tree(tmp_path, make, {"2017/val.txt": ["bear"]}, resolution="Full-Resolution")
    assert "Full-Resolution" in str(davis_sequences(root, resolution="Full-Resolution")[0].frames)
    with pytest.raises(DatasetNotFoundError, match="480p"):
        davis_sequences(root)


def test_a_choice_of_sequences(tmp_path, make):
    root = tree(tmp_path, make, {"2017/val.txt": ["bear", "bus"]})
    assert [record.name for record in davis_sequences(root, sequences=["bus"])] == ["bus"]
    with pytest.raises(VOSError, match=r"dog: not in the val split .* bear, bus"):
        davis_sequences(root, sequences=["dog"])


def test_what_is_missing_is_named_with_the_expected_tree(tmp_path, make):
    with pytest.raises(DatasetNotFoundError, match=r"ImageSets/2017/val.txt: missing; a DAVIS tree has .*JPEGImages"):
        davis_sequences(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="JPEGImages"):
        davis_year(tmp_path)
    root = tree(tmp_path, make, {"2017/val.txt": ["bear", "cow"]})
    with pytest.raises(DatasetNotFoundError, match="JPEGImages/480p/cow: missing") as caught:
        davis_sequences(root)
    assert "\n" not in str(caught.value)
    (root / "ImageSets/2017/train.txt").write_text("\n")
    with pytest.raises(DatasetNotFoundError, match="no sequence in it"):
        davis_names(root, "2017", "train")


def test_an_unknown_year_is_refused(tmp_path):
    with pytest.raises(VOSError, match="year='2018'"):
        davis_sequences(tmp_path, "2018")


@pytest.mark.parametrize("entry", ["../../evil", "/etc", "..", "a/b", "a\\b", "/x.jpg", ".git"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, make, entry):
    root = tree(tmp_path, make, {"2017/val.txt": ["bear", entry]})
    with pytest.raises(VOSError, match=r"2017/val\.txt: .* can't be the name") as caught:
        davis_sequences(root)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_no_text_is_named(tmp_path, make):
    root = tree(tmp_path, make, {"2017/val.txt": ["bear"]})
    (root / "ImageSets/2017/val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorruptFileError, match=r"2017/val\.txt"):
        davis_names(root, "2017", "val")


def test_trainval_is_both_unless_it_has_a_list(tmp_path, make):
    root = tree(tmp_path, make, {"2017/train.txt": ["bus"], "2017/val.txt": ["bear", "bus"]})
    assert davis_names(root, "2017", "trainval") == ["bus", "bear"]
    (root / "ImageSets/2017/trainval.txt").write_text("bear\n")
    assert davis_names(root, "2017", "trainval") == ["bear"]
    (root / "ImageSets/2017/trainval.txt").unlink()
    (root / "ImageSets/2017/train.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"2017/train\.txt: missing"):
        davis_names(root, "2017", "trainval")


def test_what_is_meant_is_suggested(tmp_path, make):
    root = tree(tmp_path / "data" / "DAVIS", make, {"480p/val.txt": OFFICIAL_2016}, values=(255,))
    with pytest.raises(DatasetNotFoundError, match="pass year=2016"):
        davis_sequences(root, "2017")
    for near in (root / "JPEGImages", tmp_path / "data"):
        with pytest.raises(DatasetNotFoundError, match=f"did you mean root={root}\\?"):
            davis_year(near)
    with pytest.raises(DatasetNotFoundError) as caught:
        davis_year(tmp_path / "nowhere")
    assert "did you mean" not in str(caught.value)


def test_a_mask_of_another_size_is_named(tmp_path, make):
    root = tree(tmp_path, make, {"2017/val.txt": ["bear"]})
    folder = root / "Annotations/480p/bear"
    mask = np.ones((5, 7), dtype=np.uint8)
    write_mask(folder / "00001.png", mask)
    targets = SequenceDataset(davis_sequences(root))[0]["targets"]
    assert targets[0].max() == 2
    with pytest.raises(MaskError, match=r"bear/00001\.png: 5x7, but the frames of the sequence bear are "):
        targets[1]
    write_mask(folder / "00000.png", mask)
    with pytest.raises(MaskError, match=r"bear/00000\.png: 5x7"):
        SequenceDataset(davis_sequences(root))[0]
