"""Objects that come later are voted on by the frames since, whatever the earlier ones held."""

import torch

from vos_lightning.inference.propagation import admit_latecomers


def test_shares_are_taken_among_the_frames_since():
    # one cell; background and object 1 from the start, object 2 known to frames of weight 0.4, half of which hold it
    readout = torch.tensor([0.5, 0.3, 0.2, 0.4]).view(4, 1, 1)
    probs = admit_latecomers(readout, [0, 7]).flatten()
    # object 2 gets 0.2 / 0.4; the others divide the other half 5 : 3
    torch.testing.assert_close(probs, torch.tensor([0.5 * 5 / 8, 0.5 * 3 / 8, 0.5]))


def test_several_arrivals_nest():
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(5, 4, 4, generator=generator)
    values = values / values.sum(0)
    # the frames since an arrival weigh at least what they hold of the objects that arrived
    since_3 = values[2:].sum(0) + 0.5 * values[:2].sum(0)
    since_9 = values[4] + 0.3 * values[:4].sum(0)
    probs = admit_latecomers(torch.cat([values, since_3[None], since_9[None]]), [0, 3, 3, 9])
    assert probs.shape == (5, 4, 4)
    torch.testing.assert_close(probs.sum(0), torch.ones(4, 4))
    torch.testing.assert_close(probs[4], values[4] / since_9)
    torch.testing.assert_close(probs[2], values[2] / since_3 * (1 - probs[4]))
    torch.testing.assert_close(probs[0] / probs[1], values[0] / values[1])


def test_no_weight_since_means_no_share():
    readout = torch.tensor([0.75, 0.25, 0.0, 0.0]).view(4, 1, 1)
    torch.testing.assert_close(admit_latecomers(readout, [0, 5]).flatten(), torch.tensor([0.75, 0.25, 0.0]))
