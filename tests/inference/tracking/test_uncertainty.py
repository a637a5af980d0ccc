"""The expected region similarity against sampled masks."""

import torch

from vos_lightning.functional.measures.region import region_similarity
from vos_lightning.inference.tracking.uncertainty import expected_region_similarity


def test_it_is_near_the_mean_over_masks_drawn_from_the_probabilities():
    generator = torch.Generator().manual_seed(0)
    probs = torch.rand(3, 30, 40, generator=generator) ** torch.tensor([0.3, 1.0, 3.0])[:, None, None]
    drawn = torch.rand(200, 3, 30, 40, generator=generator) < probs
    mean = region_similarity((probs > 0.5).expand_as(drawn), drawn).float().mean(0)
    torch.testing.assert_close(expected_region_similarity(probs), mean, atol=0.01, rtol=0)


def test_sure_masks_are_sure_and_nothing_is_not():
    probs = torch.zeros(3, 4, 4)
    probs[0, :2] = 1.0
    probs[1] = 0.4
    assert expected_region_similarity(probs).tolist() == [1.0, 0.0, 0.0]
