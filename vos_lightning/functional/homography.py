"""Homographies: views of a plane, whose true correspondences are known."""

import torch
from torch import Tensor

# Of a frame, as (x, y), in coordinates from -1 to 1.
CORNERS = torch.tensor(((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)), dtype=torch.float64)


def homography(source: Tensor, target: Tensor) -> Tensor:
    """Homographies that map four points onto four points, by the direct linear transform.

    Args:
        source: points (4, 2) as (x, y).
        target: points (..., 4, 2).

    Returns:
        Matrices (..., 3, 3), float64, with 1 at the lower right.
    """
    source, target = source.double(), target.double()
    x, y = source.unbind(-1)
    u, v = target.unbind(-1)
    x, y = x.expand_as(u), y.expand_as(v)
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    rows = torch.stack(
        (
            torch.stack((x, y, one, zero, zero, zero, -u * x, -u * y), -1),
            torch.stack((zero, zero, zero, x, y, one, -v * x, -v * y), -1),
        ),
        dim=-2,
    ).flatten(-3, -2)
    solution = torch.linalg.solve(rows, torch.stack((u, v), -1).flatten(-2))
    matrices = torch.cat((solution, solution.new_ones((*solution.shape[:-1], 1))), -1)
    return matrices.reshape(*solution.shape[:-1], 3, 3)


def random_homography(strength: float, generator: torch.Generator) -> Tensor:
    """One that moves each corner of the frame by up to a share of half its length, either way: (3, 3), float64."""
    draws = 2 * torch.rand(4, 2, generator=generator, dtype=torch.float64) - 1
    return homography(CORNERS, CORNERS + strength * draws)


def sampling_grid(matrices: Tensor, size: tuple[int, int]) -> Tensor:
    """Where the centres of pixels are mapped to, as `grid_sample` without aligned corners takes it.

    Args:
        matrices: homographies (..., 3, 3), in coordinates from -1 to 1.
        size: H and W.

    Returns:
        (..., H, W, 2) as (x, y), in the matrices' dtype.
    """
    rows, columns = ((torch.arange(length).to(matrices) * 2 + 1) / length - 1 for length in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.einsum("...ij,hwj->...hwi", matrices, torch.stack((x, y, torch.ones_like(x)), -1))
    return points[..., :2] / points[..., 2:]
