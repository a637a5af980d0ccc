"""Matches of both sides count for more."""

import pytest
import torch

from vos_lightning.inference.tracking.mutual import prefer_mutual
from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings


def similarities(query, keys, bias):
    return torch.einsum("dyx,rdvu->ryxvu", query[0], keys[0]) + bias[0, :, None, None]


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("radii", [(1, 1, 1), (2, 0, None)])
def test_similarities_fall_by_what_the_best_partner_has_more(weight, radii):
    generator = torch.Generator().manual_seed(0)
    query, keys = torch.randn(1, 6, 5, 7, generator=generator), torch.randn(1, 3, 6, 5, 7, generator=generator)
    before = similarities(query, keys, torch.zeros(1, 3, 5, 7))
    after = similarities(query, *prefer_mutual(query, keys, radii, weight))
    y, x = torch.arange(5), torch.arange(7)
    for r, radius in enumerate(7 if radius is None else radius for radius in radii):
        near = ((y[:, None] - y).abs() <= radius)[:, None, :, None] & ((x[:, None] - x).abs() <= radius)[None, :, None]
        best = before[r].masked_fill(~near, -torch.inf).flatten(0, 1).amax(0)
        torch.testing.assert_close(after[r], before[r] - weight * (best - before[r]), rtol=1e-4, atol=1e-4)


class Directions(torch.nn.Module):
    """Features of length 1: from black at 0° to white at 90°."""

    stride = 1

    def forward(self, lab):
        angle = (lab[:, :1] + 1) * torch.pi / 4
        return torch.cat([angle.cos(), angle.sin()], dim=1)


def test_an_object_that_changes_keeps_the_partner_that_nothing_else_looks_like():
    """From white to dark grey on black: nearer to the ground, all of which has better partners than that."""
    first = torch.zeros(3, 6, 12, dtype=torch.uint8)
    first[:, 2:4, 2:4] = 255
    second = torch.where(first > 0, 105, first)
    mask = (first[0] > 0).to(torch.uint8)
    for weight, expected in ((0.0, torch.zeros_like(mask)), (1.0, mask)):
        settings = TrackingSettings(4, 1, (1,), follow=False, mutual_weight=weight)
        propagator = ReconstructionPropagator(Directions(), settings=settings)
        propagator.step(first, mask)
        assert torch.equal(propagator.step(second), expected)
