"""The guided filter against its definition in loops, and what it is for."""

import numpy as np
import torch

from vos_lightning.functional.guided_filter import GuidedUpsampler

SCALE = np.array([0.5, 1.27, 1.27])


def coefficients(guide, probs, radius, eps):
    """a and b of eqs. 5, 6 and 19 at each position of (h, w, 3) and (h, w), then their means over the boxes."""
    height, width = probs.shape
    a, b = np.zeros((height, width, 3)), np.zeros((height, width))
    boxes = {}
    for y in range(height):
        for x in range(width):
            box = boxes[y, x] = (
                slice(max(0, y - radius), y + radius + 1),
                slice(max(0, x - radius), x + radius + 1),
            )
            colours, values = guide[box].reshape(-1, 3), probs[box].ravel()
            mean = colours.mean(0)
            covariance = (colours - mean).T @ (colours - mean) / len(colours)
            a[y, x] = np.linalg.solve(
                covariance + eps * np.eye(3), (colours * values[:, None]).mean(0) - mean * values.mean()
            )
            b[y, x] = values.mean() - a[y, x] @ mean
    smooth_a = np.array([[a[boxes[y, x]].mean((0, 1)) for x in range(width)] for y in range(height)])
    smooth_b = np.array([[b[boxes[y, x]].mean() for x in range(width)] for y in range(height)])
    return smooth_a, smooth_b


def test_at_stride_one_it_is_the_definition():
    generator = torch.Generator().manual_seed(0)
    lab = torch.rand(1, 3, 7, 9, generator=generator) * 2 - 1
    probs = torch.rand(2, 7, 9, generator=generator)
    guide = lab[0].permute(1, 2, 0).double().numpy() * SCALE
    for radius, eps in ((1, 1e-2), (2, 3e-4)):
        found = GuidedUpsampler(lab, 1, radius, eps)(probs)
        for k in range(2):
            a, b = coefficients(guide, probs[k].double().numpy(), radius, eps)
            np.testing.assert_allclose(found[k], (a * guide).sum(-1) + b, atol=2e-4)


def test_constants_stay_and_objects_do_not_see_one_another():
    generator = torch.Generator().manual_seed(0)
    lab = torch.rand(1, 3, 32, 48, generator=generator)
    probs = torch.rand(3, 8, 12, generator=generator)
    probs[1] = 0.7
    upsample = GuidedUpsampler(lab, 4)
    together = upsample(probs)
    torch.testing.assert_close(together[1], torch.full((32, 48), 0.7), atol=1e-4, rtol=0)
    for k in range(3):
        torch.testing.assert_close(together[k], upsample(probs[k : k + 1])[0])
    # linear: the background's probability needs no filter of its own
    torch.testing.assert_close(upsample(1 - probs.sum(0, keepdim=True))[0], 1 - together.sum(0), atol=1e-4, rtol=0)


def test_a_coarse_mask_takes_the_contour_of_the_frame():
    """A disc on a plain ground; its mask is known by cells of 8 pixels, and shifted by half a cell."""
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")
    disc = ((y - 50) ** 2 + (x - 60) ** 2) < 30**2
    lab = torch.zeros(1, 3, 96, 128)
    lab[0, 0] = torch.where(disc, 0.6, -0.4)
    cells = torch.nn.functional.avg_pool2d(disc.roll(4, 1).float()[None], 8)
    plain = torch.nn.functional.interpolate(cells[None], scale_factor=8, mode="bilinear")[0, 0] > 0.5
    guided = GuidedUpsampler(lab, 8)(cells)[0] > 0.5

    def overlap(mask):
        return ((mask & disc).sum() / (mask | disc).sum()).item()

    assert overlap(plain) < 0.9
    assert overlap(guided) > 0.95
