"""Two-valued images of clips against a loop over pixels."""

import torch

from vos_lightning.functional.random_labels import label_some

SEEDS = torch.arange(100, 140)


def clips() -> torch.Tensor:
    coarse = torch.rand(40, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse.flatten(0, 1), 16, mode="bilinear").unflatten(0, (40, 2)) - 0.5


def test_some_clips_are_labelled_and_the_others_left():
    before = clips()
    after = label_some(before, SEEDS, 0.5)
    labelled = (after.abs() == 1).flatten(1).all(1)
    assert 8 < labelled.sum() < 32
    assert torch.equal(after[~labelled], before[~labelled])
    assert torch.equal(after[:, :, 0][labelled], after[:, :, 2][labelled])
    assert torch.equal(label_some(before, SEEDS, 0.0), before)


def test_both_labels_occur_and_are_constant_where_the_colour_is():
    after = label_some(clips(), SEEDS, 1.0)
    share = (after > 0).float().mean((1, 2, 3, 4))
    assert (share > 0.05).all()
    assert (share < 0.95).all()
    flat = label_some(torch.full((2, 2, 3, 16, 16), 0.3), SEEDS[:2], 1.0)
    assert (flat.abs() == 1).all()


def test_labels_are_sides_of_a_plane_in_colour_space():
    """In a clip of two colours each gets one label, in all frames."""
    pattern = (torch.arange(32) // 8 % 2).view(1, 1, 1, 1, 32).expand(40, 2, 1, 32, 32)
    colours = torch.where(
        pattern == 1, torch.tensor([0.5, -0.2, 0.3]).view(3, 1, 1), torch.tensor([-0.5, 0.4, 0.1]).view(3, 1, 1)
    )
    labels = label_some(colours, SEEDS, 1.0)[:, :, 0]
    for clip in range(40):
        for stripe in range(4):
            inner = labels[clip, :, :, 8 * stripe + 3 : 8 * stripe + 5]  # beyond the blur
            assert inner.unique().numel() == 1
            assert inner[0, 0, 0] == labels[clip, 0, 0, 8 * (stripe % 2) + 3]


def test_a_clip_gets_the_same_labels_in_any_batch():
    before = clips()
    assert torch.equal(label_some(before.flip(0), SEEDS.flip(0), 0.7).flip(0), label_some(before, SEEDS, 0.7))
