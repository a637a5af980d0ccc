"""Cutouts: a region, the same in all frames of a clip, whose pixels are set to zero (CT-VOS §3.1 and Table 4)."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from vos_lightning.functional.random_streams import Stream, uniform_draws

CutoutShape = Literal["square", "rectangle", "circle", "triangle"]

# largest length over breadth of a rectangle, and of a triangle's base over the side of the square of its area
_LONGEST = 2.0
_BASE = 1.6


def cutout_masks(
    seeds: Tensor,
    size: tuple[int, int],
    shape: CutoutShape = "square",
    side: float = 0.5,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draw the region that each clip loses, somewhere in the frame.

    All shapes have the area of the square, so that they can be compared; a rectangle is up to twice as long as broad, a
    triangle is scalene, both upright or lying. A pixel is cut out if it lies wholly in the shape. The paper bounds the
    area by half of the image and fixes the size without telling it; ours is half of the short side.

    Args:
        seeds: one per clip, (B,) int64: the draw belongs to the clip.
        size: H and W, in pixels.
        shape: of the region.
        side: of the square, as a share of the short side.
        device: where the masks are made.

    Returns:
        True where pixels are lost, (B, H, W) bool.

    Raises:
        ValueError: a region of more than half of the image or of less than a pixel, an unknown shape.
    """
    length = side * min(size)
    if not 1 <= length <= math.sqrt(size[0] * size[1] / 2):
        raise ValueError(f"cutout side {side}: expected a square of at least a pixel and at most half of {size}")
    draws = uniform_draws(seeds, 5, Stream.CUTOUT)
    if shape in ("square", "rectangle"):
        box, offset = _boxes(draws, size, length, elongated=shape == "rectangle")
        return _fill_boxes(box, offset, size, device)
    if shape == "circle":
        return _fill_circles(draws, size, length / math.sqrt(math.pi), device)
    if shape == "triangle":
        return _fill_triangles(draws, size, length, device)
    raise ValueError(f"cutout shape is {shape!r}, expected one of {get_args(CutoutShape)}")


def erase(frames: Tensor, cutouts: Tensor) -> Tensor:
    """Set a region to zero, which is the middle of [-1, 1]: frames (B, ..., C, H, W), cutouts (B, H, W) bool."""
    spread = cutouts.view(len(cutouts), *(1,) * (frames.dim() - 3), *cutouts.shape[1:])
    return frames.masked_fill(spread, 0)


def _boxes(draws: Tensor, size: tuple[int, int], length: float, elongated: bool) -> tuple[Tensor, Tensor]:
    """Sides and offsets of the corner in whole pixels, (B, 2) each: down, right."""
    aspect = torch.ones(len(draws))
    if elongated:
        longest = min(_LONGEST, (min(size) / length) ** 2)
        aspect = longest ** (2 * draws[:, 2] - 1)
    # rounded down, with a hair's breadth of tolerance: 0.5 · 96 must give 48
    box = (length * torch.stack([aspect.sqrt(), aspect.rsqrt()], dim=1) + 1e-4).floor().clamp(min=1)
    return box, (draws[:, :2] * (torch.tensor(size) - box + 1)).floor()


def _fill_boxes(box: Tensor, offset: Tensor, size: tuple[int, int], device: torch.device | str) -> Tensor:
    start, end = offset.to(device), (offset + box).to(device)
    inside = [
        (torch.arange(length, device=device) >= start[:, axis, None])
        & (torch.arange(length, device=device) < end[:, axis, None])
        for axis, length in enumerate(size)
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]


def _fill_circles(draws: Tensor, size: tuple[int, int], radius: float, device: torch.device | str) -> Tensor:
    centre = (radius + draws[:, :2] * (torch.tensor(size) - 2 * radius)).to(device)
    # of the pixel's farthest corner
    down, right = (_centres(size[axis], device) - centre[:, axis, None] for axis in (0, 1))
    squares = [(distance.abs() + 0.5) ** 2 for distance in (down, right)]
    return squares[0][:, :, None] + squares[1][:, None, :] <= radius**2


def _fill_triangles(draws: Tensor, size: tuple[int, int], length: float, device: torch.device | str) -> Tensor:
    """Triangles over a base, the apex nearer to one of its ends; transposed or mirrored at random."""
    base = min(_BASE * length, min(size))
    height = 2 * length**2 / base
    foot = 0.15 + 0.15 * draws[:, 2]  # of the apex, as a share of the base: no two sides are equal
    points = torch.tensor([[0.0, 0.0], [0.0, base], [height, 0.0]]).repeat(len(draws), 1, 1)
    points[:, 2, 1] = foot * base
    extent = torch.tensor([height, base]).repeat(len(draws), 1)
    turn, mirror = draws[:, 3] < 0.5, draws[:, 4] < 0.5
    points[mirror] = extent[mirror, None] - points[mirror]
    points[turn], extent[turn] = points[turn].flip(-1), extent[turn].flip(-1)
    points += (draws[:, :2] * (torch.tensor(size) - extent))[:, None]
    return _fill_convex(points.to(device), size)


def _fill_convex(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels wholly inside of convex polygons: (B, N, 2) corners in either order -> (B, H, W)."""
    ahead = points.roll(-1, dims=1)
    edge = ahead - points
    normal = torch.stack([edge[..., 1], -edge[..., 0]], dim=-1)
    middle = points.mean(1, keepdim=True)
    normal = normal * ((middle - points) * normal).sum(-1, keepdim=True).sign()  # points inward
    down, right = (_centres(length, points.device) for length in size)
    # distance of the pixel's outermost corner from each edge, times the edge's length
    position = normal[..., 0, None, None] * down[:, None] + normal[..., 1, None, None] * right
    threshold = (points * normal).sum(-1) + normal.abs().sum(-1) / 2
    return (position >= threshold[..., None, None]).all(1)


def _centres(length: int, device: torch.device | str) -> Tensor:
    return torch.arange(length, device=device) + 0.5
