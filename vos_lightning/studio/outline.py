"""From a box to the outline of the object in it, refined by strokes.

GrabCut alone takes what looks unlike the frame around the box, and thin objects fill little of their box. So it is
begun three times: with the whole box; with what a linear classifier, started in the middle of the box, finds alike; and
with what it finds when started where a path from outside of the box has to cross edges. Colours around each position,
and how it moves unlike the ground, are its evidence. Two of three decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vos_lightning.errors import VOSError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels; the last two are exclusive."""
Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SIDE = 256
"""Pixels of the longer side in which outlines are sought."""
_MOST_SCALE = 2.0
"""How far a small object is enlarged for that."""
_STEP = 4
"""Pixels of a position of the classifier."""
_MARGIN = 0.3
"""Of what is seen around the box, in sides of it."""
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


def outline(pictures: Sequence[Picture], box: Box, strokes: Sequence[Stroke] = ()) -> Bools:
    """The object in a box.

    Args:
        pictures: the frame, RGB (H, W, 3), and perhaps some frames close to it, which show what moves.
        box: around the object.
        strokes: what is known of it, later ones count more.

    Returns:
        (H, W), nothing outside of the box but what was stroked.
    """
    left, top, right, bottom = window = _window(pictures[0].shape, box)
    scale = min(_MOST_SCALE, _SIDE / max(right - left, bottom - top))
    size = tuple(max(_STEP * 4, round(length * scale / _STEP) * _STEP) for length in (right - left, bottom - top))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crops = [cv2.resize(one[top:bottom, left:right], size, interpolation=how) for one in pictures]
    seeds = np.full(size[::-1], cv2.GC_BGD, np.uint8)
    x0, y0, x1, y1 = ((edge - origin) * scale for edge, origin in zip(box, (left, top, left, top), strict=True))
    seeds[round(y0) : round(y1), round(x0) : round(x1)] = cv2.GC_PR_FGD
    for stroke in strokes:
        _draw(seeds, stroke, window, scale)
    votes = [_cut(crops[0], seeds, 5), *(_cut(crops[0], _sown(seeds, p), 2) for p in _probabilities(crops, seeds))]
    found = (np.sum(votes, axis=0) >= 2).astype(np.float32)
    result = np.zeros(pictures[0].shape[:2], bool)
    result[top:bottom, left:right] = (
        cv2.resize(found, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR) > 0.5
    )
    return result


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


def _cut(crop: Picture, seeds: Picture, rounds: int) -> Bools:
    labels = seeds.copy()
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if inside.all() or not inside.any():
        return inside
    model = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(crop), labels, None, model[0], model[1], rounds, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _sown(seeds: Picture, probability: Floats) -> Picture:
    """Seeds that say what is probable; what is given stays."""
    full = cv2.resize(probability, seeds.shape[::-1], interpolation=cv2.INTER_LINEAR)
    sown = np.where(full > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    sown = np.where(full < 0.1, cv2.GC_BGD, np.where(full > 0.9, cv2.GC_FGD, sown))
    return np.where(seeds == cv2.GC_PR_FGD, sown, seeds).astype(np.uint8)


# --- the classifier


def _probabilities(crops: Sequence[Picture], seeds: Picture) -> list[Floats]:
    """What the classifier takes for the object, (h, w), from its two starts."""
    size = seeds.shape[1] // _STEP, seeds.shape[0] // _STEP
    given = cv2.resize(seeds, size, interpolation=cv2.INTER_NEAREST)
    lab = cv2.resize(cv2.cvtColor(crops[0], cv2.COLOR_RGB2LAB), size, interpolation=cv2.INTER_AREA).astype(float)
    inside = given == cv2.GC_PR_FGD
    if not inside.any() or inside.all():
        return [inside.astype(float)] * 2
    u, v = _coordinates(inside)
    flows = [
        _own_motion(crops[0], other, cv2.resize((seeds == 0).astype(np.uint8), crops[0].shape[1::-1]))
        for other in crops[1:]
    ]
    motion = [cv2.resize(flow, size, interpolation=cv2.INTER_AREA) for flow in flows]
    moving = np.mean(
        [np.square(flow).sum(-1) / (1 + np.square(flow).sum(-1)) for flow in motion] or [np.zeros(u.shape)], 0
    )
    strange, remote = _strangeness(lab, inside), _remoteness(lab, inside)
    evidence = _evidence(lab, motion, moving, [strange, remote], u, v)
    middle = np.exp(-1.2 * (u * u + v * v)) * inside
    unlike = np.sqrt(middle) * ((strange + remote) / 2) ** 2 * 1.5
    told = min(1.0, max(0.0, 2 * (moving[inside].mean() - moving[~inside].mean())))
    moved = 1 - told + 2 * told * moving
    return [
        _classify(evidence, np.clip(start * moved, 0, 1), given, rounds) for start, rounds in ((middle, 6), (unlike, 2))
    ]


def _classify(evidence: Floats, start: Floats, given: Picture, rounds: int) -> Floats:
    """Fit a linear classifier to what it said before, again and again; what is given stays.

    Args:
        evidence: of each position, (h · w, N).
        start: probabilities (h, w).
        given: seeds of GrabCut, (h, w).
        rounds: how often.
    """
    unknown, known = given == cv2.GC_PR_FGD, given == cv2.GC_FGD
    weights = np.where(unknown, 1.0, unknown.sum() / (~unknown).sum())
    weights[known] = max(1.0, 0.2 * unknown.sum() / max(1, known.sum()))
    probability = np.where(known, 1.0, start)
    weighted = evidence * weights.reshape(-1, 1)
    gram = weighted.T @ evidence + 0.02 * weights.mean() * np.eye(evidence.shape[1])
    for _ in range(rounds):
        scores = (evidence @ np.linalg.solve(gram, weighted.T @ probability.ravel())).reshape(start.shape)
        high, low = np.percentile(scores[unknown], 95), np.median(scores[~unknown & ~known])
        sharp = 8 / max(high - low, 1e-3)
        soft = 1 / (1 + np.exp(-np.clip(sharp * (scores - (high + low) / 2), -50, 50)))
        probability = np.where(unknown, cv2.GaussianBlur(soft, (0, 0), 1.0), known)
    return probability


def _evidence(lab: Floats, motion: list[Floats], moving: Floats, cues: list[Floats], u: Floats, v: Floats) -> Floats:
    """What the classifier sees of each position: (h · w, N), the last one constant."""
    colour = (lab - lab.mean((0, 1))) / (lab.std((0, 1)) + 12)
    around = [cv2.GaussianBlur(colour, (0, 0), sigma) for sigma in (1.0, 2.5, 5.0)]
    products = colour[..., (0, 1, 2, 0, 0, 1)] * colour[..., (0, 1, 2, 1, 2, 2)]
    u, v = 0.4 * np.clip(u, -1.5, 1.5), 0.4 * np.clip(v, -1.5, 1.5)
    bent = [2 * flow / (1 + np.linalg.norm(flow, axis=-1, keepdims=True)) for flow in motion]
    columns = [
        colour,
        products,
        *around,
        *bent,
        *(one[..., None] for one in (3 * moving, *cues, u, v, u * u, v * v, u * v)),
    ]
    table = np.concatenate([one.reshape(u.size, -1) for one in columns], axis=1)
    return np.concatenate([table - table.mean(0), np.ones((u.size, 1))], axis=1)


def _coordinates(inside: Bools) -> tuple[Floats, Floats]:
    """Across and down the box, -1…1 within it, (h, w)."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    v, u = np.mgrid[: inside.shape[0], : inside.shape[1]].astype(float)
    u, v = u - columns.mean(), v - rows.mean()
    return u / (len(columns) / 2), v / (len(rows) / 2)


def _own_motion(picture: Picture, other: Picture, ground: Picture) -> Floats:
    """Motion (H, W, 2) unlike that of the ground, which is taken for affine; 1 is clearly its own.

    Args:
        picture: RGB.
        other: RGB, a frame close to it.
        ground: 1 where the ground is known, (H, W).
    """
    grey = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (picture, other)]
    estimator: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = estimator.calc(*grey, None).reshape(-1, 2).astype(float)
    y, x = np.mgrid[: ground.shape[0], : ground.shape[1]] / max(ground.shape)
    affine = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    known = ground.ravel() > 0
    weights = known.astype(float)
    for _ in range(6):  # robustly: what doesn't fit counts less
        weighted = affine * weights[:, None]
        model = np.linalg.solve(weighted.T @ affine + 1e-6 * np.eye(3), weighted.T @ flow)
        rest = np.linalg.norm(flow - affine @ model, axis=1)
        usual = np.median(rest[known]) + 0.15
        weights = known / (1 + (rest / usual) ** 2)
    own: Floats = ((flow - affine @ model) / (2 * usual + 0.5)).reshape(*ground.shape, 2)
    return own


def _strangeness(lab: Floats, inside: Bools) -> Floats:
    """How unlike the closest colours of the ground each position of the box is: its rank, 0…1, (h, w)."""
    ground = lab[~inside]
    distances = np.linalg.norm(lab[inside][:, None] - ground[None], axis=-1)
    nearest = np.partition(distances, min(4, len(ground) - 1), axis=1)[:, :5].mean(1)
    return _ranked(nearest, inside)


def _remoteness(lab: Floats, inside: Bools) -> Floats:
    """How much colour has to change on the way in from outside of the box: its rank, 0…1, (h, w)."""
    smooth = np.pad(cv2.GaussianBlur(lab, (0, 0), 0.7), ((1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = inside.shape
    steps = [(dy, dx) for dy in (0, 1, 2) for dx in (0, 1, 2) if (dy, dx) != (1, 1)]

    def shifted(padded: Floats, dy: int, dx: int) -> Floats:
        return padded[dy : dy + height, dx : dx + width]

    here = shifted(smooth, 1, 1)
    costs = [
        (np.abs(shifted(smooth, dy, dx) - here).sum(-1) + 1) * (1.4 if dy != 1 and dx != 1 else 1) for dy, dx in steps
    ]
    far = np.where(inside, 1e6, 0.0)
    for _ in range(4 * max(inside.shape)):  # shortest paths, one step longer each time
        padded = np.pad(far, 1, mode="edge")
        nearer = np.minimum.reduce([far, *(shifted(padded, *step) + c for step, c in zip(steps, costs, strict=True))])
        if np.array_equal(nearer, far):
            break
        far = nearer
    return _ranked(far[inside], inside)


def _ranked(values: Floats, inside: Bools) -> Floats:
    ranks = np.zeros(inside.shape)
    order = np.empty(len(values))
    order[np.argsort(values)] = np.linspace(0, 1, len(values))
    ranks[inside] = order
    return ranks
