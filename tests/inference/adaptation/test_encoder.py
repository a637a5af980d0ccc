"""An encoder learns what a video's own masks tell apart, and the masks are propagated again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from vos_lightning import VideoSegmenter
from vos_lightning.errors import VOSError
from vos_lightning.functional.losses import label_loss
from vos_lightning.inference.adaptation import AdapterSettings, EncoderSettings, adapt_encoder
from vos_lightning.inference.adaptation.labelled_frames import UNKNOWN, LabelledFrames, labels_of
from vos_lightning.models.reconstruction import ReconstructionEncoder, downsample

FEW = EncoderSettings(steps=3, crop=12, queries=40)


def labelled(frames, masks, limit=128, given=(0,)):
    found = LabelledFrames(stride=4, max_size=None, limit=limit)
    for t, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        padded = np.pad(mask, [(0, -length % 4) for length in mask.shape], mode="edge")
        shares = {i: downsample(torch.from_numpy(padded == i).float(), 4) for i in np.unique(mask).tolist() if i}
        found.add(torch.from_numpy(frame).permute(2, 0, 1), shares, t in given)
    return found


@pytest.fixture
def encoder():
    torch.manual_seed(3)
    return ReconstructionEncoder(width=0.125, feature_dim=8).eval()


def test_positions_have_labels_where_probabilities_are_sure():
    generator = np.random.default_rng(0)
    probs = torch.from_numpy(generator.dirichlet([0.3, 0.3, 0.3], size=(6, 8))).permute(2, 0, 1)
    found = labels_of({3: probs[1], 255: probs[2]})
    for y in range(6):
        for x in range(8):
            rest, first, second = probs[:, y, x].tolist()
            expected = 3 if first > 0.8 else 255 if second > 0.8 else 0 if rest > 0.9 else UNKNOWN
            assert found[y, x] == expected
    assert set(found.unique().tolist()) == {UNKNOWN, 0, 3, 255}


def test_the_loss_is_the_cross_entropy_of_the_attention_between_its_bounds():
    torch.manual_seed(0)
    query, keys = torch.randn(5, 30), torch.randn(5, 50)
    asked, labels = torch.tensor([0, 4, 9]).repeat(10), torch.tensor([0, 0, 4, 4, 9]).repeat(10)
    attention = (query.mT @ keys / 0.5).softmax(1)
    losses = {}
    for label, row in zip(asked.tolist(), attention, strict=True):
        losses.setdefault(label, []).append(min(1.5, max(0.3, -row[labels == label].sum().log().item())))
    expected = np.mean([np.mean(each) for each in losses.values()])
    assert label_loss(query, asked, keys, labels, 0.5, least=0.3, cap=1.5).item() == pytest.approx(expected, rel=1e-5)
    assert (
        label_loss(query, asked * 0, keys, labels * 0, 0.5, least=0.3, cap=1.5) == 0
    )  # one label: nothing to tell apart


def test_of_long_videos_an_even_share_is_kept_and_all_that_was_given(moving_square):
    frames, truth = moving_square
    few = labelled(np.tile(frames, (8, 1, 1, 1)), np.tile(truth, (8, 1, 1)), limit=10, given=(0, 13))
    assert len(few) <= 12
    assert [frame.given for frame in few].count(True) == 2
    assert len(labelled(frames, truth * 0, given=())) == 0


def test_it_learns_to_tell_the_object_from_the_ground(moving_square, encoder):
    frames, truth = moving_square
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    known = labelled(frames, truth)
    settings = replace(FEW, steps=30, learning_rate=3e-3, queries=1000)
    adapted = adapt_encoder(encoder, known, 0.05, settings)
    assert loss_between(adapted, known) < 0.5 * loss_between(encoder, known)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert not any(value.requires_grad for value in adapted.parameters())


def loss_between(encoder, known):
    """Of the first frame, asked of the last."""
    first, last = known[0], known[len(known) - 1]
    lab = torch.stack([frame.lab((0, 0), 100, 4) for frame in (first, last)])
    lab[:, 1] = 0
    with torch.no_grad():
        features = encoder(lab * 1.5).flatten(2)
    sure = [frame.labels.flatten() != UNKNOWN for frame in (first, last)]
    asked, labels = (frame.labels.flatten()[s] for frame, s in zip((first, last), sure, strict=True))
    return label_loss(features[0][:, sure[0]], asked, features[1][:, sure[1]], labels, 0.05, least=0.0, cap=9.0).item()


@pytest.mark.parametrize(
    "surroundings", [torch.inference_mode, torch.no_grad, lambda: torch.autocast("cpu", torch.bfloat16)]
)
def test_the_name_alone_decides_what_is_drawn(moving_square, encoder, surroundings):
    known = labelled(*moving_square)
    expected = weights(adapt_encoder(encoder, known, 0.05, FEW, "a"))
    state = torch.get_rng_state()
    torch.rand(3)
    with surroundings():
        again = weights(adapt_encoder(encoder, known, 0.05, FEW, "a"))
    assert torch.allclose(again, expected, atol=1e-6)
    assert not torch.allclose(weights(adapt_encoder(encoder, known, 0.05, FEW, "b")), expected, atol=1e-6)
    torch.set_rng_state(state)
    adapt_encoder(encoder, known, 0.05, FEW, "a")
    assert torch.equal(torch.get_rng_state(), state)


def weights(encoder):
    return torch.cat([value.detach().flatten() for value in encoder.parameters()])


def test_without_an_object_there_is_nothing_to_learn(moving_square, encoder):
    frames, truth = moving_square
    assert adapt_encoder(encoder, labelled(frames, truth * 0), 0.05, FEW) is None
    dot = truth * 0
    dot[:, 20, 20] = 9  # too small for a position of its own
    assert adapt_encoder(encoder, labelled(frames, dot), 0.05, FEW) is None


def test_255_is_an_object_too(moving_square, encoder):
    frames, truth = moving_square
    learned = [
        adapt_encoder(encoder, labelled(frames, np.where(truth, i, 0).astype(np.uint8)), 0.05, FEW) for i in (9, 255)
    ]
    assert torch.equal(*map(weights, learned))


def test_masks_stay_where_nothing_was_learned(moving_square):
    frames, truth = moving_square
    dot = truth[0] * 0
    dot[20, 20] = 9
    masks = VideoSegmenter(device="cpu", adapt=FEW).segment(frames, dot)
    assert np.array_equal(list(masks), list(VideoSegmenter(device="cpu").segment(frames, dot)))


@pytest.mark.parametrize("name", ["default", "ct_vos"])
def test_masks_are_those_of_a_second_pass(moving_square, name):
    frames, truth = moving_square
    segmenter = VideoSegmenter(name, device="cpu", adapt=FEW)
    masks = list(segmenter.segment(frames, truth[0], sequence="square"))
    plain = VideoSegmenter(name, device="cpu")
    known, first = plain.labelled_frames(FEW), plain.tracker()
    for t, frame in enumerate(frames):
        first.step(frame, truth[0] if t == 0 else None)
        known.add(torch.from_numpy(frame).permute(2, 0, 1), first.probabilities, t == 0)
    adapted = plain.adapted(known, FEW, "square")()
    expected = [adapted.step(frame, truth[0] if t == 0 else None) for t, frame in enumerate(frames)]
    assert np.array_equal(masks, expected)
    assert np.array_equal(masks[0], truth[0])


def test_objects_that_are_given_later_are_followed_backward_too(moving_square):
    frames, truth = moving_square
    segmenter = VideoSegmenter(device="cpu", adapt=FEW)
    prompts = {2: truth[2], 4: truth[4]}
    masks = list(segmenter.segment(frames, prompts=prompts, backward=True))
    overlaps = [((m == 9) & (t == 9)).sum() / ((m == 9) | (t == 9)).sum() for m, t in zip(masks, truth, strict=True)]
    assert min(overlaps) > 0.7


def test_what_can_not_be_adapted_is_refused_at_once(moving_square):
    with pytest.raises(VOSError, match="nothing that could be adapted"):
        VideoSegmenter("lab", adapt=True)
    frames, truth = moving_square
    with pytest.raises(VOSError, match="goes through the frames twice"):
        VideoSegmenter(device="cpu", adapt=True).segment(iter(frames), truth[0])
    with pytest.raises(VOSError, match="expected True, False"):
        VideoSegmenter("lab", adapt=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("crop", 0),
        ("queries", -1),
        ("learning_rate", 0.0),
        ("cap", 0),
        ("enough", 1.0),
        ("given_share", 1.5),
    ],
)
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(VOSError, match=name):
        EncoderSettings(**{name: value})


def test_true_stands_for_the_encoder_and_the_u_net_has_settings_of_its_own():
    assert VideoSegmenter(adapt=True).adapter == EncoderSettings()
    assert isinstance(VideoSegmenter("lab", adapt=AdapterSettings()).adapter, AdapterSettings)
