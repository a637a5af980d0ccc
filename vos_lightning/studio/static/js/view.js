// The frame on the screen: which one, where, how large, and what lies over it.

import { masks, pictures, prefetch } from "./frames.js";
import { Mask } from "./mask.js";
import { state, update, say } from "./state.js";

const canvas = document.getElementById("canvas");
const context = canvas.getContext("2d");
const MOST_ZOOM = 40;

export const mask = new Mask();
export const view = { scale: 1, x: 0, y: 0, fitted: true };
/** What tools draw over the frame: functions of the context, in the frame's coordinates. */
export const overlays = new Set();

let picture = null;
let shown = -1;
let wanted = 0;
let loading = null;
let scheduled = false;
let held = null;

/** While something is painted the frame and its mask stay; what is loading is dropped, later wishes wait for `release`. */
export function hold() {
  if (held) return;
  const reloads = loading && wanted === state.frame;
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  held = { released, release };
  wanted = shown = state.frame;
  if (reloads) goTo(state.frame, true);
}

export function release() {
  held?.release();
  held = null;
}

/** Shows a frame; while one is loading, only the latest wish is kept. Resolves when the frame is shown. */
export function goTo(frame, again = false) {
  if (held) return held.released.then(() => goTo(frame, again));
  wanted = Math.max(0, Math.min(state.video.frames - 1, Math.round(frame)));
  if (again) shown = -1;
  loading ??= load().finally(() => { loading = null; });
  return loading;
}

/** The frame that is shown, or will be as soon as it is loaded. */
export const heading = () => (loading ? wanted : state.frame);

async function load() {
  while (shown !== wanted) {
    const frame = wanted;
    const direction = frame >= shown ? 1 : -1;
    try {
      const ids = state.statuses[frame] === "-" ? new Uint8Array(0) : masks.get(frame);
      const both = await Promise.all([pictures.get(frame), ids]);
      if (held) return;
      [picture] = both;
      mask.set(both[1]);
    } catch (error) {
      say(error);
      if (held || wanted === frame) return;
    }
    shown = frame;
    update({ frame });
    redraw();
    prefetch(frame, direction);
  }
}

/** Draws with the next picture of the screen. */
export function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

function draw() {
  const ratio = devicePixelRatio;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!picture) return;
  context.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
  context.imageSmoothingEnabled = view.scale < 3;
  context.drawImage(picture, 0, 0, state.video.width, state.video.height);
  context.drawImage(mask.canvas, 0, 0);
  for (const overlay of overlays) overlay(context, 1 / view.scale);
}

/** The whole frame, as large as it goes. */
export function fit() {
  const { width, height } = state.video;
  const room = canvas.getBoundingClientRect();
  view.scale = Math.min(room.width / width, room.height / height) * 0.98;
  view.x = (room.width - width * view.scale) / 2;
  view.y = (room.height - height * view.scale) / 2;
  view.fitted = true;
  redraw();
}

/** Zooms about a point of the canvas. */
export function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.max(0.05, Math.min(MOST_ZOOM, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  view.fitted = false;
  redraw();
}

export function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  view.fitted = false;
  redraw();
}

/** A point of the screen in the frame's coordinates. */
export function toFrame(event) {
  const room = canvas.getBoundingClientRect();
  return { x: (event.clientX - room.left - view.x) / view.scale, y: (event.clientY - room.top - view.y) / view.scale };
}

export function watchSize() {
  new ResizeObserver(() => {
    canvas.width = Math.round(canvas.clientWidth * devicePixelRatio);
    canvas.height = Math.round(canvas.clientHeight * devicePixelRatio);
    if (state.video && view.fitted) fit();
    redraw();
  }).observe(canvas);
}
