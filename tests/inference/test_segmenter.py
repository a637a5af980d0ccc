"""The front door: kinds of input, ids as given, nonsense refused by name."""

import numpy as np
import pytest
import torch
from PIL import Image

from vos_lightning import VideoSegmenter
from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.prompts import as_ids
from vos_lightning.inference.tracking.backward import _reversed
from vos_lightning.inference.tracking.uncertainty import expected_region_similarity
from vos_lightning.io.masks import write_mask
from vos_lightning.io.writers import VideoWriter


@pytest.fixture(scope="module")
def segmenter():
    return VideoSegmenter(weights="lab", device="cpu")


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_follows_a_moving_square_and_keeps_its_id(segmenter, moving_square):
    frames, truth = moving_square
    masks = list(segmenter.segment(frames, truth[0]))
    assert len(masks) == 6
    assert np.array_equal(masks[0], truth[0])
    for mask, expected in zip(masks, truth, strict=True):
        assert mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 9}
        assert overlap(mask == 9, expected == 9) > 0.7


def test_arrays_tensors_folders_and_videos_are_the_same_to_it(segmenter, moving_square, tmp_path):
    frames, truth = moving_square
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{t:05d}.png")
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "first.png", truth[0])
    expected = np.stack(list(segmenter.segment(frames, truth[0])))
    tensors = [torch.from_numpy(frame).permute(2, 0, 1) for frame in frames]
    assert np.array_equal(np.stack(list(segmenter.segment(tensors, torch.from_numpy(truth[0]).long()))), expected)
    (tmp_path / "frames").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "frames" / path.name)
    from_disk = np.stack(list(segmenter.segment(tmp_path / "frames", tmp_path / "masks" / "first.png")))
    assert np.array_equal(from_disk, expected)

    with VideoWriter(tmp_path / "video.mp4", fps=10) as writer:
        for frame in frames:
            writer.write(frame)
    video = list(segmenter.segment(str(tmp_path / "video.mp4"), truth[0]))
    assert len(video) == 6
    assert overlap(video[-1] == 9, expected[-1] == 9) > 0.9


def test_frames_stream(segmenter, moving_square):
    """Masks come before the video has ended: no more than a few frames are read ahead."""
    frames, truth = moving_square
    taken = []

    def endless():
        t = 0
        while True:
            taken.append(t)
            yield frames[t % 2]
            t += 1

    masks = segmenter.segment(endless(), truth[0])
    for _ in range(3):
        next(masks)
    masks.close()
    assert len(taken) < 12


def test_an_object_added_later_leaves_the_track_of_the_first(segmenter, moving_square):
    frames, truth = moving_square
    alone = list(segmenter.segment(frames, truth[0]))
    late = np.zeros_like(truth[0])
    late[45:58, 60:80] = 4
    segmenter.add_object(late, at=2)
    both = list(segmenter.segment(frames, truth[0]))
    assert np.array_equal(both[2][45:58, 60:80], late[45:58, 60:80])
    assert all(4 not in mask for mask in both[:2])
    assert overlap(both[5] == 4, late == 4) > 0.9
    for mask, expected in zip(both, alone, strict=True):
        assert overlap(mask == 9, expected == 9) > 0.97
    assert all(4 not in mask for mask in segmenter.segment(frames, truth[0]))  # the next video starts afresh


def late_object(truth):
    late = np.zeros_like(truth[0])
    late[45:58, 60:80] = 4
    return late


def test_an_object_added_while_a_video_is_segmented_joins_this_one_and_no_other(segmenter, moving_square):
    frames, truth = moving_square
    masks = segmenter.segment(frames, truth[0])
    first = [next(masks), next(masks)]
    segmenter.add_object(late_object(truth), at=3)
    both = first + list(masks)
    assert [4 in mask for mask in both] == [False, False, False, True, True, True]
    assert all(4 not in mask for mask in segmenter.segment(frames, truth[0]))


def test_an_object_for_a_frame_that_was_tracked_already_is_refused(segmenter, moving_square):
    frames, truth = moving_square
    masks = segmenter.segment(frames, truth[0])
    next(masks), next(masks)
    with pytest.raises(MaskError, match="frame 1, which was tracked already"):
        segmenter.add_object(late_object(truth), at=1)
    masks.close()


@pytest.mark.parametrize("ending", ["refused mask", "closed", "abandoned", "failed"])
def test_an_object_does_not_leak_into_the_next_video(segmenter, moving_square, ending):
    frames, truth = moving_square
    segmenter.add_object(late_object(truth), at=2)
    if ending == "refused mask":
        with pytest.raises(MaskError):
            segmenter.segment(frames, np.zeros_like(truth[0]))
    elif ending == "failed":
        with pytest.raises(VOSError):
            list(segmenter.segment([frames[0], "no frame"], truth[0]))
    else:
        masks = segmenter.segment(frames, truth[0])
        next(masks)
        if ending == "closed":
            masks.close()
        del masks
    assert all(4 not in mask for mask in segmenter.segment(frames, truth[0]))


def test_an_object_added_after_a_video_waits_for_the_next(segmenter, moving_square):
    frames, truth = moving_square
    assert len(list(segmenter.segment(frames, truth[0]))) == 6
    segmenter.add_object(late_object(truth), at=2)
    assert 4 in list(segmenter.segment(frames, truth[0]))[2]


def test_steps_backward_follow_an_object_to_the_start(segmenter, moving_square):
    frames, truth = moving_square
    track = segmenter.tracker()
    masks = [track.step(frame, truth[-1] if t == 0 else None) for t, frame in enumerate(frames[::-1])]
    assert track.object_ids == [9]
    assert overlap(masks[-1] == 9, truth[0] == 9) > 0.7


def test_a_remembered_frame_tells_of_a_look_that_the_first_does_not_know(segmenter, moving_square):
    """The square turns blue in the fourth frame; a mask of the last frame is given as well."""
    frames, truth = moving_square
    frames = frames.copy()
    for frame, mask in zip(frames[3:], truth[3:], strict=True):
        frame[mask == 9] = (10, 40, 250)
    found = []
    for remembers in (False, True):
        track = segmenter.tracker()
        if remembers:
            track.remember(frames[-1], truth[-1])
        masks = [track.step(frame, truth[0] if t == 0 else None) for t, frame in enumerate(frames[:-1])]
        found.append(overlap(masks[-1] == 9, truth[-2] == 9))
    assert found[1] > 0.7 > 0.3 > found[0]
    with pytest.raises(VOSError, match="before the first step"):
        track.remember(frames[-1], truth[-1])


@pytest.mark.parametrize("kind", ["array", "list", "folder"])
def test_an_object_given_in_the_middle_is_followed_both_ways(segmenter, moving_square, kind, tmp_path):
    frames, truth = moving_square
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{t:05d}.png")
    source = {"array": frames, "list": list(frames), "folder": tmp_path}[kind]
    masks = list(segmenter.segment(source, prompts={3: truth[3]}, backward=True))
    assert np.array_equal(masks[3], truth[3])
    assert all(overlap(mask == 9, expected == 9) > 0.7 for mask, expected in zip(masks, truth, strict=True))
    forward = list(segmenter.segment(source, prompts={3: truth[3]}))
    assert [mask.any() for mask in forward] == [False, False, False, True, True, True]
    assert all(np.array_equal(a, b) for a, b in zip(masks[3:], forward[3:], strict=True))


def test_backward_each_object_begins_where_it_was_given_first(segmenter, moving_square):
    frames, truth = moving_square
    late = np.where(late_object(truth) > 0, 4, np.roll(truth[5], 2, 0))
    masks = list(segmenter.segment(frames, truth[0], prompts={5: late}, backward=True))
    alone = list(segmenter.segment(frames, truth[0]))
    for mask, expected in zip(masks[:5], alone, strict=False):
        assert np.array_equal(mask == 9, expected == 9)  # a correction of a known object tells nothing of before
        assert overlap(mask == 4, late == 4) > 0.8


def test_backward_reads_whole_videos_from_their_end(monkeypatch):
    monkeypatch.setattr("vos_lightning.inference.tracking.backward.READ_AT_ONCE", 3)
    assert [t for t, _ in _reversed(list("abcdefghij"), 7)] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert "".join(frame for _, frame in _reversed(list("abcdefghij"), 7)) == "hgfedcba"


def test_backward_needs_frames_in_any_order_and_masks_within_them(segmenter, moving_square):
    frames, truth = moving_square
    with pytest.raises(VOSError, match="backward needs frames that can be read in any order"):
        segmenter.segment(iter(frames), truth[0], backward=True)
    with pytest.raises(MaskError, match="frame 17, but the video has 6"):
        list(segmenter.segment(frames, prompts={17: truth[0]}, backward=True))


def test_uncertainty_is_what_the_remembered_probabilities_doubt(segmenter, moving_square):
    frames, truth = moving_square
    track = segmenter.tracker()
    track.step(frames[0], truth[0])
    assert track.uncertainty == {9: 0.0}
    for t, frame in enumerate(frames[1:], start=1):
        track.step(frame)
        probs = track._propagator._memory.read([t])[1][0, 0, 1:]
        expected = 1 - expected_region_similarity(probs).item()
        assert 0 < expected < 0.5
        assert track.uncertainty == {9: pytest.approx(expected)}


def test_void_beside_ids_is_not_followed_and_alone_it_is_an_object(segmenter, moving_square):
    frames, truth = moving_square
    beside, alone = truth[0].copy(), np.where(truth[0] > 0, 255, 0)
    beside[:5] = 255
    assert set(np.unique(np.stack(list(segmenter.segment(frames, beside))))) == {0, 9}
    assert set(np.unique(np.stack(list(segmenter.segment(frames, alone))))) == {0, 255}


def test_max_size_keeps_the_size_of_the_masks(moving_square):
    frames, truth = moving_square
    masks = list(VideoSegmenter(weights="lab", device="cpu", max_size=60).segment(frames, truth[0]))
    assert masks[-1].shape == (60, 90)
    assert overlap(masks[-1] > 0, truth[-1] > 0) > 0.6


def test_a_dtype_wide_mask_of_whole_ids_is_taken():
    assert as_ids(np.array([[0.0, 3.0]])).tolist() == [[0, 3]]


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((60, 90), np.uint8), "holds no object"),
        (np.ones((60, 90, 3), np.uint8), "expected integer ids"),
        (np.full((60, 90), 0.5), "expected whole ids"),
        (np.full((60, 90), 300), "expected whole ids"),
        (np.full((60, 90), -1), "expected whole ids"),
        (np.full((60, 90), np.nan), "expected whole ids"),
        (None, "no mask was given"),
    ],
)
def test_masks_that_make_no_sense_are_refused_at_once(segmenter, moving_square, mask, message):
    with pytest.raises(MaskError, match=message):
        segmenter.segment(moving_square[0], mask)


def test_a_mask_of_another_size_is_refused(segmenter, moving_square):
    with pytest.raises(MaskError, match=r"80×50.*90×60"):
        list(segmenter.segment(moving_square[0], np.ones((50, 80), np.uint8)))


def test_a_mask_beyond_the_end_is_reported(segmenter, moving_square):
    frames, truth = moving_square
    with pytest.raises(MaskError, match="frame 17, but the video has 6"):
        list(segmenter.segment(frames, truth[0], prompts={17: truth[0]}))


@pytest.mark.parametrize(
    "frame", [np.zeros((60, 90, 3)), np.zeros((60, 90), np.uint8), np.zeros((60, 90, 4), np.uint8)]
)
def test_frames_that_are_not_rgb_bytes_are_refused(segmenter, moving_square, frame):
    with pytest.raises(VOSError, match="frame 0 is"):
        list(segmenter.segment([frame], moving_square[1][0]))


def test_a_video_without_frames_is_refused(segmenter, moving_square):
    with pytest.raises(VOSError, match="no frame"):
        list(segmenter.segment([], moving_square[1][0]))


def test_a_source_may_use_one_buffer_for_all_frames(segmenter, moving_square):
    frames, truth = moving_square

    def one_buffer():
        buffer = np.empty_like(frames[0])
        for frame in frames:
            buffer[:] = frame
            yield buffer

    for mask, expected in zip(
        segmenter.segment(one_buffer(), truth[0]), segmenter.segment(frames, truth[0]), strict=True
    ):
        assert np.array_equal(mask, expected)


def test_objects_given_one_by_one_for_the_same_frame_are_all_followed(segmenter, moving_square):
    frames, truth = moving_square
    other = np.zeros_like(truth[0])
    other[45:58, 60:80] = 4
    segmenter.add_object(other, at=0)
    assert set(np.unique(next(segmenter.segment(frames, truth[0])))) == {0, 4, 9}


@pytest.mark.parametrize("at", [-1, 2.5, "3"])
def test_an_index_that_no_frame_has_is_refused(segmenter, moving_square, at):
    with pytest.raises(MaskError, match="expected the index of a frame"):
        segmenter.add_object(moving_square[1][0], at=at)


@pytest.mark.parametrize("frames", [None, 3, [object()], ["a.png"]])
def test_frames_that_are_no_frames_are_refused(segmenter, moving_square, frames):
    with pytest.raises(VOSError, match="expected"):
        list(segmenter.segment(frames, moving_square[1][0]))


@pytest.mark.parametrize("options", [{"device": "banana"}, {"device": "cuda:99"}, {"max_size": 0}, {"max_size": 20.5}])
def test_options_that_make_no_sense_are_refused_at_once(options):
    with pytest.raises(VOSError, match=next(iter(options))):
        VideoSegmenter(weights="lab", **options)
