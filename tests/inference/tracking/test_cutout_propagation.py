"""Masks painted frame by frame: with a network that copies exactly, and the rules of objects, prompts and memory."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.inference.tracking.cutout import CutoutPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.cutout_tagging import CutoutTagging


class Copying(nn.Module):
    """Stands in for a trained network at stride 4: keys are colours, values the mask's cells, painted as they are."""

    stride = 4
    temperature = 0.002

    class Colours(nn.Module):
        def forward(self, lab):
            return F.normalize(F.unfold(F.pad(F.avg_pool2d(lab, 4), (1, 1, 1, 1)), 3), dim=1).unflatten(
                2, (lab.shape[-2] // 4, lab.shape[-1] // 4)
            )

    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Conv2d(3, 48, 1)  # for its number of channels
            self.seen = []

        def forward(self, masks):
            self.seen.append(masks)
            return F.pixel_unshuffle(masks, 4)

    class Paint(nn.Module):
        def forward(self, readout):
            return F.pixel_shuffle(readout, 4), None

    def __init__(self):
        super().__init__()
        self.query_encoder = self.key_encoder = self.Colours()
        self.value_encoder, self.decoder = self.Cells(), self.Paint()


def texture(height, width, seed=0):
    """A random pattern (3, H, W) uint8 of 4×4 cells."""
    cells = torch.randint(
        0, 256, (1, 3, -(-height // 4), -(-width // 4)), generator=torch.Generator().manual_seed(seed)
    )
    return F.interpolate(cells.float(), scale_factor=4)[0, :, :height, :width].to(torch.uint8)


def box(height, width, **ids):
    """(H, W) mask with rectangles (y0, y1, x0, x1) by id."""
    mask = torch.zeros(height, width, dtype=torch.uint8)
    for name, (y0, y1, x0, x1) in ids.items():
        mask[y0:y1, x0:x1] = int(name.removeprefix("id"))
    return mask


def settings_of(radius=None, topk=None, offsets=(1, 2, 3, 4, 5, 6), follow=False, **others):
    return TrackingSettings(radius, topk, offsets, follow=follow, mutual_weight=0.0, **others)


def track(frames, masks, settings=None):
    propagator = CutoutPropagator(Copying(), settings or settings_of())
    return torch.stack([propagator.step(frame, masks.get(t)) for t, frame in enumerate(frames)])


@pytest.mark.parametrize("size", [(64, 96), (61, 93), (13, 7)])
@pytest.mark.parametrize("settings", [None, settings_of(radius=2), settings_of(topk=1)])
def test_a_static_video_keeps_its_mask_to_the_pixel(size, settings):
    mask = torch.zeros(size, dtype=torch.uint8)
    mask[size[0] // 2 :] = 5
    mask[: size[0] // 4, : size[1] // 2] = 200
    masks = track([texture(*size)] * 10, {0: mask}, settings)
    assert masks.dtype == torch.uint8
    assert (masks == mask).all()


def test_a_translated_scene_is_followed():
    scene, start = texture(160, 160), box(160, 160, id3=(60, 84, 60, 92), id8=(84, 100, 70, 90))
    windows = [(slice(40 - 4 * t, 120 - 4 * t), slice(40 - 4 * t, 120 - 4 * t)) for t in range(5)]
    # a window, lest what enters the frame, and was never seen, finds its like in an object
    masks = track([scene[:, *window] for window in windows], {0: start[windows[0]]}, settings_of(radius=2))
    for mask, window in zip(masks, windows, strict=True):
        for object_id in (3, 8):
            found, there = mask == object_id, start[window] == object_id
            assert (found & there).sum() / (found | there).sum() > 0.8


@pytest.mark.parametrize("follow", [False, True])
def test_a_given_frame_that_follows_finds_what_has_left_its_window(follow):
    scene, start = texture(80, 240), box(80, 240, id3=(28, 52, 28, 52), id8=(52, 68, 40, 60))
    windows = [slice(4 * t, 100 + 4 * t) for t in range(6)]
    settings = settings_of(2, 1, (), follow)
    masks = track([scene[..., window] for window in windows], {0: start[:, windows[0]]}, settings)
    there = start[:, windows[-1]]
    overlap = ((masks[-1] == there) & (there > 0)).sum() / ((masks[-1] > 0) | (there > 0)).sum()
    assert overlap > 0.9 if follow else overlap < 0.5


def test_values_are_masks_of_minus_one_and_one_in_three_equal_channels():
    network = Copying()
    propagator = CutoutPropagator(network)
    mask = box(32, 48, id1=(0, 16, 0, 16), id2=(16, 32, 16, 40))
    for t in range(3):
        propagator.step(texture(32, 48), mask if t == 0 else None)
    for seen in network.value_encoder.seen:
        assert seen.shape == (2, 3, 32, 48)
        assert set(seen.unique().tolist()) == {-1, 1}
        for k in (0, 1):
            for channel in range(3):
                assert torch.equal(seen[k, channel] > 0, mask == k + 1)


def test_the_highest_object_wins_and_none_below_zero():
    propagator = CutoutPropagator(Copying())
    propagator.objects.give(frozenset({7, 200}), t=0)
    scores = torch.tensor([[[0.4, -0.1, -0.2, 0.1]], [[0.3, -0.3, 0.2, 0.1]]])
    assert propagator._to_ids(scores, torch.zeros(1, 3, 1, 4), (1, 4)).tolist() == [[7, 0, 200, 7]]


def test_nothing_is_tracked_before_the_first_mask():
    propagator = CutoutPropagator(Copying())
    frame, mask = texture(32, 48), box(32, 48, id4=(8, 16, 8, 24))
    assert not propagator.step(frame).any()
    assert not propagator.step(frame, torch.zeros_like(mask)).any()
    assert len(propagator._memory) == 0
    assert torch.equal(propagator.step(frame, mask), mask)
    assert torch.equal(propagator.step(frame), mask)


def test_an_object_added_later_leaves_the_others_and_is_not_outvoted():
    mask, late = box(64, 96, id1=(8, 16, 8, 24)), box(64, 96, id2=(32, 48, 40, 64))
    masks = track([texture(64, 96)] * 14, {0: mask, 7: late})
    assert (masks[:7] == mask).all()
    assert (masks[7:] == mask + late).all()


def test_an_object_given_over_another_takes_its_pixels():
    mask, over = box(64, 96, id1=(8, 40, 8, 40)), box(64, 96, id2=(24, 40, 24, 40))
    masks = track([texture(64, 96)] * 6, {0: mask, 2: over})
    assert (masks[2:] == torch.where(over > 0, over, mask)).all()


def test_a_corrected_mask_overrides_from_there_on():
    wrong, right = box(64, 96, id5=(8, 24, 8, 24), id6=(8, 24, 72, 88)), box(64, 96, id5=(40, 56, 40, 64))
    masks = track([texture(64, 96)] * 12, {0: wrong, 6: right}, settings_of(max_given=1))
    assert (masks[:6] == wrong).all()
    assert (masks[6:] == torch.where(wrong == 6, wrong, 0) + right).all()


def test_what_is_given_stands_even_where_the_network_sees_less():
    """A pixel-wide object is lost in a small network frame, but not in its own frame's mask."""
    mask = box(64, 96, id1=(8, 9, 8, 40), id2=(32, 64, 32, 64))
    assert torch.equal(track([texture(64, 96)], {0: mask}, settings_of(max_size=24))[0], mask)


@pytest.mark.parametrize("max_size", [40, 48])
def test_masks_have_the_frames_size_whatever_the_network_sees(max_size):
    mask = box(90, 122, id9=(24, 64, 40, 88))
    masks = track([texture(90, 122)] * 4, {0: mask}, settings_of(max_size=max_size))
    overlap = ((masks[3] == 9) & (mask == 9)).sum() / ((masks[3] == 9) | (mask == 9)).sum()
    assert masks.shape == (4, 90, 122)
    assert overlap > 0.9


def test_memory_is_bounded_over_a_long_video():
    propagator = CutoutPropagator(Copying(), settings_of(offsets=(1, 2)))
    for t in range(60):
        propagator.step(texture(16, 16), box(16, 16, id1=(4, 12, 4, 12)) if t % 7 == 0 else None)
        assert len(propagator._memory) <= 2 + 2


def test_other_sizes_are_refused():
    with pytest.raises(MaskError, match="mask of frame 0"):
        track([texture(64, 96)], {0: torch.ones(64, 95, dtype=torch.uint8)})
    with pytest.raises(VOSError, match="frame 1 is"):
        track([texture(64, 96), texture(60, 96)], {0: box(64, 96, id1=(8, 24, 8, 24))})


@pytest.mark.parametrize("stride", [16, 8])
def test_the_real_network_runs_and_keeps_no_graph(stride):
    torch.manual_seed(0)
    network = CutoutTagging(width=0.125, output_stride=stride, key_dim=8, value_dim=16).eval()
    propagator = CutoutPropagator(network, settings_of(radius=2, topk=5))
    for t in range(4):
        masks = {0: box(40, 50, id3=(8, 24, 8, 24)), 2: box(40, 50, id9=(24, 40, 24, 40))}
        ids = propagator.step(texture(40, 50, seed=t), masks.get(t))
        assert ids.shape == (40, 50)
        assert set(ids.unique().tolist()) <= {0, 3, 9}
    assert not any(tensor.requires_grad for tensor in propagator._memory.read([0]))
