// Playing, and the buttons around it.

import { on, state, update } from "./state.js";
import { leastSure } from "./timeline.js";
import { goTo, heading } from "./view.js";

const number = document.getElementById("frame-number");
const playButton = document.getElementById("play");

async function play() {
  let due = performance.now();
  while (state.playing) {
    if (state.frame >= state.video.frames - 1) await goTo(0);
    else await goTo(state.frame + 1);
    due = Math.max(due + 1000 / state.video.fps, performance.now());
    await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
  }
}

export const toggle = () => update({ playing: !state.playing });

export function step(frames) {
  update({ playing: false });
  goTo(heading() + frames);
}

export function goToLeastSure() {
  const frame = leastSure();
  if (frame !== null) goTo(frame);
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(2).padStart(5, "0")}`;

export function startPlayer() {
  playButton.onclick = toggle;
  document.getElementById("previous").onclick = () => step(-1);
  document.getElementById("next").onclick = () => step(1);
  document.getElementById("worst").onclick = goToLeastSure;
  number.onchange = () => goTo(Number(number.value) || 0);
  let running = false;
  on("playing", () => {
    playButton.textContent = state.playing ? "❚❚" : "▶";
    playButton.title = state.playing ? "Pause (Space)" : "Play (Space)";
    if (state.playing && !running) {
      running = true;
      play().finally(() => { running = false; });
    }
  });
  on("frame video", () => {
    if (!state.video) return;
    const { frames, fps } = state.video;
    number.max = frames - 1;
    if (document.activeElement !== number) number.value = state.frame;
    document.getElementById("time").textContent = `of ${frames - 1} · ${clock(state.frame / fps)} of ${clock(frames / fps)}`;
  });
}
