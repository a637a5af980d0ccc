"""What other frames say of the ground around an object: where it lies in them, and what looks or moves unlike it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; the last two are exclusive."""
Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_SIDE = 427
"""Pixels of the longer side in which the ground is followed."""
_GRID = 6
"""Pixels between the points that are followed."""
_FEWEST = 50
"""Points or pixels of the ground that tell nothing yet."""


@dataclass(frozen=True)
class View:
    """A part of a frame, where it lies in the first one.

    Args:
        rgb: (h, w, 3).
        seen: what the frame shows, (h, w).
    """

    rgb: Picture
    seen: NDArray[np.bool_]


def homographies(pictures: Sequence[Picture], box: Box) -> list[Floats]:
    """Where the first frame's ground lies in each, (3, 3): from frame to frame, then mended against the first.

    Args:
        pictures: RGB (H, W, 3), the frame and others, the closest first.
        box: around what isn't ground in the first.
    """
    scale = min(1.0, _SIDE / max(pictures[0].shape[:2]))
    size = tuple(max(16, round(length * scale)) for length in pictures[0].shape[1::-1])
    grey = [cv2.cvtColor(cv2.resize(one, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY) for one in pictures]
    y, x = np.mgrid[4 : size[1] - 4 : _GRID, 4 : size[0] - 4 : _GRID].reshape(2, -1)
    points = np.stack([x, y], -1)
    left, top, right, bottom = (edge * scale for edge in box)
    around = (x < left) | (x > right) | (y < top) | (y > bottom)
    zoom, whole = _zoom(scale), np.ones(size[::-1], np.uint8)
    here, found = np.eye(3), [np.eye(3)]
    for before, now in itertools.pairwise(grey):
        here = _fitted(points, _flow(before, now), around) @ here
        there = cv2.warpPerspective(now, here, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        seen = cv2.erode(cv2.warpPerspective(whole, here, size, flags=cv2.WARP_INVERSE_MAP), np.ones((9, 9)))
        here = here @ _fitted(points, _flow(grey[0], there), around & (seen[y, x] > 0))
        found.append(np.linalg.inv(zoom) @ here @ zoom)
    return found


def view(picture: Picture, to: Floats, origin: tuple[int, int], scale: float, size: tuple[int, int]) -> View:
    """Part of a frame, moved to where the first one shows the same ground.

    Args:
        picture: RGB (H, W, 3).
        to: homography from the first frame.
        origin: left and top of the part in the first frame.
        scale: of the view.
        size: of the view, (w, h).
    """
    shrunk = min(1.0, scale)
    small = cv2.resize(picture, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
    way = _zoom(shrunk) @ to @ np.linalg.inv(_zoom(scale, origin))
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    rgb = cv2.warpPerspective(small, way, size, flags=flags, borderMode=border)
    seen = cv2.warpPerspective(np.ones(small.shape[:2], np.uint8), way, size, flags=cv2.WARP_INVERSE_MAP)
    return View(rgb.astype(np.uint8), seen > 0)


def difference(views: Sequence[View], ground: NDArray[np.bool_]) -> list[Floats]:
    """How unlike the ground of the other views the first one is: quartiles over the views, 0…1, (h, w) each.

    Args:
        views: of the frame, and of others.
        ground: what is known as ground, (h, w), which says what differences are usual.
    """
    lab = [cv2.cvtColor(one.rgb, cv2.COLOR_RGB2LAB) for one in views]
    rows = []
    for colours, one in zip(lab[1:], views[1:], strict=True):
        least = _least_difference(lab[0], colours)
        usual = least[one.seen & ground]
        if len(usual) > _FEWEST:
            rows.append(np.where(one.seen, least / (np.median(usual) + 3), np.inf))
    if not rows:
        return [np.zeros(ground.shape)] * 3
    ranked = np.sort(np.array(rows, np.float32), axis=0)
    counts = np.isfinite(ranked).sum(0)
    quartiles = []
    for share in (0.25, 0.5, 0.75):
        places = np.clip(np.rint(share * (counts - 1)), 0, None).astype(int)
        ratio = np.where(counts > 0, np.take_along_axis(ranked, places[None], 0)[0], 1.0).astype(float)
        quartiles.append(cv2.GaussianBlur(ratio / (1 + ratio), (0, 0), 1.5))
    return quartiles


def own_motion(picture: Picture, other: Picture, ground: NDArray[np.bool_]) -> Floats:
    """Motion (h, w, 2) unlike that of the ground; 1 is clearly its own.

    Args:
        picture: RGB (h, w, 3).
        other: view of a frame close to it, in which the ground lies where it does here.
        ground: what is known as ground, (h, w).
    """
    here, there = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (picture, other))
    flow = _flow(here, there, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    speeds = np.linalg.norm(flow[ground], axis=-1)
    own: Floats = flow / (2 * (np.median(speeds) if len(speeds) else 0.0) + 0.8)
    return own


def _zoom(scale: float, origin: tuple[int, int] = (0, 0)) -> Floats:
    """From a frame's pixels to those of a part of it that is scaled, (3, 3); centres of pixels are whole numbers."""
    (x, y), shift = origin, 0.5 * scale - 0.5
    return np.array([[scale, 0, shift - x * scale], [0, scale, shift - y * scale], [0, 0, 1]])


def _flow(picture: Picture, other: Picture, preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST) -> Floats:
    """Where each pixel went, (h, w, 2), from grey pictures."""
    estimator: Any = cv2.DISOpticalFlow.create(preset)
    flow: Floats = estimator.calc(picture, other, None).astype(float)
    return flow


def _fitted(points: NDArray[np.int64], flow: Floats, usable: NDArray[np.bool_]) -> Floats:
    """The homography that most points (N, 2) follow; the identity where too few are usable."""
    chosen = points[usable].astype(float)
    if len(chosen) < _FEWEST:
        return np.eye(3)
    cv2.setRNGSeed(0)
    moved = chosen + flow[points[usable, 1], points[usable, 0]]
    found, _ = cv2.findHomography(chosen, moved, cv2.RANSAC, 1.0, maxIters=500)
    return np.eye(3) if found is None else found


def _least_difference(lab: Picture, other: Picture) -> NDArray[np.uint16]:
    """Sum over the channels of how much colours differ, at best among the neighbours of each pixel, (h, w)."""
    height, width = lab.shape[:2]
    padded = cv2.copyMakeBorder(other, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    steps = [padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    differences = [cv2.absdiff(lab, one).sum(-1, dtype=np.uint16) for one in steps]
    least: NDArray[np.uint16] = np.minimum.reduce(differences)
    return least
