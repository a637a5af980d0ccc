"""The frame of the HTML report: one file, nothing loaded from anywhere."""

from __future__ import annotations

from html import escape

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1d2330; --soft: #5b6475; --line: #dfe3ea; --paper: #fff; --card: #f5f7fa; --bar: #3b7dd8;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #9aa4b8; --line: #313949; --paper: #141821; --card: #1d2330; --bar: #5c9bf0; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2em 0 .6em; }
h3 { font-size: 1rem; margin: 0; }
p, .soft { color: var(--soft); overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: 10px; margin: 18px 0; }
.card { background: var(--card); border-radius: 10px; padding: 10px 14px; }
.card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .85rem; }
.card:first-child b { color: var(--bar); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { position: sticky; top: 0; background: var(--paper); color: var(--soft); font-weight: 600; cursor: pointer; }
th.name, td.name { text-align: left; }
tr.summary td { font-weight: 650; border-top: 2px solid var(--line); }
td.gain { color: #2a9d8f; } td.loss { color: #e0364c; }
section { border-top: 1px solid var(--line); padding: 18px 0 8px; }
section > header { display: flex; justify-content: space-between; gap: 12px; flex-wrap: wrap; align-items: baseline; }
.chart {
  display: grid; grid-template-columns: 2.2em minmax(0, 1fr); margin: 12px 0; font-size: .8rem;
  color: var(--soft);
}
.scale {
  display: flex; flex-direction: column; justify-content: space-between; align-items: flex-end;
  padding-right: 6px; margin: -.6em 0;
}
.plot { width: 100%; height: 170px; overflow: visible; touch-action: pan-y; }
.plot polyline, .legend line {
  fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linecap: round;
}
.grid line { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.cursor { visibility: hidden; stroke: var(--soft); stroke-width: 1; vector-effect: non-scaling-stroke; }
.ticks, .legend, .readout { grid-column: 2; }
.ticks { display: flex; justify-content: space-between; margin-top: 6px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; margin: 6px 0 0; padding: 0; }
.readout { min-height: 1.5em; color: var(--ink); font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(280px, 100%), 1fr)); gap: 12px; }
.pictures figure { margin: 0; }
.pictures img { width: 100%; max-width: 640px; border-radius: 6px; display: block; }
.pictures figcaption { font-size: .85rem; color: var(--soft); }
.key {
  display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: .85rem; color: var(--soft); padding: 0;
  list-style: none;
}
.key i {
  display: inline-block; width: .9em; height: .9em; border-radius: 3px; vertical-align: -.1em;
  margin-right: .4em;
}
.notes {
  background: var(--card); border-radius: 10px; padding: 10px 14px 10px 30px; font-size: .9rem;
  overflow-wrap: anywhere;
}
"""

_SCRIPT = """
for (const chart of document.querySelectorAll('.chart')) {
  const data = JSON.parse(chart.dataset.chart), plot = chart.querySelector('.plot');
  const cursor = chart.querySelector('.cursor'), readout = chart.querySelector('.readout');
  plot.addEventListener('pointermove', event => {
    const box = plot.getBoundingClientRect(), last = data.frames.length - 1;
    const at = Math.max(0, Math.min(last, Math.round((event.clientX - box.left) / box.width * last)));
    cursor.setAttribute('x1', at); cursor.setAttribute('x2', at); cursor.style.visibility = 'visible';
    readout.textContent = data.frames[at] + ': ' + data.series.filter(one => one.values[at] !== null)
      .map(one => one.name + ' ' + one.values[at].toFixed(3)).join(', ');
  });
}
for (const table of document.querySelectorAll('table')) {
  table.querySelectorAll('th').forEach((head, column) => head.addEventListener('click', () => {
    const body = table.tBodies[0], rows = [...body.rows], down = head.dataset.down !== 'yes';
    head.dataset.down = down ? 'yes' : 'no';
    const key = row => row.cells[column].textContent;
    const number = rows.every(row => key(row) === '-' || !isNaN(key(row)));
    rows.sort((a, b) => number ? (parseFloat(key(a)) || 0) - (parseFloat(key(b)) || 0)
      : key(a).localeCompare(key(b), undefined, {numeric: true}));
    body.append(...(down ? rows : rows.reverse()));
  }));
}
"""


def page(title: str, body: str) -> str:
    """A whole HTML document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main><script>{_SCRIPT}</script></body></html>\n"
    )
