// What the pointer does on the frame.

import { askOutline } from "./api.js";
import { Edit, target } from "./edits.js";
import { onlyOwn } from "./mask.js";
import { state, update, say, object } from "./state.js";
import { goTo, hold, mask, overlays, pan, redraw, release, toFrame, zoom } from "./view.js";

const SMALLEST_BOX = 4;

export const TOOLS = {
  box: { key: "b", title: "Box", hint: "Drag a box around the object: its outline is found", icon: "M5 5h14v14H5z" },
  this: { key: "g", title: "This", hint: "Stroke what belongs to the object: the outline follows", icon: "M12 5v14M5 12h14" },
  not: { key: "n", title: "Not this", hint: "Stroke what does not belong to the object", icon: "M5 12h14" },
  brush: { key: "p", title: "Brush", hint: "Paint the object; [ and ] change the size", icon: "M4 20c3 0 4-1 4-4l10-10 2 2L10 18c0 3-3 4-6 2z" },
  eraser: { key: "e", title: "Eraser", hint: "Erase the object", icon: "M4 15l8-8 6 6-7 7H8zM11 20h9" },
  polygon: { key: "l", title: "Polygon", hint: "Click corner after corner; double-click or Enter closes, Esc cancels", icon: "M5 9l7-5 7 6-3 9H8z" },
  pan: { key: "h", title: "Move", hint: "Drag to move the frame, wheel to zoom; the middle button does it with any tool", icon: "M12 4v16M4 12h16M12 4l-2 2M12 4l2 2M12 20l-2-2M12 20l2-2M4 12l2-2M4 12l2 2M20 12l-2-2M20 12l-2 2" },
};
const SIZED = new Set(["this", "not", "brush", "eraser"]);

const canvas = document.getElementById("canvas");
let gesture = null;   // what a pressed pointer is doing
let corners = null;   // of an unfinished polygon
let hover = null;     // where the pointer is
let outlineOf = null; // {frame, id, box, strokes}: what the latest outline was asked with
const fingers = new Map();

const colour = () => object(state.selected)?.colour ?? state.suggestion?.colour ?? "#fff";

// --- painting

function paint(value) {
  const id = target();
  const edit = new Edit();
  const paintable = value ? onlyOwn(id) : (other) => other === id;
  let last = null;
  return {
    move(point) {
      edit.touch(mask.line(last ?? point, point, state.brush, value ? id : 0, paintable));
      last = point;
    },
    end: () => edit.commit(),
  };
}

function closePolygon() {
  const points = corners;
  corners = null;
  redraw();
  if (!points || points.length < 3) return;
  const id = target();
  const edit = new Edit();
  edit.touch(mask.polygon(points, id, onlyOwn(id)));
  edit.commit();
}

// --- outlines

/** Asks for an outline and puts it in the place of the object's mask. */
async function outline(wish) {
  const { frame, id, box, strokes } = wish;
  const before = outlineOf;
  canvas.classList.add("busy");
  update({ outlining: true });
  try {
    const inside = await askOutline(`outline/${frame}`, { box, strokes });
    await goTo(frame);
    const edit = new Edit();
    const paintable = onlyOwn(id);
    const latest = strokes.at(-1)?.inside ? new Set(strokePixels(strokes.at(-1))) : new Set();
    for (let i = 0; i < inside.length; i += 1) {
      const old = mask.ids[i];
      if (inside[i] && (paintable(old) || latest.has(i))) mask.ids[i] = id;
      else if (!inside[i] && old === id) mask.ids[i] = 0;
    }
    edit.touch({ x0: 0, y0: 0, x1: mask.width, y1: mask.height });
    outlineOf = wish;
    edit.commit({ undo: () => { outlineOf = before; }, redo: () => { outlineOf = wish; } });
    if (!inside.some(Boolean)) say("No object was found in the box; try a tighter box or the brush");
  } catch (error) {
    say(error);
  } finally {
    canvas.classList.remove("busy");
    update({ outlining: false });
  }
}

/** Indices of the pixels along the middle of a stroke. */
function strokePixels({ points }) {
  return points.map(([x, y]) => Math.floor(y) * mask.width + Math.floor(x));
}

function dragBox(start) {
  let end = start;
  const show = (context, pixel) => {
    context.lineWidth = 2 * pixel;
    context.strokeStyle = colour();
    context.setLineDash([6 * pixel, 4 * pixel]);
    context.strokeRect(start.x, start.y, end.x - start.x, end.y - start.y);
    context.setLineDash([]);
  };
  overlays.add(show);
  return {
    move(point) { end = point; redraw(); },
    async end() {
      const box = [Math.min(start.x, end.x), Math.min(start.y, end.y), Math.max(start.x, end.x), Math.max(start.y, end.y)];
      if (box[2] - box[0] < SMALLEST_BOX || box[3] - box[1] < SMALLEST_BOX) {
        const id = mask.at(start.x, start.y);
        if (id) update({ selected: id }); // a click selects what is under it
      } else await outline({ frame: state.frame, id: target(), box, strokes: [] });
      overlays.delete(show);
      redraw();
    },
    cancel: () => overlays.delete(show),
  };
}

function stroke(inside) {
  const points = [];
  const radius = Math.max(1, state.brush / 2);
  const show = (context, pixel) => {
    context.lineWidth = Math.max(radius * 2, 3 * pixel);
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = inside ? "#7ddf64cc" : "#ff5a5fcc";
    context.beginPath();
    points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    if (points.length === 1) context.lineTo(points[0][0] + 0.01, points[0][1]);
    context.stroke();
  };
  overlays.add(show);
  return {
    move({ x, y }) { points.push([x, y]); redraw(); },
    async end() {
      const id = target();
      const goesOn = outlineOf && outlineOf.frame === state.frame && outlineOf.id === id;
      const strokes = [...(goesOn ? outlineOf.strokes : []), { points, radius, inside }];
      await outline({ frame: state.frame, id, box: goesOn ? outlineOf.box : boxAround(id, points), strokes });
      overlays.delete(show);
      redraw();
    },
    cancel: () => overlays.delete(show),
  };
}

/** A box for an outline that begins with a stroke: the object as it is, and the stroke, with some room around. */
function boxAround(id, points) {
  const bounds = mask.bounds(id);
  const xs = points.map((point) => point[0]);
  const ys = points.map((point) => point[1]);
  const all = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  const box = bounds ? all.map((v, i) => (i < 2 ? Math.min(v, bounds[i]) : Math.max(v, bounds[i]))) : all;
  const room = (bounds ? 0.05 : 0.5) * Math.max(box[2] - box[0], box[3] - box[1], 20);
  return [box[0] - room, box[1] - room, box[2] + room, box[3] + room];
}

// --- pointers

function begin(event, point) {
  if (state.tool === "pan" || event.button === 1) return { screen: (move) => pan(move.movementX, move.movementY) };
  if (event.button !== 0) return null;
  switch (state.tool) {
    case "box": return dragBox(point);
    case "this": return stroke(true);
    case "not": return stroke(false);
    case "brush": return paint(true);
    case "eraser": return paint(false);
    case "polygon":
      (corners ??= []).push(point);
      redraw();
      return null;
    default: return null;
  }
}

function pinch(event) {
  const [a, b] = [...fingers.values()];
  const other = a.id === event.pointerId ? b : a;
  const old = fingers.get(event.pointerId);
  const room = canvas.getBoundingClientRect();
  const apart = (p) => Math.hypot(p.x - other.x, p.y - other.y);
  const now = { id: event.pointerId, x: event.clientX, y: event.clientY };
  zoom(apart(now) / Math.max(1, apart(old)), (now.x + other.x) / 2 - room.left, (now.y + other.y) / 2 - room.top);
  pan((now.x - old.x) / 2, (now.y - old.y) / 2);
  fingers.set(event.pointerId, now);
}

function finish(cancelled) {
  const ended = gesture;
  gesture = null;
  if (cancelled && ended?.cancel) ended.cancel();
  else ended?.end?.();
  release();
}

export function startTools() {
  canvas.addEventListener("pointerdown", (event) => {
    if (!state.ready) return;
    canvas.focus({ preventScroll: true });
    fingers.set(event.pointerId, { id: event.pointerId, x: event.clientX, y: event.clientY });
    if (fingers.size === 2) { finish(true); return; }
    canvas.setPointerCapture(event.pointerId);
    if (state.playing) update({ playing: false });
    const point = toFrame(event);
    hold();
    gesture = begin(event, point);
    gesture?.move?.(point);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    hover = toFrame(event);
    if (fingers.size === 2 && fingers.has(event.pointerId)) { pinch(event); return; }
    if (gesture?.screen) gesture.screen(event);
    else if (gesture) for (const one of event.getCoalescedEvents?.() ?? [event]) gesture.move(toFrame(one));
    redraw();
  });
  canvas.addEventListener("pointerup", (event) => { fingers.delete(event.pointerId); finish(false); });
  canvas.addEventListener("pointercancel", (event) => { fingers.delete(event.pointerId); finish(true); });
  canvas.addEventListener("pointerleave", () => { hover = null; redraw(); });
  canvas.addEventListener("dblclick", closePolygon);
  canvas.addEventListener("wheel", (event) => {
    const room = canvas.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - room.left, event.clientY - room.top);
    event.preventDefault();
  }, { passive: false });
  overlays.add(showPolygon);
  overlays.add(showBrush);
}

function showPolygon(context, pixel) {
  if (!corners) return;
  context.lineWidth = 2 * pixel;
  context.strokeStyle = colour();
  context.beginPath();
  for (const { x, y } of hover ? [...corners, hover] : corners) context.lineTo(x, y);
  context.closePath();
  context.stroke();
  context.fillStyle = "#fff";
  for (const { x, y } of corners) context.fillRect(x - 2 * pixel, y - 2 * pixel, 4 * pixel, 4 * pixel);
}

function showBrush(context, pixel) {
  if (!hover || !SIZED.has(state.tool)) return;
  const radius = state.tool === "this" || state.tool === "not" ? state.brush / 2 : state.brush;
  for (const [width, style] of [[3, "#0008"], [1.5, state.tool === "eraser" ? "#fff" : colour()]]) {
    context.lineWidth = width * pixel;
    context.strokeStyle = style;
    context.beginPath();
    context.arc(hover.x, hover.y, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

export function endPolygon(cancelled) {
  if (cancelled) { corners = null; redraw(); } else closePolygon();
}

export const isSized = () => SIZED.has(state.tool);
