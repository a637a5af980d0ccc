"""Homographies map points, and grids of views, where they should."""

import torch

from vos_lightning.functional.homography import CORNERS, homography, random_homography, sampling_grid


def test_homographies_map_the_points():
    source = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    target = source + 0.3 * torch.randn(5, 4, 2, generator=torch.manual_seed(0))
    points = torch.cat((source, torch.ones(4, 1)), -1).double()
    mapped = torch.einsum("tij,pj->tpi", homography(source, target), points)
    assert torch.allclose(mapped[..., :2] / mapped[..., 2:], target.double(), atol=1e-9)


def test_a_random_one_moves_each_corner_by_less_than_its_strength():
    generator = torch.Generator().manual_seed(0)
    farthest = 0.0
    for _ in range(20):
        matrix = random_homography(0.2, generator)
        mapped = torch.cat((CORNERS, torch.ones(4, 1)), 1) @ matrix.T
        moved = (mapped[:, :2] / mapped[:, 2:] - CORNERS).abs().max().item()
        assert moved <= 0.2 + 1e-9
        farthest = max(farthest, moved)
    assert farthest > 0.15


def test_the_grid_of_the_identity_is_that_of_grid_sample():
    expected = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, 3, 5], align_corners=False)[0]
    torch.testing.assert_close(sampling_grid(torch.eye(3), (3, 5)), expected)
