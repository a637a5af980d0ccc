// Changes of the shown frame's mask and of the objects: kept at once, undone by history.

import * as api from "./api.js";
import { masks } from "./frames.js";
import { record } from "./history.js";
import { state, update, say, object } from "./state.js";
import { goTo, mask, redraw } from "./view.js";

let saving = Promise.resolve();
const refused = new Set(); // what is shown, but not kept
const sent = []; // what is on its way

/** Is a change of this frame's mask on its way? */
export const isOnItsWay = (frame) => sent.includes(`given/${frame}`);

/** Sends changes one after the other. */
function save(path, send) {
  sent.push(path);
  update({ saved: "saving…" });
  saving = saving.then(() => send(path)).then(
    (news) => { refused.delete(path); return news; },
    (error) => { refused.add(path); say(error); },
  ).then((news) => {
    sent.shift();
    // while more is on its way, what the server knows is behind what is shown
    if (!sent.length) update({ saved: refused.size ? "not saved" : "saved", ...news });
  });
  return saving;
}

/** A change of the mask, from `begin` to `commit`. */
export class Edit {
  constructor() {
    this.frame = state.frame;
    this.before = mask.ids.slice();
    this.wasGiven = state.statuses[this.frame] === "g";
    this.rect = null;
  }

  touch(rect) {
    const old = this.rect ?? rect;
    this.rect = {
      x0: Math.min(old.x0, rect.x0), y0: Math.min(old.y0, rect.y0),
      x1: Math.max(old.x1, rect.x1), y1: Math.max(old.y1, rect.y1),
    };
    mask.draw(rect);
    redraw();
  }

  /** Keeps the change; `undo` and `redo` are told of it too. */
  commit({ undo = () => {}, redo = () => {} } = {}) {
    const { frame, rect, wasGiven } = this;
    if (!rect) return;
    const before = cut(this.before, rect);
    const after = cut(mask.ids, rect);
    keep(frame);
    record({
      undo: async () => {
        await goTo(frame);
        if (wasGiven) { paste(before, rect); keep(frame); } else await forget(frame);
        undo();
      },
      redo: async () => { await goTo(frame); paste(after, rect); keep(frame); redo(); },
    });
  }
}

const cut = (ids, { x0, y0, x1, y1 }) => {
  const rows = [];
  for (let y = y0; y < y1; y += 1) rows.push(ids.slice(y * mask.width + x0, y * mask.width + x1));
  return rows;
};

function paste(rows, rect) {
  rows.forEach((row, i) => mask.ids.set(row, (rect.y0 + i) * mask.width + rect.x0));
  mask.draw(rect);
  redraw();
}

/** The shown mask becomes the given one of its frame. */
function keep(frame) {
  const ids = mask.ids.slice();
  masks.put(frame, ids);
  update({ statuses: state.statuses.slice(0, frame) + "g" + state.statuses.slice(frame + 1) });
  save(`given/${frame}`, (path) => api.putIds(path, ids));
}

/** The given mask goes; the tracked one shows again. */
async function forget(frame) {
  await save(`given/${frame}`, api.remove);
  masks.forget(frame);
  await goTo(frame, true);
}

/** The mask as it is shown counts as given. */
export function keepAsGiven() {
  const edit = new Edit();
  if (edit.wasGiven || !mask.ids.some(Boolean)) return;
  edit.touch({ x0: 0, y0: 0, x1: mask.width, y1: mask.height });
  edit.commit();
}

export async function takeBack() {
  const frame = state.frame;
  if (state.statuses[frame] !== "g") return;
  const ids = mask.ids.slice();
  await forget(frame);
  record({
    undo: async () => { await goTo(frame); mask.ids.set(ids); mask.draw(); redraw(); keep(frame); },
    redo: async () => { await goTo(frame); await forget(frame); },
  });
}

export async function importMask(file) {
  await saving;
  await api.upload(`given/${state.frame}/import`, file);
}

/** Replaces the objects. */
export function setObjects(objects, { recorded = true } = {}) {
  const before = state.objects;
  const apply = (list) => {
    const selected = list.some((one) => one.id === state.selected) ? state.selected : list.at(-1)?.id ?? null;
    update({ objects: list, selected });
    mask.draw();
    redraw();
    return save("objects", (path) => api.putJSON(path, { objects: list }));
  };
  const saved = apply(objects);
  if (recorded) {
    record({
      undo: async () => { await apply(before); masks.clear(); await goTo(state.frame, true); },
      redo: async () => { await apply(objects); masks.clear(); await goTo(state.frame, true); },
    });
  }
  return saved;
}

export const changeObject = (id, values, options) =>
  setObjects(state.objects.map((one) => (one.id === id ? { ...one, ...values } : one)), options);

export function addObject() {
  const one = state.suggestion;
  if (!one) say("A project has at most 254 objects, removed ones too; start another one");
  if (!one || object(one.id)) return state.selected;
  setObjects([...state.objects, one]);
  const id = one.id + 1;
  update({ selected: one.id, suggestion: id > 254 ? null : { ...one, id, name: `object ${id}` } });
  return one.id;
}

/** The object that a tool works on; a first one comes by itself. */
export const target = () => state.selected ?? addObject();
