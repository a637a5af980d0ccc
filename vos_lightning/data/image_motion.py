"""Clips from still images: a camera that drifts, turns, tilts and zooms over the picture, under changing light.

The 100-image study of SSVOS (Table 3) turns images into clips "by random homographies"; here the corners of the view
move on straight lines, so the motion is smooth and a clip of any length has a constant direction.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

_CORNERS = torch.tensor(((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)), dtype=torch.float64)


def homography(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
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
    return torch.cat((solution, solution.new_ones((*solution.shape[:-1], 1))), -1).unflatten(-1, (3, 3))


def camera_path(steps: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Corners of the view over time, in coordinates of the picture (-1 to 1).

    Args:
        steps: times (T,) in frames, 0 first.
        strength: how far a corner moves per frame, and how far it tilts, as a share of the picture; 0 stands still.
        generator: source of the path.

    Returns:
        Corners (T, 4, 2) in the order of a unit square, float64.
    """
    draws = 2 * torch.rand(21, generator=generator, dtype=torch.float64) - 1
    reach = 0.7 + 0.15 * draws[0]
    center = (1 - reach) * 0.6 * draws[1:3]
    tilt = strength * 2 * draws[3:11].view(4, 2)
    shift = strength * draws[11:13]
    bend = strength * 0.3 * draws[13:21].view(4, 2)
    turn = strength * (draws[0] * 7 % 2 - 1)
    growth = strength * (draws[1] * 7 % 2 - 1)
    times = steps.double()[:, None, None]
    angle = (turn * steps.double())[:, None]
    x, y = (_CORNERS[:, 0] * reach)[None], (_CORNERS[:, 1] * reach)[None]
    turned = torch.stack((angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y), -1)
    return center + turned * (1 + growth * times) + tilt + (shift + bend) * times


def moving_image(
    image: npt.NDArray[np.uint8], steps: Sequence[int], size: int, strength: float, generator: torch.Generator
) -> torch.Tensor:
    """Film a still image.

    Args:
        image: RGB (H, W, 3).
        steps: times of the clip's frames, in frames, increasing.
        size: side of the frames that come out, in pixels.
        strength: motion per frame, as a share of the picture.
        generator: source of the path and of the light.

    Returns:
        uint8 (T, 3, size, size).
    """
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1).float()
    height, width = picture.shape[1:]
    times = torch.tensor([step - steps[0] for step in steps], dtype=torch.float64)
    corners = camera_path(times, strength, generator)
    # a square view of the shorter side: pixels stay square
    corners = corners * torch.tensor([min(1.0, height / width), min(1.0, width / height)], dtype=torch.float64)
    matrices = homography(_CORNERS, corners)
    axis = (torch.arange(size, dtype=torch.float64) * 2 + 1) / size - 1
    grid = torch.stack((axis.expand(size, size), axis[:, None].expand(size, size), torch.ones(size, size)), -1)
    points = torch.einsum("tij,hwj->thwi", matrices, grid)
    where = (points[..., :2] / points[..., 2:]).float()
    frames = F.grid_sample(
        picture.expand(len(steps), -1, -1, -1), where, padding_mode="reflection", align_corners=False
    )
    light = 2 * torch.rand(4, generator=generator, dtype=torch.float64) - 1
    gains = 1 + times[:, None] * (0.02 * light[0] + 0.01 * light[1:])
    frames = frames * gains.clamp(0.6, 1.6).float()[:, :, None, None]
    return frames.clamp(0, 255).round().to(torch.uint8)
