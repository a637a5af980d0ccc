from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vos_lightning.data.clips.sampling import ClipKey, ClipSampler, ClipSampling, clip_generator
from vos_lightning.errors import VOSError


def draws(sampling, num_frames, fps=10.0, count=300):
    generator = torch.manual_seed(0)
    return [sampling.indices(num_frames, fps, generator) for _ in range(count)]


def gaps(clips):
    return {later - earlier for clip in clips for earlier, later in pairwise(clip)}


def test_every_gap_and_every_start_is_drawn():
    clips = draws(ClipSampling(2, min_gap=1, max_gap=3), num_frames=6, count=2000)
    assert gaps(clips) == {1, 2, 3}
    assert {tuple(clip) for clip in clips} == {(s, s + g) for g in (1, 2, 3) for s in range(6 - g)}


def test_gaps_and_starts_are_drawn_evenly():
    clips = draws(ClipSampling(2, 1, 2), num_frames=5, count=4000)
    share = Counter(clip[1] - clip[0] for clip in clips)
    assert abs(share[1] / 4000 - 0.5) < 0.03
    starts = Counter(clip[0] for clip in clips if clip[1] - clip[0] == 1)
    assert all(abs(starts[s] / share[1] - 0.25) < 0.04 for s in range(4))


def test_a_fixed_gap():
    assert gaps(draws(ClipSampling(4, 2, 2), num_frames=40)) == {2}


def test_a_short_video_takes_the_largest_gap_that_fits():
    assert draws(ClipSampling(3, 5, 9), num_frames=5, count=5) == [[0, 2, 4]] * 5
    assert draws(ClipSampling(3, 5, 9), num_frames=3, count=1) == [[0, 1, 2]]


def test_gaps_in_seconds_follow_the_frame_rate():
    sampling = ClipSampling(2, seconds=(0.2, 0.2))
    assert gaps(draws(sampling, 600, fps=10.0)) == {2}
    assert gaps(draws(sampling, 600, fps=60.0)) == {12}
    assert gaps(draws(sampling, 600, fps=1.0)) == {1}
    assert gaps(draws(ClipSampling(2, seconds=(0.1, 0.3)), 600, fps=30.0)) == set(range(3, 10))


@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 6), st.integers(1, 60), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_indices_are_in_the_video_and_ordered(length, low, extra, num_frames, seed):
    sampling = ClipSampling(length, low, low + extra)
    generator = torch.Generator().manual_seed(seed)
    if num_frames < length:
        with pytest.raises(VOSError, match="frames, a clip needs"):
            sampling.indices(num_frames, 25.0, generator)
        return
    clip = sampling.indices(num_frames, 25.0, generator)
    assert len(clip) == length
    assert clip[0] >= 0
    assert clip[-1] < num_frames
    assert len(gaps([clip])) <= 1
    assert all(1 <= gap <= low + extra for gap in gaps([clip]))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"length": 0}, "clip_length"),
        ({"min_gap": 0}, "min_gap"),
        ({"min_gap": 4, "max_gap": 2}, "max_gap"),
        ({"seconds": (0.0, 1.0)}, "gap_seconds"),
        ({"seconds": (2.0, 1.0)}, "gap_seconds"),
        ({"seconds": (float("inf"), float("inf"))}, "gap_seconds"),
    ],
)
def test_nonsense_is_refused_by_name(options, name):
    with pytest.raises(VOSError, match=name):
        ClipSampling(**options)


def ranks(total, world, epoch=0):
    samplers = [ClipSampler(range(total), seed=3, num_replicas=world, rank=rank) for rank in range(world)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_the_ranks_share_an_epoch(world):
    keys = [key for rank in ranks(12, world) for key in rank]
    assert sorted(key.draw for key in keys) == list(range(12))
    assert {key.epoch for key in keys} == {0}


def test_ranks_that_do_not_divide_the_epoch_get_fresh_draws_not_repeats():
    shares = ranks(10, 4)
    assert {len(share) for share in shares} == {3}
    assert sorted(key.draw for share in shares for key in share) == list(range(12))


def test_the_order_changes_with_the_epoch_and_comes_back():
    assert ranks(50, 1, epoch=1) != ranks(50, 1, epoch=2)
    assert ranks(50, 1, epoch=1) == ranks(50, 1, epoch=1)
    assert [key.draw for key in ranks(50, 1)[0]] != list(range(50))


def test_unshuffled_order_is_natural():
    assert [key.draw for key in ClipSampler(range(5), shuffle=False)] == list(range(5))


def test_skip_applies_once_and_to_its_epoch():
    sampler = ClipSampler(range(10))
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.skip = (2, 4)
    assert sampler.skipped() == 4
    assert list(sampler) == whole[4:]
    assert list(sampler) == whole
    sampler.skip = (1, 4)
    assert list(sampler) == whole


def test_clip_generators_differ_for_neighbouring_keys():
    values = [
        torch.rand((), generator=clip_generator(seed, ClipKey(epoch, draw))).item()
        for seed in range(3)
        for epoch in range(10)
        for draw in range(50)
    ]
    assert len(set(values)) == len(values)
    assert abs(sum(values) / len(values) - 0.5) < 0.03
