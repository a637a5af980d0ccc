import numpy as np

from vos_lightning.data import OneSequenceDataModule
from vos_lightning.io.masks import write_mask


def open_sequence(root, make, ids, **options):
    """Two frames with equal masks; ids of the left and of the right half."""
    make.folder(root / "frames", make.frames(2, 32, 32))
    (root / "masks").mkdir()
    mask = np.repeat(np.array(ids, np.uint8), 16)[None].repeat(32, 0)
    for name in ("00000", "00001"):
        write_mask(root / "masks" / f"{name}.png", mask)
    data = OneSequenceDataModule(str(root / "frames"), str(root / "masks"), 2, size=32, **options)
    data.setup("fit")
    return next(iter(data.predict_dataloader())), next(iter(data.train_dataloader()))


def test_a_black_and_white_mask_is_an_object(tmp_path, make):
    item, batch = open_sequence(tmp_path, make, (0, 255))
    assert item["object_ids"] == [255]
    assert item["masks"][1].max() == 255
    assert batch["labels"].unique().tolist() == [0, 1]


def test_255_beside_other_ids_is_void(tmp_path, make):
    item, batch = open_sequence(tmp_path, make, (7, 255))
    assert item["object_ids"] == [7]
    assert np.unique(item["masks"][0]).tolist() == [0, 7]
    assert batch["num_classes"].tolist() == [2, 2]


def test_all_ids_may_be_one_object(tmp_path, make):
    item, _ = open_sequence(tmp_path, make, (7, 255), merge=True)
    assert item["object_ids"] == [255]
    assert (item["masks"][0] == 255).all()
