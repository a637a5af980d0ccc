"""Videos and masks at the edge of what there is: masks of the right shape with known ids, or one clear line."""

import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vos_lightning.errors import VOSError
from vos_lightning.evaluation.scoring import evaluate_folder
from vos_lightning.inference.segmenter import VideoSegmenter
from vos_lightning.io.frames import open_frames
from vos_lightning.io.masks import read_mask, write_mask
from vos_lightning.io.writers import MaskWriter, VideoWriter


@pytest.fixture(scope="module", params=["lab", "default"])
def segmenter(request):
    """The tracker that learned nothing, and the one that comes with the package."""
    return VideoSegmenter(request.param, device="cpu")


def square(height=37, width=53, value=3):
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = value
    return mask


FRAMES = {
    "black": lambda noise: np.zeros_like(noise),
    "white": lambda noise: np.full_like(noise, 255),
    "grey": lambda noise: np.full_like(noise, 127),
    "noise": lambda noise: noise,
    "still": lambda noise: noise[:1].repeat(4, 0),
    "flashes": lambda noise: noise * (np.arange(len(noise)) % 2).astype(np.uint8)[:, None, None, None],
    "one frame": lambda noise: noise[:1],
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_with_nothing_to_see(segmenter, noise, kind):
    frames, mask = FRAMES[kind](noise(4, 37, 53)), square()
    masks = list(segmenter.segment(frames, mask))
    assert len(masks) == len(frames)
    np.testing.assert_array_equal(masks[0], mask)
    for got in masks:
        assert (got.shape, got.dtype) == (mask.shape, np.uint8)
        assert set(np.unique(got).tolist()) <= {0, 3}


@pytest.mark.parametrize("size", [(1, 1), (1, 53), (53, 1), (2, 3), (5, 4), (31, 33), (97, 129)])
def test_sizes_of_all_kinds(segmenter, noise, size):
    mask = np.ones(size, np.uint8)
    masks = list(segmenter.segment(noise(3, *size), mask))
    assert [got.shape for got in masks] == [size] * 3
    np.testing.assert_array_equal(masks[-1], mask)


def test_objects_of_one_pixel_and_very_many(segmenter, noise):
    mask = np.zeros((37, 53), np.uint8)
    mask[18, 26], mask[0, 0], mask[36, 52] = 9, 200, 254
    masks = list(segmenter.segment(noise(3, 37, 53), mask))
    np.testing.assert_array_equal(masks[0], mask)
    assert set(np.unique(masks[-1]).tolist()) <= {0, 9, 200, 254}
    many = (np.arange(37 * 53) % 255).astype(np.uint8).reshape(37, 53)
    assert len(list(segmenter.segment(noise(2, 37, 53), many))) == 2


def test_a_folder_whose_frames_change_size_is_told(segmenter, noise, tmp_path):
    for index, frame in enumerate(noise(4, 37, 53)):
        Image.fromarray(frame[:20] if index == 2 else frame).save(tmp_path / f"{index}.png")
    with pytest.raises(VOSError, match=r"frame 2 is .*all of one size"):
        list(segmenter.segment(tmp_path, square()))


def test_images_of_all_modes_are_frames(segmenter, noise, tmp_path):
    frame = Image.fromarray(noise(1, 37, 53)[0])
    for index, mode in enumerate(("RGB", "L", "RGBA", "P", "1", "LA")):
        frame.convert(mode).save(tmp_path / f"{index}.png")
    frame.convert("CMYK").save(tmp_path / "6.jpg")
    assert len(list(segmenter.segment(tmp_path, square()))) == 7
    Image.fromarray(np.zeros((37, 53), np.uint16)).save(tmp_path / "7.png")
    with pytest.raises(VOSError, match=r"7\.png: frames have 8 bits per channel.*convert this image"):
        list(segmenter.segment(tmp_path, square()))


def video(path, frames, pts=None, rotation=None, codec="libx264", pixels="yuv420p"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if rotation is not None:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV can't write rotated videos")
            stream.set_display_rotation(rotation)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgba" if frame.shape[2] == 4 else "rgb24")
            if pts is not None:
                picture.pts = pts[index]
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rotation", [None, 90, 180, 270])
def test_rotated_videos_take_masks_as_they_are_seen(segmenter, noise, tmp_path, rotation):
    path = video(tmp_path / "a.mp4", noise(4, 48, 64), rotation=rotation)
    size = (64, 48) if rotation in (90, 270) else (48, 64)
    assert open_frames(path).size == size
    masks = list(segmenter.segment(path, square(*size)))
    assert [mask.shape for mask in masks] == [size] * 4


def test_variable_frame_rates_and_alpha(segmenter, noise, tmp_path):
    path = video(tmp_path / "a.mp4", noise(5, 48, 64), pts=[0, 1, 30, 31, 900])
    assert len(list(segmenter.segment(path, square(48, 64)))) == 5
    frames = np.concatenate([noise(3, 48, 64), noise(3, 48, 64)[..., :1]], axis=3)
    path = video(tmp_path / "alpha.mov", frames, codec="qtrle", pixels="argb")
    assert len(list(segmenter.segment(path, square(48, 64)))) == 3


def test_scores_of_single_pixels_and_of_nothing(tmp_path):
    point, empty = np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8)
    point[4, 4] = 1
    for folder, masks in (("truth", [point, point, empty, point]), ("results", [point, empty, empty, point])):
        with MaskWriter(tmp_path / folder / "a") as writer:
            for index, mask in enumerate(masks):
                writer.write(f"{index:05d}", mask)
    report = evaluate_folder(tmp_path / "results", tmp_path / "truth")
    assert report.sequences[0].J[:, 0].tolist() == [0, 1]
    assert report.sequences[0].F[:, 0].tolist() == [0, 1]


def there_and_back(step, most):
    """0, 1, …, most, most - 1, …, 0, 1, …"""
    return most - abs(step % (2 * most) - most)


def truth(index, height=48, width=64, side=24):
    """The mask of a square that bounces off the borders."""
    top, left = there_and_back(index, height - side), there_and_back(2 * index, width - side)
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


def overlap(one, other):
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


def peak_memory(process):
    """The most memory that a running process has had, in KiB; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


@pytest.mark.slow
def test_ten_thousand_frames_are_followed_to_the_end_in_bounded_memory(start, tmp_path):
    count, masks = 10_000, tmp_path / "masks"
    rng = np.random.default_rng(0)
    background = rng.integers(0, 110, (12, 16, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    with VideoWriter(tmp_path / "long.mp4", 25) as writer:
        for index in range(count):
            writer.write(np.where(truth(index)[..., None] > 0, np.uint8([235, 220, 245]), background))
    write_mask(tmp_path / "first.png", truth(0))
    first = ("--mask", tmp_path / "first.png", "--output", masks, "--weights", "lab", "--device", "cpu")
    process = start("segment", tmp_path / "long.mp4", *first)
    early = peak = 0
    while process.poll() is None:
        peak = max(peak, peak_memory(process))
        if not early and (masks / "01000.png").exists():
            early = peak
        time.sleep(0.05)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert f"{count} masks in " in out
    assert sorted(path.name for path in masks.glob("[!.]*")) == [f"{index:05d}.png" for index in range(count)]
    assert 0 < early <= peak < early + 6 * 1024, f"{early} KiB after 1000 frames, {peak} at the end"
    scores = [overlap(read_mask(masks / f"{index:05d}.png") > 0, truth(index) > 0) for index in range(count)]
    copied = np.mean([overlap(truth(0) > 0, truth(index) > 0) for index in range(count)])
    assert scores[0] == 1
    assert np.mean(scores[-1000:]) > max(0.65, copied + 0.2)
    assert np.mean(scores[-1000:]) > np.mean(scores[:1000]) - 0.05  # nothing drifts away
