import numpy as np
import pytest
import torch

from vos_lightning.data.clips.sampling import ClipSampling
from vos_lightning.data.layouts.davis import davis_sequences
from vos_lightning.data.layouts.sequences import SequenceDataset
from vos_lightning.data.synthetic.datasets import SyntheticClips, SyntheticSequences, SyntheticSpec, write_davis_tree
from vos_lightning.data.synthetic.videos import SyntheticVideo, texture
from vos_lightning.errors import VOSError

SMALL = SyntheticSpec(num_frames=6, size=(48, 80), num_objects=2)


def test_equal_seeds_give_equal_pixels_in_any_order():
    one, two = SyntheticVideo(5), SyntheticVideo(5)
    late = two.frame(40), two.mask(40)
    one.frame(0)
    assert np.array_equal(one.frame(40), late[0])
    assert np.array_equal(one.mask(40), late[1])
    assert not np.array_equal(one.frame(40), SyntheticVideo(6).frame(40))


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_object_shows_in_the_first_frame(count):
    for seed in range(8):
        video = SyntheticVideo(seed, num_objects=count)
        mask = video.mask(0)
        assert mask.shape == (128, 224)
        assert mask.dtype == np.uint8
        areas = np.bincount(mask.ravel(), minlength=count + 1)
        assert len(areas) == video.num_objects + 1 == count + 1
        assert areas[1:].min() >= 60


def test_one_to_four_objects_unless_told():
    assert {SyntheticVideo(seed).num_objects for seed in range(40)} == {1, 2, 3, 4}


def test_objects_move_and_hide_one_another():
    moved, hidden = 0, 0
    for seed in range(10):
        video = SyntheticVideo(seed, num_objects=4)
        masks = np.stack([video.mask(t) for t in range(0, 48, 4)])
        moved += (masks[0] != masks[-1]).mean() > 0.05
        areas = np.stack([np.bincount(mask.ravel(), minlength=5) for mask in masks])[:, 1:]
        hidden += (areas.min(0) < 0.5 * areas.max(0)).any()
    assert moved == 10
    assert hidden >= 8


def test_the_mask_is_where_the_object_is_drawn():
    """Between a scene with its objects and the same scene without, only the pixels of the masks differ."""
    video = SyntheticVideo(3, num_objects=3)
    with_objects, masks = video.frame(10).astype(int), video.mask(10)
    video._objects = []
    changed = np.abs(with_objects - video.frame(10)).max(-1) > 12
    inside, outside = changed[masks > 0].mean(), changed[masks == 0].mean()
    assert inside > 0.8
    assert outside < 0.02


def test_the_light_drifts():
    means = [SyntheticVideo(1).frame(t).mean() for t in range(0, 48, 3)]
    assert max(means) / min(means) > 1.08


def test_frames_end():
    with pytest.raises(IndexError):
        SyntheticVideo(0, num_frames=4).frame(4)


def test_textures_use_all_scales_and_stay_in_range():
    pattern = texture(64, 96, torch.rand(4, 3, generator=torch.manual_seed(0)), torch.manual_seed(1))
    assert pattern.shape == (3, 64, 96)
    assert 0 <= pattern.min() < pattern.max() <= 1
    assert (pattern[:, 1:] - pattern[:, :-1]).abs().mean() > 0.005


def test_clips_and_sequences_come_from_the_same_videos():
    clips = SyntheticClips(SMALL, range(3), ClipSampling(2, 1, 1), size=48)
    item = clips[1]
    assert item["frames"].shape == (2, 3, 48, 48)
    assert item["sequence"] == "synthetic-00001"
    sequence = SyntheticSequences(SMALL, [1])[0]
    assert sequence["object_ids"] == [1, 2]
    assert len(sequence["frames"]) == len(sequence["targets"]) == 6
    assert np.array_equal(sequence["prompts"][0], sequence["targets"][0])
    assert sequence["frames"].size == sequence["frames"][2].shape[:2] == (48, 80)
    assert sequence["frames"].read([1], short_side=24)[0].shape == (24, 40, 3)


def test_clips_can_be_larger_than_the_video():
    assert SyntheticClips(SMALL, [0], ClipSampling(2), size=64)[0]["frames"].shape == (2, 3, 64, 64)


@pytest.mark.parametrize("year", ["2016", "2017"])
def test_a_written_tree_reads_back(tmp_path, year):
    write_davis_tree(tmp_path, train=[1], val=[2, 3], spec=SMALL, year=year)
    assert [r.name for r in davis_sequences(tmp_path, year, "train")] == ["synthetic-00001"]
    item = SequenceDataset(davis_sequences(tmp_path, year, "val"))[0]
    video = SMALL.video(2)
    expected = np.where(video.mask(5) > 0, 255, 0) if year == "2016" else video.mask(5)
    assert np.array_equal(item["targets"][5], expected)
    assert np.abs(item["frames"][5].astype(int) - video.frame(5)).mean() < 6


def test_a_tree_cut_short_is_completed_not_rewritten(tmp_path):
    write_davis_tree(tmp_path, train=[], val=[2], spec=SMALL)
    folder = tmp_path / "Annotations/480p/synthetic-00002"
    kept = (folder / "00001.png").stat().st_mtime_ns
    (folder / "00004.png").unlink()
    write_davis_tree(tmp_path, train=[], val=[2], spec=SMALL)
    assert (folder / "00001.png").stat().st_mtime_ns == kept
    assert len(list(folder.iterdir())) == 6


@pytest.mark.parametrize("name", ["bear", "synthetic-cats"])
def test_lists_of_other_sequences_are_not_replaced(tmp_path, name):
    lists = tmp_path / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text(f"synthetic-00001\n{name}\n")
    with pytest.raises(VOSError, match=rf"val\.txt: lists other sequences, such as {name}"):
        write_davis_tree(tmp_path, train=[1], val=[2], spec=SMALL)
    assert (lists / "val.txt").read_text() == f"synthetic-00001\n{name}\n"
    assert not (tmp_path / "JPEGImages").exists()
