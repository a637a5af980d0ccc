// Following objects: what is asked for and how far it is.

import { postJSON } from "./api.js";
import { on, say, state, update } from "./state.js";

/** Whoever asks for tracking watches it, until a key or a button is pressed. */
function ask(wish) {
  update({ watching: !["pause", "stop"].includes(wish.do) });
  return postJSON("tracking", wish).catch((error) => { update({ watching: false }); say(error); });
}
export const track = (mode) => ask({ do: "start", mode, frame: state.frame });

const DIRECTIONS = { forward: "forward", backward: "backward", all: "in both directions" };
const BUTTONS = {
  loading: ["stop"],
  running: ["pause", "stop"],
  paused: ["resume", "stop"],
  interrupted: ["go on", "stop"],
  error: ["stop"],
};

function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return `${Math.ceil(seconds / 60)} min left`;
}

function text({ phase, mode, frame, done, remaining, fps, message }) {
  switch (phase) {
    case "loading": return "Loading the tracker…";
    case "running": return `Frame ${frame}, ${DIRECTIONS[mode]} · ${fps.toFixed(1)} frames/s · ${duration(remaining / fps)}`;
    case "paused": return `Paused at frame ${frame} · ${done} done, ${remaining} to go`;
    case "interrupted": return "Tracking was interrupted. What was tracked is kept.";
    case "error": return message;
    default: return "";
  }
}

export function startTracking() {
  for (const pressed of ["pointerdown", "keydown"]) document.addEventListener(pressed, () => update({ watching: false }), true);
  for (const button of document.querySelectorAll("[data-track]")) button.onclick = () => track(button.dataset.track);
  for (const button of document.querySelectorAll("[data-do]")) button.onclick = () => ask({ do: button.dataset.do });
  const next = document.getElementById("next-step");
  on("statuses progress", () => { next.hidden = state.progress?.phase !== "idle" || !/^-*g[-g]*$/.test(state.statuses); });
  const box = document.getElementById("progress");
  on("progress", () => {
    const { progress } = state;
    const shown = BUTTONS[progress.phase] ?? [];
    box.hidden = !shown.length;
    box.dataset.phase = progress.phase;
    document.getElementById("progress-text").textContent = text(progress);
    const bar = box.querySelector("progress");
    const all = progress.done + progress.remaining;
    if (progress.phase === "loading") bar.removeAttribute("value");
    else bar.value = all ? progress.done / all : 0;
    bar.hidden = progress.phase === "error" || progress.phase === "interrupted";
    for (const button of box.querySelectorAll("[data-do]")) button.hidden = !shown.includes(button.dataset.do);
    const busy = ["loading", "running", "paused"].includes(progress.phase);
    if (!busy) update({ watching: false });
    for (const button of document.querySelectorAll("[data-track]")) button.disabled = busy;
  });
}
