import pytest

from vos_lightning.data import ImageFolderDataModule


def test_it_trains_and_names_what_it_cannot_read(tmp_path, make, recorder):
    make.folder(tmp_path / "pictures", make.frames(5, 60, 80))
    (tmp_path / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    datamodule = ImageFolderDataModule(str(tmp_path / "pictures"), 3, 0, 4, crop_size=24, short_side=32)
    with pytest.warns(UserWarning, match=r"left out: .*broken\.png") as caught:
        rows, _ = recorder(datamodule, max_epochs=2)
    assert sum("left out" in str(warning.message) for warning in caught) == 1
    assert sorted(name for row in rows if row["epoch"] == 0 for name in row["names"]) == [f"0000{i}" for i in range(5)]


def test_a_hundred_images_are_drawn_by_seed(tmp_path, make):
    make.folder(tmp_path, make.frames(9, 20, 20))
    datamodule = ImageFolderDataModule(str(tmp_path), limit_videos=4, seed=2)
    datamodule.setup("fit")
    assert len(datamodule._train) == 4
