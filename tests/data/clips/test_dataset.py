import pytest
import torch

from vos_lightning.data.clips.dataset import ClipDataset, SkippedClip, collate_clips
from vos_lightning.data.clips.sampling import ClipKey, ClipSampling
from vos_lightning.data.layouts.folders import find_videos
from vos_lightning.data.layouts.index import index_videos
from vos_lightning.errors import ExhaustedError, VOSError
from vos_lightning.io import decoder


def dataset(root, size=40, **options):
    sampling = ClipSampling(options.pop("length", 3), 1, options.pop("max_gap", 2))
    return ClipDataset(index_videos(find_videos(root), root, sampling.length).videos, sampling, size, **options)


def test_items_are_uint8_clips_of_one_size(videos):
    clips = dataset(videos)
    for index in range(len(clips)):
        item = clips[index]
        assert item["frames"].shape == (3, 3, 40, 40)
        assert item["frames"].dtype == torch.uint8
        assert item["sequence"] == clips.videos[index].name


def test_frames_are_the_ones_drawn(videos):
    """The brightness of a frame is 5 times its index, so a clip says what it holds."""
    for key in range(30):
        frames = dataset(videos, clips_per_video=5)[key]["frames"].float()
        levels = frames.mean(dim=(1, 2, 3))
        gap = levels[1:] - levels[:-1]
        assert torch.allclose(gap, gap[:1].expand_as(gap), atol=1.5)
        assert min(abs(gap.mean() - 5), abs(gap.mean() - 10)) < 1.5


def test_an_item_depends_on_seed_epoch_and_draw_alone(videos):
    one, two = dataset(videos, seed=1), dataset(videos, seed=1)
    two[4]
    first, second = one[ClipKey(3, 2)], two[ClipKey(3, 2)]
    assert torch.equal(first["frames"], second["frames"])
    assert first["seed"] == second["seed"]
    assert first["seed"] != one[ClipKey(4, 2)]["seed"]
    assert first["seed"] != dataset(videos, seed=2)[ClipKey(3, 2)]["seed"]


def test_an_epoch_is_clips_per_video_of_each(videos):
    clips = dataset(videos, clips_per_video=3)
    assert len(clips) == 18
    names = [clips[index]["sequence"] for index in range(18)]
    assert all(names.count(video.name) == 3 for video in clips.videos)
    with pytest.raises(IndexError):
        clips[18]


def test_an_unreadable_clip_is_skipped_and_named(half_decodable, make):
    make.video(half_decodable / "good.mp4", make.frames(8))
    clips = dataset(half_decodable, length=7, max_gap=1)
    items = clips.__getitems__([0, 1])
    assert isinstance(items[0], SkippedClip)
    assert items[0].sequence == "broken"
    assert "broken/0000" in items[0].reason
    batch = collate_clips(items)
    assert batch["sequence"] == ["good"]
    assert [clip.sequence for clip in batch["skipped"]] == ["broken"]
    assert batch["frames"].shape[0] == len(batch["seed"]) == 1


def test_a_batch_without_any_readable_clip_gets_one(half_decodable, make):
    make.video(half_decodable / "good.mp4", make.frames(8))
    clips = dataset(half_decodable, length=7, max_gap=1)
    batch = collate_clips(clips.__getitems__([ClipKey(0, 0), ClipKey(1, 0)]))
    assert batch["sequence"] == ["good"]
    assert len(batch["skipped"]) == 2


def test_nothing_readable_at_all_is_an_error_with_a_name(half_decodable):
    with pytest.raises(VOSError, match="broken"):
        dataset(half_decodable, length=7, max_gap=1).__getitems__([0])


def test_packets_of_a_video_are_read_once(videos, monkeypatch):
    found = []

    def counting(container, stream):
        found.append(container.name)
        return read_timeline(container, stream)

    read_timeline = decoder.read_timeline
    clips = dataset(videos, clips_per_video=4)
    monkeypatch.setattr(decoder, "read_timeline", counting)
    again = [clips[ClipKey(epoch, index)]["frames"] for epoch in (0, 1) for index in range(len(clips))]
    assert len(found) == len(set(found)) == 4
    for key, frames in enumerate(again[: len(clips)]):
        assert torch.equal(frames, dataset(videos, clips_per_video=4)[key]["frames"])


def test_a_video_that_vanishes_during_training_is_skipped_until_it_is_back(tmp_path, make):
    path = make.video(tmp_path / "a.mp4", make.frames(8))
    make.video(tmp_path / "b.mp4", make.frames(8))
    clips = dataset(tmp_path)
    assert isinstance(clips.__getitems__([0, 1])[0], dict)
    path.rename(tmp_path / "away")
    skipped = clips.__getitems__([0, 1])[0]
    assert isinstance(skipped, SkippedClip)
    assert "a.mp4: this video is gone" in skipped.reason
    (tmp_path / "away").rename(path)
    assert isinstance(clips.__getitems__([0, 1])[0], dict)


def test_a_video_that_is_replaced_during_training(tmp_path, make):
    path = make.video(tmp_path / "a.mp4", make.frames(40))
    make.video(tmp_path / "b.mp4", make.frames(8))
    clips = dataset(tmp_path, max_gap=20)
    assert isinstance(clips.__getitems__([0, 1])[0], dict)
    make.video(path, make.frames(40, shade=20))
    assert "changed" in clips.__getitems__([0, 1])[0].reason
    assert clips[0]["frames"].shape == (3, 3, 40, 40)
    make.video(path, make.frames(3))
    assert "changed" in clips.__getitems__([0, 1])[0].reason
    outcomes = [clips.__getitems__([ClipKey(epoch, 0), 1])[0] for epoch in range(20)]
    reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, SkippedClip)]
    assert reasons
    assert all("a.mp4 has 3 frames" in reason and "it had 40" in reason for reason in reasons)


def test_a_lack_of_open_files_stops_rather_than_leaves_out(videos, no_files_left):
    clips, keys = dataset(videos), [ClipKey(0, draw) for draw in range(4)]
    clips.__getitems__(keys)
    with no_files_left(), pytest.raises(ExhaustedError, match="too many files are open"):
        clips.__getitems__(keys)
