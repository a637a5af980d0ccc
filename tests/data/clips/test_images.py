import numpy as np
import pytest
import torch

from vos_lightning.data.clips.images import ImageClips, camera_path, moving_image
from vos_lightning.data.clips.sampling import ClipSampling
from vos_lightning.data.layouts.folders import find_images
from vos_lightning.errors import DatasetNotFoundError


def test_paths_are_smooth_start_at_rest_and_stay_in_the_picture():
    for seed in range(30):
        generator = torch.manual_seed(seed)
        corners = camera_path(torch.arange(40), 0.05, generator)
        speed = (corners[1:] - corners[:-1]).norm(dim=-1)
        assert (speed.max(0).values < 1.3 * speed.min(0).values + 0.01).all()
        assert corners.abs().max() < 2
    still = camera_path(torch.arange(9), 0.0, torch.manual_seed(0))
    assert torch.equal(still, still[:1].expand_as(still))


def test_motion_grows_with_the_gap_and_with_strength():
    def travel(times, strength):
        corners = camera_path(torch.tensor(times), strength, torch.manual_seed(3))
        return (corners[-1] - corners[0]).norm().item()

    assert travel([0, 3], 0.05) > 2 * travel([0, 1], 0.05) > 0
    assert travel([0, 1], 0.1) > 1.5 * travel([0, 1], 0.05)


def test_frames_show_the_picture_moving(make):
    image = np.random.default_rng(0).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    smooth = np.asarray(torch.nn.functional.avg_pool2d(torch.tensor(image).permute(2, 0, 1).float()[None], 9, 1, 4)[0])
    image = np.clip((smooth - 127) * 4 + 127, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    frames = moving_image(image, [0, 2, 4], 64, 0.05, torch.manual_seed(1))
    assert frames.shape == (3, 3, 64, 64)
    assert frames.dtype == torch.uint8
    assert (frames[0].float() - frames[1].float()).abs().mean() > 4
    assert (frames[0].float() - frames[2].float()).abs().mean() > (frames[0].float() - frames[1].float()).abs().mean()


def test_pixels_stay_square():
    """A grid of a wide picture keeps its aspect in a view that stands still."""
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    image[:, ::10], image[::10] = 255, 255
    frame = moving_image(image, [0], 200, 0.0, torch.manual_seed(0))[0, 0].float()
    rows, columns = (torch.fft.rfft(frame.mean(axis) - frame.mean()).abs()[3:40].argmax() for axis in (1, 0))
    assert abs(int(rows) - int(columns)) <= 1


def test_clips_hold_the_contract(tmp_path, make):
    make.folder(tmp_path / "a", make.frames(3, 60, 90))
    make.folder(tmp_path / "b", make.frames(1, 90, 60))
    images, _ = find_images(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in images][-1] == "b/00000.jpg"
    clips = ImageClips(images, tmp_path, ClipSampling(4, 1, 3), size=48, clips_per_image=2)
    assert len(clips) == 8
    item = clips[3]
    assert item["frames"].shape == (4, 3, 48, 48)
    assert item["sequence"] == "b/00000"
    assert torch.equal(item["frames"], clips[3]["frames"])
    assert not torch.equal(item["frames"], clips[7]["frames"])


def test_no_pictures_is_said_by_name(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="no picture"):
        find_images(tmp_path)
