"""Masks as drawing programs and annotation tools write them, in real files."""

import base64
import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from vos_lightning.errors import CorruptFileError, MaskError, VOSError
from vos_lightning.io.mask_reader import MaskReader, fit_mask
from vos_lightning.io.masks import write_mask

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


@pytest.fixture
def places():
    """Two objects, 1 and 2, on 0."""
    places = np.zeros((30, 40), np.uint8)
    places[3:12, 4:20] = 1
    places[15:28, 22:38] = 2
    return places


def painted(places, *colours):
    return np.array(colours, np.uint8)[places]


def read(path, **options):
    return MaskReader().read(path, **options)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("bmp", {}),
        ("tif", {}),
        ("tif", {"compression": "tiff_lzw"}),
        ("gif", {}),
        ("webp", {"lossless": True}),
    ],
)
def test_colours_are_objects_in_every_lossless_format(places, tmp_path, suffix, options):
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(painted(places, BLACK, RED, GREEN)).save(path, **options)
    reader = MaskReader()
    ids = reader.read(path)  # 0x00ff00 comes before 0xff0000
    np.testing.assert_array_equal(ids, np.array([0, 2, 1])[places])
    assert reader.notes == [f"{path}: #00ff00 is object 1, #ff0000 is object 2"]
    assert reader.palette[:9] == bytes([*BLACK, *GREEN, *RED])


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_ids_are_kept(places, tmp_path, suffix, channels):
    ids = np.array([0, 3, 7], np.uint8)[places]
    image = Image.fromarray(ids if channels == 1 else np.repeat(ids[..., None], 3, -1))
    image.save(tmp_path / f"mask.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read(tmp_path / f"mask.{suffix}"), ids)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_palette_indices_are_ids_whatever_the_colours(places, tmp_path, suffix):
    image = Image.fromarray(places)
    image.putpalette([9, 9, 9, 1, 2, 3, 1, 2, 3])
    image.save(tmp_path / f"mask.{suffix}")
    reader = MaskReader()
    np.testing.assert_array_equal(reader.read(tmp_path / f"mask.{suffix}"), places)
    assert reader.palette[:9] == bytes([9, 9, 9, 1, 2, 3, 1, 2, 3])
    assert reader.notes == []


def test_colours_of_the_palette_of_davis_keep_its_ids(places, tmp_path):
    write_mask(tmp_path / "ids.png", np.array([0, 5, 9], np.uint8)[places])
    Image.open(tmp_path / "ids.png").convert("RGB").save(tmp_path / "rgb.png")
    Image.open(tmp_path / "ids.png").save(tmp_path / "ids.gif")  # Pillow reorders its palette
    for name in ("rgb.png", "ids.gif"):
        np.testing.assert_array_equal(read(tmp_path / name), np.array([0, 5, 9])[places])


def test_transparent_is_background(places, tmp_path):
    rgba = painted(places, (90, 90, 90, 0), (*RED, 255), (*GREEN, 255))
    Image.fromarray(rgba).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read(tmp_path / "mask.png"), np.array([0, 2, 1])[places])
    black = painted(places, (0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 255))
    Image.fromarray(black).save(tmp_path / "black.png")
    np.testing.assert_array_equal(read(tmp_path / "black.png"), 255 * (places > 0))


@pytest.mark.parametrize("levels", [(127, 255), (85, 255), (128, 255)])
def test_grey_levels_are_two_objects_and_none_is_lost(places, tmp_path, levels):
    path = tmp_path / "mask.png"
    Image.fromarray(np.array([0, *levels], np.uint8)[places]).save(path)
    reader = MaskReader()
    np.testing.assert_array_equal(reader.read(path), places)
    assert reader.notes == [f"{path}: #{f'{levels[0]:02x}' * 3} is object 1, #ffffff is object 2"]
    Image.fromarray((places == 1) * np.uint8(levels[0])).save(path)  # a later frame's, without the other
    np.testing.assert_array_equal(reader.read(path), places == 1)
    Image.fromarray((places == 2) * np.uint8(255)).save(path)
    np.testing.assert_array_equal(reader.read(path), 2 * (places == 2))


def test_white_alone_is_one_object_and_beside_ids_it_is_void(places, tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(255 * (places == 1).astype(np.uint8)).save(path)
    reader = MaskReader()
    np.testing.assert_array_equal(reader.read(path), 255 * (places == 1))
    assert reader.notes == []
    Image.fromarray(np.array([0, 127, 255], np.uint8)[places]).save(tmp_path / "levels.png")
    with pytest.raises(MaskError, match="white is 255 in another mask"):
        reader.read(tmp_path / "levels.png")
    Image.fromarray(np.array([0, 4, 255], np.uint8)[places]).save(path)
    np.testing.assert_array_equal(reader.read(path), np.array([0, 4, 255])[places])
    assert reader.notes == [f"{path}: 255 is void beside other ids, and not followed"]


def test_a_colour_is_the_same_object_in_all_masks_of_a_video(places, tmp_path):
    reader = MaskReader()
    Image.fromarray(painted(places, BLACK, RED, BLACK)).save(tmp_path / "first.png")
    Image.fromarray(painted(places, BLACK, GREEN, RED)).save(tmp_path / "later.png")
    np.testing.assert_array_equal(reader.read(tmp_path / "first.png"), places == 1)
    np.testing.assert_array_equal(reader.read(tmp_path / "later.png"), np.array([0, 2, 1])[places])


def test_sixteen_bits_are_read_as_far_as_they_hold_ids(places, tmp_path):
    Image.fromarray(places.astype(np.uint16)).save(tmp_path / "mask.tif")
    np.testing.assert_array_equal(read(tmp_path / "mask.tif"), places)
    Image.fromarray(1000 * places.astype(np.uint16)).save(tmp_path / "mask.png")
    with pytest.raises(MaskError, match=r"mask\.png: ids from 0 to 2000"):
        read(tmp_path / "mask.png")


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.jpg", {}), ("a.webp", {}), ("a.tif", {"compression": "jpeg"}), ("a.png", {"format": "JPEG"})],
)
def test_lossy_files_are_refused_by_reason(places, tmp_path, name, options):
    Image.fromarray(painted(places, BLACK, RED, GREEN)).save(tmp_path / name, **options)
    with pytest.raises(MaskError, match=rf"{name}: this mask is a (lossy |JPEG).*may smear ids; save it as PNG"):
        read(tmp_path / name)


def test_photographs_and_smooth_edges_are_refused(places, tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(MaskError, match=r"photo\.png: \d+ (colours|values)"):
        read(tmp_path / "photo.png")
    disc = np.hypot(*np.mgrid[-50:50, -50:50]) < 40
    for name, picture in (
        ("rgb.png", painted(disc * 1, BLACK, RED)),
        ("rgba.png", painted(disc * 1, (0,) * 4, (*RED, 255))),
    ):
        Image.fromarray(picture).resize((70, 70), Image.Resampling.BICUBIC).save(tmp_path / name)
        with pytest.raises(MaskError, match="antialiased; save it without smoothing"):
            read(tmp_path / name)


def test_several_pictures_in_one_file_are_refused(places, tmp_path):
    pages = [Image.fromarray(places + n) for n in range(3)]
    pages[0].save(tmp_path / "mask.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(MaskError, match="holds 3 pictures"):
        read(tmp_path / "mask.tif")


def test_a_tiff_whose_directories_are_damaged_is_named(places, tmp_path):
    path = tmp_path / "mask.tif"
    Image.fromarray(places).save(path)
    data = bytearray(path.read_bytes())
    entries = int.from_bytes(data[8:10], "little")
    data[10 + 12 * entries] = 0xFC  # where the next picture's would be: in the midst of the pixels
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match=r"mask\.tif: this mask cannot be decoded"):
        read(path)


def labelme(*shapes, size=(30, 40)):
    return {"version": "5.5.0", "imagePath": "0.jpg", "imageHeight": size[0], "imageWidth": size[1], "shapes": shapes}


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def saved(tmp_path, content):
    path = tmp_path / "mask.json"
    path.write_text(json.dumps(content))
    return path


def test_labelme_shapes_are_objects_by_label_and_group(tmp_path):
    part = BytesIO()
    Image.fromarray(np.eye(4, dtype=bool)).save(part, "PNG")
    path = saved(
        tmp_path,
        labelme(
            shape("dog", [[4, 3], [20, 3], [20, 12], [4, 12]]),
            shape("dog", [[22, 28], [38, 15]], "rectangle"),
            shape("cat", [[1, 20], [5, 20], [5, 25], [1, 25]], group_id=7),
            shape("cat", [[8, 20], [9, 25]], "rectangle", group_id=7),
            shape("ball", [[35, 6], [35, 9]], "circle"),
            shape("net", [[10, 24], [13, 27]], "mask", mask=base64.b64encode(part.getvalue()).decode()),
        ),
    )
    expected = np.zeros((30, 40), np.uint8)
    expected[3:12, 4:20] = 1
    expected[15:28, 22:38] = 2
    expected[20:25, 1:5] = expected[20:25, 8:9] = 3
    y, x = np.mgrid[:30, :40] + 0.5
    expected[(y - 6) ** 2 + (x - 35) ** 2 < 9] = 4
    expected[24:28, 10:14][np.eye(4, dtype=bool)] = 5
    reader = MaskReader()
    np.testing.assert_array_equal(reader.read(path), expected)
    assert reader.notes == [
        f"{path}: dog is object 1, dog 2 is object 2, cat is object 3, ball is object 4, net is object 5"
    ]
    saved(tmp_path, labelme(shape("ball", [[0, 0], [9, 9]], "rectangle")))
    assert reader.read(path)[3, 3] == 4


def coco_file(segmentations, images=1, **more):
    return {
        "images": [{"id": n, "file_name": f"{n:05d}.jpg", "height": 30, "width": 40} for n in range(images)],
        "annotations": [
            {"id": n, "image_id": images - 1, "category_id": 17, "segmentation": one, "iscrowd": 0, **more}
            for n, one in enumerate(segmentations)
        ],
        "categories": [{"id": 17, "name": "cat"}],
    }


def test_run_lengths_of_coco_compressed_and_not(places, tmp_path):
    packed = coco.encode(np.asfortranarray((places == 1).astype(np.uint8)))
    flat = (places == 2).T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    path = saved(
        tmp_path, coco_file([{**packed, "counts": packed["counts"].decode()}, {"size": [30, 40], "counts": counts}])
    )
    reader = MaskReader()
    np.testing.assert_array_equal(reader.read(path), np.array([0, 17, 1])[places])
    assert reader.notes == [f"{path}: cat is object 17, cat 2 is object 1"]


@pytest.mark.parametrize("seed", range(5))
def test_polygons_of_coco_are_those_of_pycocotools_but_for_their_rims(tmp_path, seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radii = rng.uniform(60, 140, 12)
    points = np.stack([160 + radii * np.cos(angles), 150 + radii * np.sin(angles)], -1)
    content = coco_file([[points.ravel().tolist()]])
    content["images"][0] |= {"height": 300, "width": 320}
    ours = read(saved(tmp_path, content)) == 17
    theirs = coco.decode(coco.merge(coco.frPyObjects([points.ravel().tolist()], 300, 320))).astype(bool)
    differing = ours ^ theirs
    rim = np.hypot(*np.gradient(theirs.astype(float))) > 0
    assert ours.sum() > 10_000
    assert not (differing & ~rim).any()
    assert differing.sum() < 0.5 * rim.sum()


def test_tracks_join_shapes_and_frames_choose_images(tmp_path):
    boxes = [[[x, 2, x + 5, 2, x + 5, 9, x, 9]] for x in (1, 20)]
    path = saved(tmp_path, coco_file(boxes, images=3, attributes={"track_id": 4}))
    ids = read(path, frame="00002")
    assert np.flatnonzero(ids.any(0)).tolist() == [1, 2, 3, 4, 5, 20, 21, 22, 23, 24]
    assert np.unique(ids).tolist() == [0, 17]
    with pytest.raises(MaskError, match="holds 3 images, 0 of them of frame 7"):
        read(path, frame="7")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"shapes": [], "imageHeight": None, "imageWidth": 4}, "has 4xNone pixels"),
        (labelme(shape("a", [[1, 1], [2, 2]], "line")), "a line, which has no area"),
        (labelme(shape("a", [[1, float("nan")]])), "points that are none"),
        (labelme({"label": "a"}), "not as labelme or COCO write it"),
        (labelme(size=(10**7, 10**7)), "more than the limit"),
        (labelme(shape("a", [[0, 0]], "mask", mask="bm8=")), "a mask in it is no PNG"),
        (coco_file([{"size": [30, 40], "counts": [7]}]), "don't add up"),
        (coco_file([{"size": [3, 4], "counts": [12]}]), "run lengths of"),
        (coco_file([{"size": [30, 40], "counts": "\x7f~"}]), "none of COCO's"),
        ({"a": 1}, "neither labelme's JSON"),
    ],
)
def test_json_that_holds_no_mask_is_refused_by_reason(tmp_path, content, fault):
    with pytest.raises(VOSError, match=rf"mask\.json: .*{fault}"):
        read(saved(tmp_path, content))


def test_broken_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text('{"shapes": [')
    with pytest.raises(CorruptFileError, match=r"a\.json: this mask is no JSON"):
        read(tmp_path / "a.json")
    with pytest.raises(VOSError, match=r"gone\.json: no such mask"):
        read(tmp_path / "gone.json")
    with pytest.raises(CorruptFileError):
        read(tmp_path)


def test_masks_of_the_same_shape_are_scaled_by_nearest_neighbour():
    mask = np.random.default_rng(0).integers(0, 255, (48, 85)).astype(np.uint8)
    for size in ((480, 854), (24, 43), (48, 85), (1080, 1920)):
        fitted = fit_mask(mask, size)
        assert fitted.shape == size
        for y, x in ((0, 0), (size[0] - 1, size[1] - 1), (size[0] // 3, size[1] // 2)):
            source = int((y + 0.5) * 48 / size[0]), int((x + 0.5) * 85 / size[1])
            assert fitted[y, x] == mask[source]
    for size in ((85, 48), (48, 64), (480, 880)):
        with pytest.raises(MaskError, match=f"the mask is 85×48, the video {size[1]}×{size[0]}"):
            fit_mask(mask, size)
