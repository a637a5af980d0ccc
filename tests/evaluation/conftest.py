import numpy as np
import pytest
from PIL import Image


@pytest.fixture(name="scene")
def scene_fixture():
    return scene


@pytest.fixture(name="save_masks")
def save_masks_fixture():
    return save_masks


def scene(frames, ids=(1, 2), size=(40, 60), shift=0):
    """(T, H, W) ids: one rectangle per object, moving."""
    masks = np.zeros((frames, *size), dtype=np.uint8)
    for k, object_id in enumerate(ids):
        for frame in range(frames):
            y, x = 3 + 12 * k, (4 + frame + shift) % (size[1] - 15)
            masks[frame, y : y + 9, x : x + 14] = object_id
    return masks


def save_masks(folder, masks, names=None, mode="P"):
    """Writes masks as PNGs into a sequence folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, mask in enumerate(masks):
        image = Image.fromarray(mask)
        if mode == "P":
            image.putpalette([value for i in range(256) for value in (i, 255 - i, 7 * i % 256)])
        image.save(folder / f"{names[index] if names else f'{index:05d}'}.png")


@pytest.fixture
def results(tmp_path):
    """Folders of predictions and annotations with two sequences; predictions are shifted by two pixels."""
    for name, frames in (("boat", 7), ("cow", 9)):
        save_masks(tmp_path / "annotations" / name, scene(frames))
        save_masks(tmp_path / "predictions" / name, scene(frames, shift=2))
    return tmp_path / "predictions", tmp_path / "annotations"
