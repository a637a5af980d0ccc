"""Matches of both sides count for more."""

import torch

from vos_lightning.inference.tracking.reconstruction import ReconstructionPropagator
from vos_lightning.inference.tracking.settings import TrackingSettings


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
