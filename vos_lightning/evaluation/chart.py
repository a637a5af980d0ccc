"""Per-frame curves as SVG that fits any width; labels are HTML, so that they stay readable on a phone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

SERIES_COLOURS = ("#3b7dd8", "#d8663b", "#3aa17e", "#b0529c", "#c2a000", "#5b6abf", "#8a6d3b", "#4aa8c0")


@dataclass(frozen=True)
class Series:
    """One curve."""

    name: str  # for the legend
    values: NDArray[np.float64]  # (T,) in [0, 1]; NaN leaves a hole
    colour: int  # index into the colours; curves of one object share it
    dashed: bool = False  # tells two curves of one colour apart


def chart(frames: Sequence[str], series: Sequence[Series]) -> str:
    """HTML of a chart with its legend; a script may show the values under the pointer from `data-chart`."""
    count = len(frames)
    data = {
        "frames": list(frames),
        "series": [
            {"name": one.name, "values": [None if np.isnan(v) else round(float(v), 3) for v in one.values]}
            for one in series
        ],
    }
    curves = "".join(_curve(one) for one in series)
    grid = "".join(f'<line x1="0" x2="{max(count - 1, 1)}" y1="{y}" y2="{y}"/>' for y in (0, 0.25, 0.5, 0.75, 1))
    legend = "".join(
        f'<li><svg width="26" height="8" aria-hidden="true"><line x1="0" x2="26" y1="4" y2="4" {_stroke(one)}/></svg> '
        f"{escape(one.name)}</li>"
        for one in series
    )
    shown = [frames[0], frames[count // 2], frames[-1]] if count > 2 else list(frames)
    ticks = "".join(f"<span>{escape(name)}</span>" for name in shown)
    return (
        f'<figure class="chart" data-chart="{escape(json.dumps(data), quote=True)}">'
        '<div class="scale"><span>1</span><span>0.5</span><span>0</span></div>'
        f'<svg class="plot" viewBox="0 0 {max(count - 1, 1)} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="Scores per frame"><g class="grid">{grid}</g>{curves}'
        '<line class="cursor" y1="0" y2="1"/></svg>'
        f'<div class="ticks">{ticks}</div><ul class="legend">{legend}</ul>'
        '<figcaption class="readout"></figcaption></figure>'
    )


def _curve(series: Series) -> str:
    """One polyline for every run of known values."""
    known = ~np.isnan(series.values)
    borders = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    parts = []
    for start, stop in borders.reshape(-1, 2).tolist():
        points = [f"{x},{1 - series.values[x]:.4g}" for x in range(start, stop)]
        if len(points) == 1:  # a single frame still shows, as a dot
            points *= 2
        parts.append(f'<polyline points="{" ".join(points)}" {_stroke(series)}/>')
    return "".join(parts)


def _stroke(series: Series) -> str:
    colour = SERIES_COLOURS[series.colour % len(SERIES_COLOURS)]
    dashes = ' stroke-dasharray="5 4"' if series.dashed else ""
    return f'stroke="{colour}"{dashes}'
