"""Masks carried through generated videos: sizes, ids, prompts, memory."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vos_lightning.errors import MaskError, VOSError
from vos_lightning.functional.guided_filter import GuidedUpsampler
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings
from vos_lightning.models.lab_patches import LabPatches

SETTINGS = TrackingSettings(4, 10, (1, 2, 3, 4), colour_weight=0.0, mutual_weight=0.0, edges=False, threshold=0.5)


class Counting(nn.Module):
    """Lab patches that remember what they were given."""

    stride = 4

    def __init__(self):
        super().__init__()
        self.patches, self.sizes = LabPatches(), []

    def forward(self, lab):
        self.sizes.append(tuple(lab.shape[-2:]))
        return self.patches(lab)


def texture(height, width, seed=0, cell=4):
    """A random pattern (3, H, W) uint8 in which every place differs from its neighbours."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randint(0, 256, (1, 3, -(-height // cell), -(-width // cell)), generator=generator)
    return F.interpolate(cells.float(), scale_factor=cell)[0, :, :height, :width].to(torch.uint8)


def box(height, width, **ids):
    """(H, W) mask with rectangles: name="y0:y1,x0:x1" by id."""
    mask = torch.zeros(height, width, dtype=torch.uint8)
    for name, (y0, y1, x0, x1) in ids.items():
        mask[y0:y1, x0:x1] = int(name.removeprefix("id"))
    return mask


def overlap(a, b):
    return ((a & b).sum() / (a | b).sum()).item()


def track(frames, masks, settings=SETTINGS, **options):
    """Masks given by frame index -> predictions of all frames."""
    propagator = ReconstructionPropagator(LabPatches(), settings=settings, **options)
    return torch.stack([propagator.step(frame, masks.get(t)) for t, frame in enumerate(frames)])


def only_corners_differ(masks, mask, corners):
    """Bilinear upsampling rounds a right angle by one pixel, and no more however long the video."""
    return ((masks != mask).flatten(-2).sum(-1) <= corners).all()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [(64, 96), (61, 93), (66, 95), (13, 7), (5, 90)])
def test_a_static_video_keeps_its_mask_to_the_pixel(size, axis):
    """Padding, down- and upsampling shift nothing, at no border."""
    mask = torch.zeros(size, dtype=torch.uint8)
    half, quarter = size[axis] // 8 * 4, size[axis] // 16 * 4
    mask.narrow(axis, half, size[axis] - half).fill_(5)
    mask.narrow(axis, 0, quarter).fill_(9)
    masks = track([texture(*size)] * 12, {0: mask})
    assert (masks == mask).all()


def test_a_mask_that_cuts_cells_stays_within_the_cells_it_cuts():
    mask = box(61, 93, id3=(10, 43, 21, 70))
    last = track([texture(61, 93)] * 10, {0: mask})[-1]
    rows, columns = (last == 3).any(1).nonzero(), (last == 3).any(0).nonzero()
    assert abs(rows.min() - 10) <= 2
    assert abs(rows.max() - 42) <= 2
    assert abs(columns.min() - 21) <= 2
    assert abs(columns.max() - 69) <= 2
    assert overlap(last == 3, mask == 3) > 0.93


@pytest.mark.parametrize("shift", [(4, 0), (0, 4), (4, 4), (2, 3)])
def test_a_translated_scene_is_followed(shift):
    scene, start = texture(160, 160), box(160, 160, id3=(60, 84, 60, 92))
    dy, dx = shift
    frames, truth = [], []
    for t in range(10):
        window = (slice(40 - t * dy, 120 - t * dy), slice(40 - t * dx, 130 - t * dx))
        frames.append(scene[:, *window])
        truth.append(start[window])
    masks = track(frames, {0: truth[0]})
    whole_cells = shift != (2, 3)
    assert all(overlap(m == 3, t == 3) > (0.97 if whole_cells else 0.75) for m, t in zip(masks, truth, strict=True))


def test_ids_are_kept_whatever_they_are():
    mask = box(64, 96, id200=(8, 24, 8, 24), id3=(24, 40, 8, 24), id7=(40, 56, 64, 80))
    masks = track([texture(64, 96)] * 4, {0: mask.long()})
    assert masks.dtype == torch.uint8
    assert set(masks[3].unique().tolist()) == {0, 3, 7, 200}
    assert only_corners_differ(masks, mask, 8)


def test_nothing_is_tracked_or_encoded_before_the_first_mask():
    encoder = Counting()
    propagator = ReconstructionPropagator(encoder, settings=SETTINGS)
    frame, mask = texture(32, 48), box(32, 48, id4=(8, 16, 8, 24))
    assert not propagator.step(frame).any()
    assert not propagator.step(frame, torch.zeros_like(mask)).any()
    assert encoder.sizes == []
    assert (propagator.step(frame, mask) == mask).all()
    assert only_corners_differ(propagator.step(frame), mask, 4)


def test_every_frame_is_encoded_once_by_each_network():
    encoder, reference_encoder = Counting(), Counting()
    propagator = ReconstructionPropagator(encoder, reference_encoder, SETTINGS)
    mask = box(32, 48, id1=(8, 16, 8, 24))
    for t in range(12):
        propagator.step(texture(32, 48, seed=t), mask if t in (0, 5) else None)
    assert len(encoder.sizes) == len(reference_encoder.sizes) == 12


def test_the_reference_network_encodes_the_memory():
    """Where Φ_r gives nothing to find, Φ_q alone can't track."""

    class Blind(LabPatches):
        def forward(self, lab):
            return torch.zeros_like(super().forward(lab))

    frames, mask = [texture(64, 96)] * 3, box(64, 96, id1=(24, 40, 40, 56))
    propagator = ReconstructionPropagator(LabPatches(), Blind(), replace(SETTINGS, topk=None))
    masks = [propagator.step(frame, mask if t == 0 else None) for t, frame in enumerate(frames)]
    assert not torch.equal(masks[2], mask)


@pytest.mark.parametrize("topk", [None, 10])
def test_an_object_added_later_leaves_the_others_as_they_were(topk):
    settings = replace(SETTINGS, topk=topk)
    scene = texture(64, 160)
    frames = [scene[:, :, 2 * t : 2 * t + 96] for t in range(16)]
    first, late = box(64, 96, id3=(8, 24, 40, 56), id7=(40, 56, 60, 80)), box(64, 96, id200=(28, 36, 36, 56))
    alone = track(frames, {0: first}, settings)
    both = track(frames, {0: first, 4: late}, settings)
    assert torch.equal(both[:4], alone[:4])
    untouched = both != 200
    for object_id in (3, 7):
        without, beside = alone == object_id, both == object_id
        if topk is None:
            assert ((without & untouched) ^ beside).flatten(1).sum(1).max() <= 1  # where the two touch
        assert overlap(without, beside) > 0.95
    assert (both[4] == 200)[late == 200].all()
    moved = box(64, 96, id200=(28, 36, 36 - 22, 56 - 22))
    assert overlap(both[15] == 200, moved == 200) > 0.5


def test_an_object_pointed_at_late_is_followed_though_earlier_frames_held_it_as_background():
    mask, late = box(64, 96, id1=(8, 16, 8, 24)), box(64, 96, id2=(32, 48, 40, 64))
    masks = track([texture(64, 96)] * 20, {0: mask, 10: late})
    assert only_corners_differ(masks[:10], mask, 4)
    assert only_corners_differ(masks[10:], mask + late, 8)


def test_a_corrected_mask_overrides_from_there_on():
    wrong, right = box(64, 96, id5=(8, 24, 8, 24), id6=(8, 24, 72, 88)), box(64, 96, id5=(40, 56, 40, 64))
    masks = track([texture(64, 96)] * 12, {0: wrong, 6: right})
    assert only_corners_differ(masks[:6], wrong, 8)
    corrected = torch.where(wrong == 6, wrong, 0) + right
    assert (masks[6][right == 5] == 5).all()
    assert only_corners_differ(masks[6:], corrected, 8)


def test_an_empty_mask_later_changes_nothing():
    frames, mask = [texture(64, 96)] * 8, box(64, 96, id5=(8, 24, 8, 24))
    assert torch.equal(track(frames, {0: mask, 3: torch.zeros_like(mask)}), track(frames, {0: mask}))


@pytest.mark.parametrize("shape", [(64, 95), (96, 64), (1, 64, 96)])
def test_a_mask_of_another_size_is_refused(shape):
    with pytest.raises(MaskError, match=r"mask of frame 0 is .* the frame 96×64"):
        track([texture(64, 96)], {0: torch.ones(shape, dtype=torch.uint8)})


def test_a_frame_of_another_size_is_refused():
    frames = [texture(64, 96), texture(64, 96), texture(60, 96)]
    with pytest.raises(VOSError, match=r"frame 2 is 96×60, those before it 96×64"):
        track(frames, {0: box(64, 96, id1=(8, 24, 8, 24))})


def test_large_frames_are_scaled_for_the_network_and_masks_keep_their_size():
    encoder = Counting()
    propagator = ReconstructionPropagator(encoder, settings=replace(SETTINGS, max_size=60))
    frame, mask = texture(90, 122, cell=8), box(90, 122, id9=(24, 64, 40, 88))
    masks = [propagator.step(frame, mask if t == 0 else None) for t in range(4)]
    assert set(encoder.sizes) == {(44, 60)}  # the longer side at its limit, whole cells
    assert (masks[0] == mask).all()
    assert masks[3].shape == (90, 122)
    assert overlap(masks[3] == 9, mask == 9) > 0.9


def test_small_frames_are_not_scaled_up():
    encoder = Counting()
    ReconstructionPropagator(encoder, settings=replace(SETTINGS, max_size=600)).step(
        texture(32, 48), box(32, 48, id1=(8, 16, 8, 24))
    )
    assert encoder.sizes == [(32, 48)]


def test_a_wider_window_for_the_given_frame_finds_what_came_back():
    """The object is away for longer than the memory reaches back, and returns beyond the recent frames' radius."""
    scene, away = texture(64, 160), texture(64, 160, seed=1)
    patch = scene[:, 12:52, 8:48]

    def at(x):
        frame = away.clone()
        frame[:, 12:52, x : x + 40] = patch
        return frame

    frames = [at(8), *[away] * 6, at(108)]
    mask, expected = box(64, 160, id1=(12, 52, 8, 48)), box(64, 160, id1=(12, 52, 108, 148))
    near = track(frames, {0: mask}, replace(SETTINGS, topk=1))
    wide = track(frames, {0: mask}, replace(SETTINGS, topk=1, given_radius=26))
    assert overlap(near[-1] == 1, expected == 1) < 0.1
    assert overlap(wide[-1] == 1, expected == 1) > 0.5


def test_memory_is_bounded_over_a_long_video():
    propagator = ReconstructionPropagator(LabPatches(), settings=SETTINGS)
    frame, mask = texture(16, 24), box(16, 24, id1=(4, 12, 4, 12))
    for t in range(200):
        propagator.step(frame, mask if t % 7 == 0 else None)
        assert len(propagator._memory) <= 2 + 4


def test_no_graph_is_kept():
    encoder = nn.Sequential(LabPatches(), nn.Conv2d(27, 8, 1))
    encoder.stride = 4
    propagator = ReconstructionPropagator(encoder, settings=SETTINGS)
    propagator.step(texture(16, 24), box(16, 24, id1=(4, 12, 4, 12)))
    assert not any(t.requires_grad for t in propagator._memory.read([0]))


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_ids_are_those_of_the_highest_odds_however_many_objects_are_drawn_at_once(edges, threshold):
    """Against all objects at once: the argmax of the background and of the objects, times the threshold's odds."""
    generator = torch.Generator().manual_seed(0)
    propagator = ReconstructionPropagator(
        LabPatches(), settings=replace(SETTINGS, edges=edges, threshold=threshold, max_size=96)
    )
    propagator._frames.check(0, torch.zeros(3, 90, 122), None)
    propagator.objects.give(frozenset(range(3, 3 + 19)), t=0)
    probs = torch.rand(20, 18, 24, generator=generator).softmax(0)
    lab = torch.rand(1, 3, 72, 96, generator=generator)
    upsample = (
        GuidedUpsampler(lab, 4)
        if edges
        else (lambda maps: F.interpolate(maps[None], scale_factor=4, mode="bilinear")[0])
    )
    full = F.interpolate(upsample(probs[1:])[None][..., :71, :], (90, 122), mode="bilinear")[0]
    channels = torch.cat([1 - full.sum(0, keepdim=True), full * (1 / threshold - 1)])
    expected = torch.tensor([0, *range(3, 22)])[channels.argmax(0)]
    differing = (propagator._to_ids(probs, lab, (90, 122)) != expected).float().mean()
    assert differing < 0.001  # ties up to rounding


@pytest.mark.parametrize("edges", [False, True])
def test_an_object_that_is_nowhere_changes_no_mask(edges):
    generator = torch.Generator().manual_seed(0)
    settings = TrackingSettings(edges=edges, max_size=32)
    propagator = ReconstructionPropagator(LabPatches(), settings=settings)
    probs, lab = torch.rand(2, 6, 8, generator=generator), torch.rand(1, 3, 24, 32, generator=generator)
    propagator.objects.ids = [3]
    alone = propagator._to_ids(probs, lab, (48, 64))
    propagator.objects.ids = [3, 7]
    beside = propagator._to_ids(torch.cat([probs, torch.zeros(1, 6, 8)]), lab, (48, 64))
    assert set(alone.unique().tolist()) == {0, 3}
    assert torch.equal(alone, beside)
