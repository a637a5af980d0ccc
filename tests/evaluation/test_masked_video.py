"""One video with its masks, in the forms of other tools."""

import json
import zipfile

import av
import numpy as np
import pytest
from PIL import Image

from vos_lightning.commands.export import main
from vos_lightning.errors import VOSError
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.io.run_lengths import run_lengths


@pytest.fixture
def folders(tmp_path, moving_square):
    """A folder of frames, one of masks, and the arrays."""
    frames, masks = moving_square
    masks = np.where(masks > 0, 2, 0).astype(np.uint8)
    masks[:, 50:58, 3:9] = 5
    for name in ("video", "masks"):
        (tmp_path / name).mkdir()
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        Image.fromarray(frame).save(tmp_path / "video" / f"{index:05d}.png")
        write_mask(tmp_path / "masks" / f"{index:05d}.png", mask)
    return tmp_path, frames, masks


def export(folder, form, name):
    output = folder / name
    assert main([str(folder / "masks"), str(output), "--format", form, "--video", str(folder / "video")]) == 0
    return output


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 31), (200, 300)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
def test_run_lengths_are_those_of_pycocotools(shape, share):
    coco = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(0).random(shape) < share
    ours, theirs = run_lengths(mask), coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert ours["counts"] == theirs["counts"].decode()
    assert (coco.decode(ours) == mask).all()


def test_coco_is_read_by_pycocotools(folders):
    coco = pytest.importorskip("pycocotools.coco")
    folder, _, masks = folders
    data = coco.COCO(str(export(folder, "coco", "masks.json")))
    for index, image in enumerate(sorted(data.imgs)):
        annotations = data.loadAnns(data.getAnnIds(imgIds=image))
        assert {one["category_id"] for one in annotations} == {2, 5}
        for one in annotations:
            mask = masks[index] == one["category_id"]
            assert (data.annToMask(one) == mask).all()
            assert one["area"] == mask.sum()
            x, y, width, height = one["bbox"]
            assert mask[y : y + height, x : x + width].sum() == mask.sum()


def test_cutouts_are_transparent_where_nothing_is(folders):
    folder, frames, masks = folders
    with zipfile.ZipFile(export(folder, "cutouts", "cutouts.zip")) as archive, archive.open("video/00003.png") as file:
        picture = np.array(Image.open(file))
    assert (picture[..., 3] == 255 * (masks[3] > 0)).all()
    assert (picture[..., :3][masks[3] > 0] == frames[3][masks[3] > 0]).all()


def test_cutout_video_has_an_alpha_channel(folders):
    folder, _, masks = folders
    output = export(folder, "cutout-video", "cutout.webm")
    with av.open(str(output)) as container:
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        pictures = [frame for packet in container.demux(video=0) for frame in decoder.decode(packet)]
    assert len(pictures) == len(masks)
    alpha = pictures[3].to_ndarray(format="rgba")[..., 3]
    assert ((alpha > 127) != (masks[3] > 0)).mean() < 0.02


def test_layouts_are_read_back(folders):
    from vos_lightning.data import DAVISDataModule, YouTubeVOSDataModule

    folder, _, masks = folders
    for form, module in (("davis-layout", DAVISDataModule), ("youtube-layout", YouTubeVOSDataModule)):
        with zipfile.ZipFile(export(folder, form, f"{form}.zip")) as archive:
            archive.extractall(folder / form)
        data = module(str(folder / form))
        data.setup("validate")
        (item,) = list(data.val_dataloader())
        assert item["sequence"] == "video"
        path = next((folder / form).rglob("00004.png"))
        assert (read_mask(path) == masks[4]).all()


def test_overlay_and_mistakes(folders, capsys):
    from vos_lightning.errors import VOSError

    folder, frames, _ = folders
    with av.open(str(export(folder, "overlay", "overlay.mp4"))) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(frames)
    with pytest.raises(VOSError, match="--video"):
        main([str(folder / "masks"), str(folder / "x.json"), "--format", "coco"])
    (folder / "masks" / "00002.png").unlink()
    with pytest.raises(VOSError, match=r"00002\.png"):
        export(folder, "coco", "x.json")
    assert not (folder / "x.json").exists()


def test_labels_and_categories(folders):
    folder, _, _ = folders
    content = json.loads(export(folder, "coco", "masks.json").read_text())
    assert [one["name"] for one in content["categories"]] == ["object 2", "object 5"]


@pytest.mark.parametrize("form", ["overlay", "cutout-video", "coco", "cutouts", "davis-layout"])
@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_there_is_never_replaced(folders, form, kind):
    folder = folders[0]
    kept = folder / "kept.mp4"
    kept.write_bytes(b"precious")
    output = kept
    if kind == "link":
        output = folder / "link.mp4"
        output.symlink_to(kept)
    elif kind == "folder":
        output = folder / "folder"
        output.mkdir()
    with pytest.raises(VOSError, match="is there already, and nothing is replaced; give a name that is not taken"):
        main([str(folder / "masks"), str(output), "--format", form, "--video", str(folder / "video")])
    assert kept.read_bytes() == b"precious"
