"""From a box to the outline of an object: overlap with the truth on the first frames of a DAVIS tree, and the time.

    python benchmarks/outline.py ../shared/data/DAVIS-2016-tuning

The box is the bounds of the truth. Strokes are placed by a rule: in the largest connected region that is wrong in one
way, through its innermost pixel, along the straight line that stays in it the longest, 5 % short at either end.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vos_lightning.io.frames import FrameFolder
from vos_lightning.io.masks import read_mask
from vos_lightning.studio.outline import Outliner, Stroke
from vos_lightning.studio.session import NEARBY

DIRECTIONS = np.linspace(0, np.pi, 24, endpoint=False)
RADIUS = 2.0


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest connected region (H, W) of a mask."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return labels == 1 + facts[1:, cv2.CC_STAT_AREA].argmax() if mask.any() else mask


def stroke(found: np.ndarray, truth: np.ndarray) -> Stroke:
    """The next stroke, by the rule."""
    missing, surplus = largest_region(truth & ~found), largest_region(found & ~truth)
    inside = bool(missing.sum() >= surplus.sum())
    region = missing if inside else surplus
    depth = cv2.distanceTransform(np.pad(region, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    lines = []
    for angle in DIRECTIONS:
        step = np.array([np.cos(angle), np.sin(angle)])
        lines.append([np.array([x, y]) + sign * 0.9 * _reach(region, x, y, sign * step) * step for sign in (1, -1)])
    ends = max(lines, key=lambda pair: float(np.linalg.norm(pair[0] - pair[1])))
    return Stroke(tuple((float(a), float(b)) for a, b in ends), RADIUS, inside)


def _reach(region: np.ndarray, x: int, y: int, step: np.ndarray) -> int:
    length = 0
    while True:
        column, row = np.rint(np.array([x, y]) + (length + 1) * step).astype(int)
        if not (0 <= row < region.shape[0] and 0 <= column < region.shape[1] and region[row, column]):
            return length
        length += 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Outline, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="DAVIS tree")
    parser.add_argument("--strokes", type=int, default=2)
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    rows, preparing, seconds = [], [], []
    for folder in sorted((options.root / "JPEGImages" / "480p").iterdir()):
        frames = FrameFolder(folder)
        pictures = frames.read([i for i in (0, *NEARBY) if i < len(frames.names)])
        truth = read_mask(options.root / "Annotations" / "480p" / folder.name / f"{frames.names[0]}.png") > 0
        ys, xs = np.nonzero(truth)
        box = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        strokes: list[Stroke] = []
        row = []
        began = time.process_time()
        outliner = Outliner(pictures, box)
        preparing.append(time.process_time() - began)
        for number in range(options.strokes + 1):
            began = time.process_time()
            found = outliner.outline(strokes)
            seconds.append(time.process_time() - began)
            row.append(overlap(found, truth))
            if number < options.strokes:
                strokes.append(stroke(found, truth))
        rows.append(row)
        print(f"| {folder.name} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True)
    print("| mean | " + " | ".join(f"{value:.3f}" for value in np.mean(rows, 0)) + " |")
    for what, spent in (("for the box", preparing), ("for each outline", seconds)):
        print(f"{np.mean(spent):.2f} s of one core {what}, at most {max(spent):.2f}")


if __name__ == "__main__":
    main()
