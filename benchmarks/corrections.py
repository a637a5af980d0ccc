"""What corrections buy: the truth is given for the worst frame, again and again.

    python benchmarks/corrections.py ../shared/data/DAVIS-2016-tuning --corrections 3

Every gap is tracked from both ends, with both given frames in the memory, and put together, as in the studio. The worst
frame is the one of the lowest J&F; of those that are at most 0.05 better, the one in which the object is largest: an
annotator mends what can be seen. Given frames are scored too, as in DAVIS all but the first and the last are. Beside
it: how well the tracker's uncertainty, without corrections, ranks frames by their J (Spearman).

Labels are merged to one object, as in DAVIS 2016. Finished sequences are kept in --output and not tracked again.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor

from vos_lightning import VideoSegmenter
from vos_lightning.functional import contour_accuracy, region_similarity
from vos_lightning.inference.directions import Side, arrival, merge_directions
from vos_lightning.inference.tracking.track import Track
from vos_lightning.io.frames import FrameFolder
from vos_lightning.io.masks import read_mask

TIE = 0.05


class Seen(NamedTuple):
    """A frame as one pass sees it: its mask (H, W) bool, and probabilities by id."""

    mask: np.ndarray
    probs: dict[int, Tensor]


class Sequel:
    """One sequence, tracked from the frames that are given; what is known already is not tracked again."""

    def __init__(self, segmenter: VideoSegmenter, frames: FrameFolder, truth: list[np.ndarray]) -> None:
        self.truth = truth
        self.given = [0]
        self.uncertainty: dict[int, float] = {}
        self._segmenter = segmenter
        self._frames = frames
        self._passes: dict[tuple[int, int, int | None], tuple[Track, list[Seen]]] = {}

    def masks(self) -> list[np.ndarray]:
        """Masks of all frames (H, W) bool, with what is given so far."""
        masks = list(self.truth)
        anchors = [t for t in self.given if self.truth[t].any()]
        second, last_but_one = (*anchors[1:2], None)[0], (*anchors[-2:-1], None)[0]
        for t in range(anchors[0]):
            masks[t] = self._seen(anchors[0], second, -1, t).mask
        for t in range(anchors[-1] + 1, len(masks)):
            masks[t] = self._seen(anchors[-1], last_but_one, 1, t).mask
        for left, right in pairwise(anchors):
            for t in range(left + 1, right):
                sides = self._side(left, right, 1, t), self._side(right, left, -1, t)
                probs = merge_directions(*sides, (t - left) / (right - left))
                masks[t] = self._segmenter.tracker().draw(self._frames[t], probs) > 0
        for t in self.given:
            masks[t] = self.truth[t]
        return masks

    def _side(self, anchor: int, other: int, step: int, t: int) -> Side:
        reached = self._seen(anchor, other, step, other).mask
        return Side(self._seen(anchor, other, step, t).probs, arrival(np.uint8(reached), np.uint8(self.truth[other])))

    def _seen(self, anchor: int, other: int | None, step: int, t: int) -> Seen:
        """A frame as the pass from an anchor sees it, which goes on as far as it has to."""
        way = anchor, step, other
        if way not in self._passes:
            track = self._segmenter.tracker()
            if other is not None:
                track.remember(self._frames[other], self.truth[other].astype(np.uint8))
            track.step(self._frames[anchor], self.truth[anchor].astype(np.uint8))
            self._passes[way] = track, []
        track, seen = self._passes[way]
        for here in range(anchor + step * (len(seen) + 1), t + step, step):
            seen.append(Seen(track.step(self._frames[here]) > 0, track.probabilities))
            if way == (0, 1, None):
                self.uncertainty[here] = track.uncertainty[1]
        return seen[abs(t - anchor) - 1]


def correct(sequel: Sequel, corrections: int) -> tuple[list[float], float]:
    """J&F after 0, 1, … corrections, in percent, and the rank correlation of certainty with J before the first."""
    scores, correlation = [], float("nan")
    scored = range(1, len(sequel.truth) - 1)
    for round_ in range(corrections + 1):
        masks = sequel.masks()
        j = {t: float(region_similarity(masks[t], sequel.truth[t])) for t in scored}
        jf = {t: (j[t] + float(contour_accuracy(masks[t], sequel.truth[t]))) / 2 for t in scored}
        scores.append(100 * float(np.mean(list(jf.values()))))
        if round_ == 0:
            correlation = float(spearmanr([-sequel.uncertainty[t] for t in scored], list(j.values())).statistic)
        rest = [t for t in scored if t not in sequel.given]
        lowest = min(jf[t] for t in rest)
        sequel.given.append(max((t for t in rest if jf[t] <= lowest + TIE), key=lambda t: sequel.truth[t].sum()))
        sequel.given.sort()
    return scores, correlation


def main(arguments: Sequence[str] | None = None) -> None:
    """Correct, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="DAVIS tree with annotations of all frames")
    parser.add_argument("--corrections", type=int, default=3)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--max-size", type=int)
    parser.add_argument("--sequences", nargs="+")
    parser.add_argument("--output", type=Path, default=Path("runs/corrections"))
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    names = options.sequences or sorted(path.name for path in (options.root / "Annotations" / "480p").iterdir())
    segmenter = VideoSegmenter(options.weights, max_size=options.max_size)
    rows = []
    for name in names:
        kept = options.output / f"{name}-{options.weights}-{options.max_size}.json"
        if not kept.is_file():
            annotations = sorted((options.root / "Annotations" / "480p" / name).glob("*.png"))
            truth = [read_mask(path) > 0 for path in annotations]
            sequel = Sequel(segmenter, FrameFolder(options.root / "JPEGImages" / "480p" / name), truth)
            scores, correlation = correct(sequel, options.corrections)
            kept.write_text(json.dumps({"scores": scores, "correlation": correlation, "given": sequel.given[:-1]}))
        facts = json.loads(kept.read_text())
        rows.append([*facts["scores"], facts["correlation"]])
        print(f"| {name} | " + " | ".join(f"{v:.1f}" for v in facts["scores"]) + f" | {rows[-1][-1]:.2f} |", flush=True)
    print(
        "| mean | " + " | ".join(f"{v:.1f}" for v in np.nanmean(rows, 0)[:-1]) + f" | {np.nanmean(rows, 0)[-1]:.2f} |"
    )


if __name__ == "__main__":
    main()
