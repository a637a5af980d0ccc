"""From a box to the outline of the object in it, refined by strokes.

What is around the box is ground, and what of the box looks and moves like it is ground too. A linear classifier finds
the rest, started twice: in the middle of the box, and where a path from outside of the box has to cross edges. GrabCut
goes on from the mean of both, in a picture whose channels are the two main colours and how unlike the ground each pixel
is in other frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError
from vos_lightning.studio.ground import Box, Floats, Picture, difference, homographies, own_motion, view

Bools = NDArray[np.bool_]

_SIDE = 384
"""Pixels of the longer side in which outlines are sought."""
_MOST_SCALE = 3.0
"""How far a small object is enlarged for that."""
_STEP = 4
"""Pixels of a position of the classifier."""
_MARGIN = 0.3
"""Of what is seen around the box, in sides of it."""
_FLOWS = 3
"""Frames, the closest, in which motion is sought."""
_MOST_GROUND = 1500
"""Positions that stand for the ground's colours."""
_REACH = 8.0
"""Of a stroke: how much colour may change on the way from it."""
_INSISTENCE = 4.0
"""Of a stroke, against what was found without it."""
_KEPT = 0.05
"""Probability of the object where none was found, before strokes."""
_MOST_POINTS = 10_000


@dataclass(frozen=True)
class Stroke:
    """A line that says "this" or "not this".

    Args:
        points: (x, y) in pixels, at least one.
        radius: in pixels.
        inside: whether it belongs to the object.
    """

    points: tuple[tuple[float, float], ...]
    radius: float
    inside: bool


@dataclass(frozen=True)
class Request:
    """What to outline."""

    box: Box
    strokes: tuple[Stroke, ...]


class Outliner:
    """Finds the object in a box.

    Args:
        pictures: the frame, RGB (H, W, 3), and perhaps others, the closest first, which show what moves.
        box: around the object.
    """

    def __init__(self, pictures: Sequence[Picture], box: Box) -> None:
        self._frame = pictures[0].shape[:2]
        self._window = left, top, right, bottom = _window(self._frame, box)
        self._scale = min(_MOST_SCALE, _SIDE / max(right - left, bottom - top))
        width, height = (max(4, round(edge * self._scale / _STEP)) * _STEP for edge in (right - left, bottom - top))
        self._seeds = np.full((height, width), cv2.GC_BGD, np.uint8)
        x0, y0, x1, y1 = (
            round((edge - origin) * self._scale) for edge, origin in zip(box, (left, top, left, top), strict=True)
        )
        self._seeds[y0:y1, x0:x1] = cv2.GC_PR_FGD
        inside, coarse = self._seeds == cv2.GC_PR_FGD, (width // _STEP, height // _STEP)
        maps = homographies(pictures, box)
        crops = [
            view(one, to, (left, top), self._scale, (width, height)) for one, to in zip(pictures, maps, strict=True)
        ]
        strange = difference(crops, ~inside)
        motion = [own_motion(crops[0].rgb, other.rgb, ~inside) for other in crops[1 : 1 + _FLOWS]]
        self._picture = _picture(crops[0].rgb, strange[1])
        self._lab, *cues = (
            cv2.resize(one, coarse, interpolation=cv2.INTER_AREA).astype(float)
            for one in (cv2.cvtColor(crops[0].rgb, cv2.COLOR_RGB2LAB), *strange, *motion)
        )
        self._inside = cv2.resize(self._seeds, coarse, interpolation=cv2.INTER_NEAREST) == cv2.GC_PR_FGD
        probability = _probability(self._lab, cues[: len(strange)], cues[len(strange) :], self._inside)
        self._found = _cut(self._picture, _sown(self._seeds, probability))

    def outline(self, strokes: Sequence[Stroke] = ()) -> Bools:
        """The object, (H, W); nothing outside of the box but what was stroked.

        Args:
            strokes: what is known of it, later ones count more. They change what has colours like theirs around them.
        """
        found = self._corrected(strokes) if strokes else self._found
        left, top, right, bottom = self._window
        zoom = np.array([[self._scale, 0, 0.5 * self._scale - 0.5], [0, self._scale, 0.5 * self._scale - 0.5]])
        size, flags = (right - left, bottom - top), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        full = cv2.warpAffine(found.astype(np.float32), zoom, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        result = np.zeros(self._frame, bool)
        result[top:bottom, left:right] = full > 0.5
        return result

    def _corrected(self, strokes: Sequence[Stroke]) -> Bools:
        seeds, given = self._seeds.copy(), np.where(self._inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
        for stroke in strokes:
            _draw(seeds, stroke, self._window, self._scale)
            _draw(given, stroke, self._window, self._scale / _STEP)
        near = [
            np.exp(-_path_costs(self._lab, (given == label) & self._inside) / _REACH)
            for label in (cv2.GC_FGD, cv2.GC_BGD)
        ]
        found = cv2.resize(self._found.astype(float), given.shape[::-1], interpolation=cv2.INTER_AREA)
        probability = (_KEPT + (1 - 2 * _KEPT) * found + _INSISTENCE * near[0]) / (
            1 + _INSISTENCE * (near[0] + near[1])
        )
        return _cut(self._picture, _sown(seeds, probability))


def request_from(facts: dict[str, Any], size: tuple[int, int]) -> Request:
    """A request from JSON.

    Raises:
        VOSError: it isn't one, or the box holds nothing of the picture.
    """
    try:
        x0, y0, x1, y1 = (float(edge) for edge in facts["box"])
        strokes = tuple(map(_stroke_from, facts.get("strokes", [])))
        box = (max(0, round(x0)), max(0, round(y0)), min(size[1], round(x1)), min(size[0], round(y1)))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise VOSError("expected a box of four numbers, and strokes of points, radius and inside") from error
    if any(not one.points for one in strokes) or sum(len(one.points) for one in strokes) > _MOST_POINTS:
        raise VOSError("a stroke has no point, or there are too many")
    if box[2] - box[0] < 4 or box[3] - box[1] < 4:
        raise VOSError("the box is too small; draw it around the whole object")
    return Request(box, strokes)


def _stroke_from(facts: dict[str, Any]) -> Stroke:
    points = tuple((float(x), float(y)) for x, y in facts["points"])
    if not np.isfinite(points).all():
        raise ValueError("not a number")
    return Stroke(points, min(float(facts["radius"]), 200.0), bool(facts["inside"]))


def _window(size: tuple[int, ...], box: Box) -> Box:
    """The box with a margin around it, within the picture."""
    margin = int(max(16, _MARGIN * max(box[2] - box[0], box[3] - box[1])))
    right, bottom = min(size[1], box[2] + margin), min(size[0], box[3] + margin)
    return max(0, box[0] - margin), max(0, box[1] - margin), right, bottom


def _draw(seeds: Picture, stroke: Stroke, window: Box, scale: float) -> None:
    points = (np.array(stroke.points) - window[:2]) * scale
    value = cv2.GC_FGD if stroke.inside else cv2.GC_BGD
    lines = [np.rint(np.clip(points, -1e6, 1e6)).astype(np.int32)]
    cv2.polylines(seeds, lines, False, int(value), max(1, round(2 * stroke.radius * scale)))


# --- GrabCut


def _picture(rgb: Picture, strange: Floats) -> Picture:
    """What is cut, (H, W, 3): the two main directions of the colours, and how unlike the ground it is, 0…1."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(float)
    lab -= lab.mean(0)
    _, directions = np.linalg.eigh(lab.T @ lab)
    colours = (lab @ directions[:, :0:-1]).reshape(*rgb.shape[:2], 2) + 128
    picture: Picture = np.clip(np.dstack([colours, 100 * strange]), 0, 255).astype(np.uint8)
    return picture


def _cut(picture: Picture, seeds: Picture) -> Bools:
    inside = np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if inside.all() or not inside.any():
        return inside
    model = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(picture, seeds, None, model[0], model[1], 2, cv2.GC_INIT_WITH_MASK)
    return np.isin(seeds, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _sown(seeds: Picture, probability: Floats) -> Picture:
    """Seeds that say what is probable, for certain only where all around is alike; what is given stays."""
    around = np.ones((3, 3), np.uint8)
    high, full, low = (
        cv2.resize(one, seeds.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for one in (cv2.dilate(probability, around), probability, cv2.erode(probability, around))
    )
    sown = np.where(full > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    sown = np.where(high < 0.1, cv2.GC_BGD, np.where(low > 0.9, cv2.GC_FGD, sown))
    return np.where(seeds == cv2.GC_PR_FGD, sown, seeds).astype(np.uint8)


# --- the classifier


def _probability(lab: Floats, strange: list[Floats], motion: list[Floats], inside: Bools) -> Floats:
    """Of being the object, (h, w): the mean of the classifier's answers to its two starts.

    Args:
        lab: colours, (h, w, 3).
        strange: how unlike the ground in other frames, three quartiles, 0…1, (h, w).
        motion: unlike the ground's, to one frame each, (h, w, 2).
        inside: the box.
    """
    if inside.all() or not inside.any():
        return inside.astype(float)
    u, v = _coordinates(inside)
    speeds = [np.square(flow).sum(-1) for flow in motion]
    moving = np.mean([speed / (1 + speed) for speed in speeds] or [np.zeros(u.shape)], 0)
    unlike, remote = (_ranked(one, inside) for one in (_unlikeness(lab, inside), _path_costs(lab, ~inside)))
    evidence = _evidence(lab, motion, [moving, *strange], [unlike, remote], np.stack([u, v], -1))
    told = _told(moving, inside, 2) * _told(strange[1], inside, 3)
    middle = np.exp(-1.2 * (u * u + v * v)) * inside
    behind_edges = np.sqrt(middle) * ((unlike + remote) / 2) ** 2 * 1.5
    starts = (middle, 6), (behind_edges, 2)
    first, second = (_classify(evidence, np.clip(start * told, 0, 1), inside, rounds) for start, rounds in starts)
    return (first + second) / 2


def _classify(evidence: Floats, start: Floats, inside: Bools, rounds: int) -> Floats:
    """Fit a linear classifier to what it said before, again and again; what is around the box is ground.

    Args:
        evidence: of each position, (h · w, N).
        start: probabilities (h, w).
        inside: the box.
        rounds: how often.
    """
    weights = np.where(inside, 1.0, inside.sum() / (~inside).sum())
    weighted = evidence * weights.reshape(-1, 1)
    gram = weighted.T @ evidence + 0.02 * weights.mean() * np.eye(evidence.shape[1])
    probability = start
    for _ in range(rounds):
        scores = (evidence @ np.linalg.solve(gram, weighted.T @ probability.ravel())).reshape(start.shape)
        high, low = np.percentile(scores[inside], 95), np.median(scores[~inside])
        sharp = 8 / max(high - low, 1e-3)
        soft = 1 / (1 + np.exp(-np.clip(sharp * (scores - (high + low) / 2), -50, 50)))
        probability = np.where(inside, cv2.GaussianBlur(soft, (0, 0), 1.0), 0.0)
    return probability


def _evidence(lab: Floats, motion: list[Floats], moving: list[Floats], cues: list[Floats], places: Floats) -> Floats:
    """What the classifier sees of each position: (h · w, N), the last one constant."""
    colour = (lab - lab.mean((0, 1))) / (lab.std((0, 1)) + 12)
    around = [cv2.GaussianBlur(colour, (0, 0), sigma) for sigma in (1.0, 2.5, 5.0)]
    products = colour[..., (0, 1, 2, 0, 0, 1)] * colour[..., (0, 1, 2, 1, 2, 2)]
    bent = [2 * flow / (1 + np.linalg.norm(flow, axis=-1, keepdims=True)) for flow in motion]
    x, y = 0.4 * np.clip(np.moveaxis(places, -1, 0), -1.5, 1.5)
    single = np.stack([*(3 * one for one in moving), *cues, x, y, x * x, y * y, x * y], -1)
    table = np.concatenate([colour, products, *around, *bent, single], axis=-1).reshape(x.size, -1)
    return np.concatenate([table - table.mean(0), np.ones((x.size, 1))], axis=1)


def _told(cue: Floats, inside: Bools, trust: float) -> Floats:
    """Factors for probabilities, (h, w): the more of a cue is in the box alone, the more it tells."""
    ground = cue[~inside].mean()
    share = np.clip(trust * (cue[inside].mean() - ground), 0, 1)
    high = np.clip((cue - ground) / max(np.percentile(cue[inside], 95) - ground, 1e-3), 0, 1)
    factors: Floats = 1 - share + 2 * share * high
    return factors


def _coordinates(inside: Bools) -> tuple[Floats, Floats]:
    """Across and down the box, -1…1 within it, (h, w)."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    v, u = np.mgrid[: inside.shape[0], : inside.shape[1]].astype(float)
    u, v = u - columns.mean(), v - rows.mean()
    return u / (len(columns) / 2), v / (len(rows) / 2)


def _unlikeness(lab: Floats, inside: Bools) -> Floats:
    """How far the closest colours of the ground are, (h, w)."""
    ground = lab[~inside]
    ground = ground[:: 1 + len(ground) // _MOST_GROUND].astype(np.float32)
    colours = lab.reshape(-1, 3).astype(np.float32)
    squares = np.square(colours).sum(1)[:, None] - 2 * colours @ ground.T + np.square(ground).sum(1)
    count = min(3, len(ground))
    nearest = np.sqrt(np.maximum(np.partition(squares, count - 1, axis=1)[:, :count], 0))
    means: Floats = nearest.mean(1).reshape(inside.shape).astype(float)
    return means


def _path_costs(lab: Floats, sources: Bools) -> Floats:
    """How much colour has to change on the way from the sources, (h, w)."""
    smooth = np.pad(cv2.GaussianBlur(lab, (0, 0), 0.7), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = sources.shape
    steps = [(dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2) if (dy, dx) != (1, 1)]

    def shifted(padded: Floats, dy: int, dx: int) -> Floats:
        return padded[dy : dy + height, dx : dx + width]

    here = shifted(smooth, 1, 1)
    costs = [
        (np.abs(shifted(smooth, dy, dx) - here).sum(-1) + 1) * (1.4 if dy != 1 and dx != 1 else 1) for dy, dx in steps
    ]
    far = np.where(sources, 0.0, 1e6)
    for _ in range(4 * max(sources.shape)):  # shortest paths, one step longer each time
        padded = np.pad(far, 1, mode="edge")
        nearer = np.minimum.reduce([far, *(shifted(padded, *step) + c for step, c in zip(steps, costs, strict=True))])
        if np.array_equal(nearer, far):
            break
        far = nearer
    return far


def _ranked(values: Floats, inside: Bools) -> Floats:
    """Ranks within the box, 0…1, and 0 around it; (h, w)."""
    ranks = np.zeros(inside.shape)
    order = np.empty(inside.sum())
    order[np.argsort(values[inside])] = np.linspace(0, 1, len(order))
    ranks[inside] = order
    return ranks
