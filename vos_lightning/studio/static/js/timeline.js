// The video as a strip: thumbnails, what is known of each frame, and a curve of how unsure the tracker is.

import { on, state, update } from "./state.js";
import { goTo } from "./view.js";

const canvas = document.getElementById("timeline");
const context = canvas.getContext("2d");
const STRIP = 46;
const BAR = 8;
const CURVE = 34;
const COLOURS = { g: "#ffbf47", t: "#2ec4b6", o: "#55607a", "-": "#262b36" };

const thumbnails = new Map();
let scheduled = false;
let base = null; // everything but the playhead, drawn anew when it changes

const width = () => canvas.clientWidth;
const last = () => Math.max(1, state.video.frames - 1);
const toX = (frame) => (frame / last()) * width();

/** How unsure the tracker is of a frame: of the selected object, or of the least sure one. */
export function unsure(frame) {
  const scores = state.uncertainty[frame];
  if (!scores || state.statuses[frame] === "g") return null;
  if (state.selected !== null && scores[state.selected] !== undefined) return scores[state.selected];
  const values = Object.values(scores);
  return values.length ? Math.max(...values) : null;
}

export function leastSure() {
  let [worst, highest] = [null, -1];
  for (let frame = 0; frame < state.video.frames; frame += 1) {
    const score = unsure(frame);
    if (score !== null && score > highest) [worst, highest] = [frame, score];
  }
  return worst;
}

/** Loaded once the frame itself is there, which goes first. */
function thumbnail(frame) {
  if (state.ready && !thumbnails.has(frame)) {
    const image = new Image();
    image.onload = drawBase;
    image.src = `thumbnails/${frame}`;
    thumbnails.set(frame, image);
  }
  return thumbnails.get(frame);
}

function drawStrip(paint) {
  const each = Math.max(24, (STRIP * state.video.width) / state.video.height);
  for (let x = 0; x < width(); x += each) {
    const frame = Math.min(last(), Math.floor(((x + each / 2) / width()) * state.video.frames));
    const image = thumbnail(frame);
    if (image?.complete && image.naturalWidth) paint.drawImage(image, x, 0, each, STRIP);
  }
}

function drawBar(paint) {
  const step = width() / state.video.frames;
  let start = 0;
  for (let frame = 1; frame <= state.video.frames; frame += 1) {
    if (state.statuses[frame] === state.statuses[start]) continue;
    paint.fillStyle = COLOURS[state.statuses[start]];
    paint.fillRect(start * step, STRIP + 3, Math.max(1.5, (frame - start) * step), BAR);
    start = frame;
  }
  for (let frame = 0; frame < state.video.frames; frame += 1) {
    if (state.statuses[frame] !== "g") continue;
    const x = (frame + 0.5) * step;
    paint.fillStyle = COLOURS.g;
    paint.beginPath();
    paint.moveTo(x, STRIP - 1); paint.lineTo(x + 6, STRIP + 7); paint.lineTo(x, STRIP + 15); paint.lineTo(x - 6, STRIP + 7);
    paint.fill();
  }
}

function drawCurve(paint) {
  const bottom = STRIP + BAR + CURVE + 6;
  const points = [];
  for (let frame = 0; frame < state.video.frames; frame += 1) {
    const score = unsure(frame);
    if (score !== null) points.push([(frame + 0.5) * (width() / state.video.frames), bottom - Math.min(1, score) * CURVE, frame]);
  }
  paint.strokeStyle = "#ffffff18";
  paint.beginPath(); paint.moveTo(0, bottom); paint.lineTo(width(), bottom); paint.stroke();
  let run = [];
  const end = () => {
    if (!run.length) return;
    paint.beginPath();
    paint.moveTo(run[0][0], bottom);
    for (const [x, y] of run) paint.lineTo(x, y);
    paint.lineTo(run.at(-1)[0], bottom);
    paint.fillStyle = "#ff5a5f44";
    paint.fill();
    paint.beginPath();
    for (const [x, y] of run) paint.lineTo(x, y);
    paint.strokeStyle = "#ff5a5f";
    paint.lineWidth = 1.5;
    paint.stroke();
    run = [];
  };
  for (const point of points) {
    if (run.length && point[2] !== run.at(-1)[2] + 1) end();
    run.push(point);
  }
  end();
}

function drawBase() {
  base = null;
  draw();
}

function draw() {
  if (scheduled || !state.video) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    const ratio = devicePixelRatio;
    if (!base) {
      base = document.createElement("canvas");
      base.width = canvas.width = Math.round(width() * ratio);
      base.height = canvas.height = Math.round(canvas.clientHeight * ratio);
      const paint = base.getContext("2d");
      paint.scale(ratio, ratio);
      drawStrip(paint);
      drawBar(paint);
      drawCurve(paint);
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (base.width) context.drawImage(base, 0, 0);
    context.scale(ratio, ratio);
    const x = Math.min(width() - 1, Math.max(1, (state.frame + 0.5) * (width() / state.video.frames)));
    context.fillStyle = "#fff";
    context.fillRect(x - 1, 0, 2, canvas.clientHeight);
    context.beginPath();
    context.arc(x, 4, 4, 0, 2 * Math.PI);
    context.fill();
  });
}

export function startTimeline() {
  const seek = (event) => {
    const room = canvas.getBoundingClientRect();
    goTo(Math.floor(((event.clientX - room.left) / room.width) * state.video.frames));
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (!state.video) return;
    canvas.setPointerCapture(event.pointerId);
    update({ playing: false });
    seek(event);
    canvas.onpointermove = seek;
  });
  canvas.addEventListener("pointerup", () => { canvas.onpointermove = null; });
  canvas.addEventListener("pointercancel", () => { canvas.onpointermove = null; });
  on("frame", draw);
  on("statuses uncertainty video selected ready", drawBase);
  new ResizeObserver(drawBase).observe(canvas);
}

export function forgetThumbnails() {
  thumbnails.clear();
  drawBase();
}
