"""Online adaptation of one sequence: what goes in, what comes out, and that nothing else is touched."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vos_lightning import VideoSegmenter
from vos_lightning.data.synthetic.videos import SyntheticVideo
from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.adaptation import CPU_SETTINGS, PAPER_SETTINGS, AdapterSettings, adapt
from vos_lightning.inference.adaptation.adapter import put_over
from vos_lightning.inference.adaptation.curve import Monitor

TINY = AdapterSettings(steps=40, size=64, width=0.125, learning_rate=5e-3, batch_size=2, refresh_every=1)
FEW = replace(TINY, steps=3, refresh_steps=2, min_fit=0.0, prior=0.0)


def run(frames, masks, settings=FEW, **options):
    return np.stack(list(adapt(frames, masks, settings=settings, **options)))


def overlap(a, b):
    return (a & b).sum() / max(1, (a | b).sum())


@pytest.mark.parametrize("mode", ["offline", "causal"])
def test_it_removes_what_the_object_does_not_look_like(moving_square, mode):
    """Propagated masks drag a patch of the background along; the first mask is clean."""
    frames, truth = moving_square
    drifted = truth.copy()
    for t in range(1, 6):
        drifted[t, 44:56, 30 + 3 * t : 50 + 3 * t] = 9
    settings = replace(TINY, mode=mode, prior=0.0, min_frame_weight=0.01, frame_decay=0.3, refresh_steps=12)
    masks = run(frames, drifted, settings)
    assert np.array_equal(masks[0], truth[0])
    assert set(np.unique(masks)) <= {0, 9}
    before = np.mean([overlap(a > 0, b > 0) for a, b in zip(drifted[3:], truth[3:], strict=True)])
    after = np.mean([overlap(a > 0, b > 0) for a, b in zip(masks[3:], truth[3:], strict=True)])
    assert after > before + 0.1


@pytest.mark.parametrize("mode", ["offline", "causal"])
def test_masks_depend_on_the_name_and_on_nothing_that_ran_before(moving_square, mode):
    frames, truth = moving_square
    settings = replace(FEW, mode=mode)
    first = run(frames, truth, settings, sequence="a")
    torch.rand(7)
    np.random.rand(3)
    other = run(frames, truth, settings, sequence="b")
    assert np.array_equal(run(frames, truth, settings, sequence="a"), first)
    assert not np.array_equal(other, first)


def test_global_random_states_stay(moving_square):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    run(*moving_square)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize(
    "surroundings", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_it_learns_the_same_within_inference_mode_and_autocast(moving_square, surroundings):
    expected = run(*moving_square)
    with surroundings():
        masks = run(*moving_square)
    assert np.array_equal(masks, expected)


def test_an_iterator_gives_what_a_list_gives(moving_square):
    frames, truth = moving_square
    assert np.array_equal(run((f for f in frames), iter(truth)), run(list(frames), truth))


def test_scoring_during_training_changes_nothing_and_gives_both_curves(moving_square):
    frames, truth = moving_square
    logged = []
    monitor = Monitor(logged.append, every=2, targets=list(truth))
    masks = run(frames, truth, monitor=monitor)
    assert np.array_equal(masks, run(frames, truth))
    assert [point.step for point in logged] == [2, 3]
    assert logged == monitor.points
    assert logged[-1].metrics()["adapter/JF"] == pytest.approx(logged[-1].metrics()["adapter/JF_propagated"])


def test_without_truth_there_is_no_score_against_it(moving_square):
    monitor = Monitor(every=3)
    run(*moving_square, monitor=monitor)
    assert "adapter/JF" not in monitor.points[0].metrics()
    assert "adapter/JF_propagated" in monitor.points[0].metrics()


@pytest.mark.parametrize("mode", ["offline", "causal"])
def test_a_video_of_one_frame(moving_square, mode):
    frames, truth = moving_square
    assert np.array_equal(run(frames[:1], truth[:1], replace(FEW, mode=mode)), truth[:1])


def test_a_video_without_an_object_stays_empty(moving_square):
    frames, truth = moving_square
    assert not run(frames, np.zeros_like(truth)).any()


def test_eight_objects_and_one_that_vanishes():
    video = SyntheticVideo(3, num_frames=4, size=(96, 128), num_objects=8)
    frames, masks = [video.frame(t) for t in range(4)], np.stack([video.mask(t) for t in range(4)])
    assert video.num_objects == 8
    masks = np.array([0, 3, 250, 7, 9, 11, 13, 17, 19], np.uint8)[masks]
    masks[2:][masks[2:] == 250] = 0
    result = run(frames, masks)
    assert np.array_equal(result[0], masks[0])
    assert set(np.unique(result)) <= set(np.unique(masks[0]))


@pytest.mark.parametrize("mode", ["offline", "causal"])
def test_objects_are_not_there_before_they_are_given_and_given_masks_are_kept(moving_square, mode):
    frames, truth = moving_square
    masks, late = truth.copy(), np.zeros_like(truth[0])
    masks[0] = 0
    late[45:58, 60:80] = 4
    masks[3:][:, late == 4] = 4
    result = run(frames, masks, replace(FEW, mode=mode), given={1: truth[1], 3: late})
    assert not result[0].any()
    assert np.array_equal(result[1], truth[1])
    assert not (result[:3] == 4).any()
    assert np.array_equal(result[3] == 4, late == 4)


def test_what_could_not_be_learned_keeps_its_propagated_mask(moving_square):
    frames, truth = moving_square
    assert np.array_equal(run(frames, truth, replace(FEW, min_fit=1.1)), truth)


def test_a_strong_prior_is_the_propagated_mask(moving_square):
    frames, truth = moving_square
    assert np.array_equal(run(frames, truth, replace(FEW, prior=1e6)), truth)


@pytest.mark.parametrize("budget", [{"steps": 0}, {"seconds": 0.0}])
def test_without_a_budget_masks_are_the_propagated_ones(moving_square, budget):
    frames, truth = moving_square
    assert np.array_equal(run(frames, truth, replace(FEW, **budget)), truth)


def test_the_wall_clock_budget_is_kept_within_a_step(moving_square, monkeypatch):
    from vos_lightning.inference.adaptation import network

    clock = iter(range(1000))
    monkeypatch.setattr(network.time, "monotonic", lambda: float(next(clock)))
    steps = []
    frames, truth = moving_square
    monitor = Monitor(lambda point: steps.append(point.step), every=1)
    run(frames, truth, replace(FEW, steps=30, seconds=4.0), monitor=monitor)
    assert steps == [1, 2, 3, 4]  # each takes a second of this clock


def test_frames_and_masks_of_other_numbers_or_sizes_raise(moving_square):
    frames, truth = moving_square
    with pytest.raises(VOSError, match="differ in number, from frame 5"):
        run(frames, truth[:5])
    with pytest.raises(MaskError, match="the mask of frame 0"):
        run(frames, truth[:, :50])


@pytest.mark.parametrize(
    "option", [{"mode": "online"}, {"steps": -1}, {"size": 100}, {"size": 0}, {"batch_size": 0}, {"learning_rate": 0.0}]
)
def test_invalid_settings_are_named(option):
    with pytest.raises(VOSError, match=next(iter(option))):
        AdapterSettings(**option)


def test_the_preset_fits_the_device():
    assert AdapterSettings.preset("cpu") == CPU_SETTINGS
    assert AdapterSettings.preset("cuda") == AdapterSettings()


def test_weights_and_learning_rates_are_those_of_the_paper():
    settings = PAPER_SETTINGS
    assert (settings.size, settings.width, settings.steps, settings.prior, settings.min_fit) == (480, 1, 200, 0, 0)
    assert [settings.frame_weight(t) for t in (0, 1, 1000)] == [1, 0.995, 0.2]
    rates = [settings.learning_rate * settings.learning_rate_factor(t) for t in (0, 49, 50, 199, 10_000)]
    assert rates == [2e-4, 2e-4, 1e-4, 2.5e-5, 1.25e-5]


def test_the_segmenter_adapts_and_leaves_its_weights_alone(moving_square):
    frames, truth = moving_square
    segmenter = VideoSegmenter(weights="default", device="cpu", adapt=FEW)
    encoder = segmenter._tracker.encoder
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    masks = np.stack(list(segmenter.segment(frames, truth[0])))
    streamed = np.stack(list(segmenter.segment((torch.from_numpy(f).permute(2, 0, 1) for f in frames), truth[0])))
    assert np.array_equal(masks, streamed)
    assert np.array_equal(masks[0], truth[0])
    plain = VideoSegmenter(weights="default", device="cpu").segment(frames, truth[0])
    assert not np.array_equal(masks, np.stack(list(plain)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert not any(parameter.requires_grad and parameter.grad is not None for parameter in encoder.parameters())


def test_causal_masks_come_while_frames_come(moving_square):
    frames, truth = moving_square
    segmenter = VideoSegmenter(weights="lab", device="cpu", adapt=replace(FEW, mode="causal", refresh_every=3))

    def endless():
        while True:
            yield frames[0]

    masks = segmenter.segment(endless(), truth[0])
    assert [next(masks).shape for _ in range(5)] == [(60, 90)] * 5
    masks.close()


def drifting(num_frames=24):
    """A video, its true masks, and masks that a growing patch of the background sticks to."""
    video = SyntheticVideo(11, num_frames=num_frames, size=(96, 160), num_objects=1)
    frames, truth = [video.frame(t) for t in range(num_frames)], [video.mask(t) for t in range(num_frames)]
    rng, corrupted = np.random.default_rng(0), []
    for t, mask in enumerate(truth):
        wrong = mask.copy()
        for _ in range(t // 3):
            y, x = rng.integers(0, 96), rng.integers(0, 160)
            wrong[max(0, y - 9) : y + 9, max(0, x - 9) : x + 9] = 1
        corrupted.append(wrong)
    return frames, truth, corrupted


def test_a_given_mask_replaces_the_objects_it_holds_and_no_others():
    ids, given = np.array([[1, 1, 2, 0]], np.uint8), np.array([[0, 1, 0, 0]], np.uint8)
    assert put_over(ids, given).tolist() == [[0, 1, 2, 0]]


@pytest.mark.slow
def test_stopping_early_removes_drift_and_going_on_brings_it_back():
    """SSVOS Fig. 3: the regular is learned before the noise."""
    frames, truth, corrupted = drifting()
    settings = AdapterSettings(size=96, width=0.25, learning_rate=1e-3, decay=1.0, prior=0.0, min_fit=0.0)

    def score(masks):
        return np.mean([overlap(a > 0, b > 0) for a, b in zip(masks, truth, strict=True)])

    early = score(run(frames, corrupted, settings))
    late = score(run(frames, corrupted, replace(settings, steps=2000)))
    assert early > score(corrupted) + 0.1
    assert late < early
