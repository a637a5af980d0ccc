// The keyboard.

import { addObject, keepAsGiven } from "./edits.js";
import { redo, undo } from "./history.js";
import { goToLeastSure, step, toggle } from "./player.js";
import { state, update } from "./state.js";
import { endPolygon, TOOLS } from "./tools.js";
import { track } from "./tracking.js";
import { fit, goTo, zoom } from "./view.js";

const size = (factor) => update({ brush: Math.max(1, Math.min(80, Math.round(state.brush * factor + Math.sign(factor - 1)))) });

// [keys as shown, what they do, the event's key, action]
const SHORTCUTS = [
  ["← →", "a frame back, on", null],
  ["", "", "ArrowLeft", () => step(-1)],
  ["", "", "ArrowRight", () => step(1)],
  ["Shift ← →", "ten frames back, on", null],
  ["", "", "Shift+ArrowLeft", () => step(-10)],
  ["", "", "Shift+ArrowRight", () => step(10)],
  ["Home End", "first frame, last frame", null],
  ["", "", "Home", () => goTo(0)],
  ["", "", "End", () => goTo(state.video.frames - 1)],
  ["Space", "play, pause", " ", toggle],
  ["U", "go where the tracker is least sure", "u", goToLeastSure],
  ...Object.entries(TOOLS).map(([tool, { key, title }]) => [key.toUpperCase(), title, key, () => update({ tool })]),
  ["[ ]", "smaller, larger brush", null],
  ["", "", "[", () => size(0.8)],
  ["", "", "]", () => size(1.25)],
  ["A", "add an object", "a", addObject],
  ["1 … 9", "select an object", null],
  ["K", "keep the mask of this frame as given", "k", keepAsGiven],
  ["T", "track all", "t", () => track("all")],
  ["Enter", "close the polygon", "Enter", () => endPolygon(false)],
  ["Esc", "cancel the polygon", "Escape", () => endPolygon(true)],
  ["Ctrl Z", "undo", "Ctrl+z", undo],
  ["Ctrl Shift Z", "redo", "Ctrl+Shift+z", redo],
  ["", "", "Ctrl+y", redo],
  ["+ − 0", "zoom in, out, fit", null],
  ["", "", "+", () => zoom(1.25)],
  ["", "", "-", () => zoom(0.8)],
  ["", "", "0", fit],
  ["?", "this list", "?", () => document.getElementById("help").showModal()],
];

export function startKeys() {
  const actions = new Map(SHORTCUTS.filter(([, , key]) => key).map(([, , key, action]) => [key, action]));
  const list = document.getElementById("shortcuts");
  for (const [keys, what] of SHORTCUTS) {
    if (!keys) continue;
    const term = document.createElement("dt");
    term.innerHTML = keys.split(" ").map((key) => `<kbd>${key}</kbd>`).join(" ");
    list.append(term, Object.assign(document.createElement("dd"), { textContent: what }));
  }
  document.getElementById("open-help").onclick = actions.get("?");
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=range]), textarea") || document.querySelector("dialog[open]");
    if (typing || !state.video || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const named = event.shiftKey && (event.ctrlKey || event.metaKey || key.startsWith("Arrow"));
    const name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (named ? "Shift+" : "") + key;
    if (/^[1-9]$/.test(name) && state.objects[Number(name) - 1]) update({ selected: state.objects[Number(name) - 1].id });
    else if (actions.has(name)) actions.get(name)();
    else return;
    event.preventDefault();
  });
}
