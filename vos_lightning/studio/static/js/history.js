// Undo and redo of everything: strokes, outlines, objects. An entry knows how to go back and how to go forward again.

import { update } from "./state.js";

const MOST = 200;
const done = [];
const undone = [];
let busy = Promise.resolve();

export function record(entry) {
  done.push(entry);
  if (done.length > MOST) done.shift();
  undone.length = 0;
  update({ history: true });
}

const move = (from, to, way) => () => {
  busy = busy.then(async () => {
    const entry = from.pop();
    if (!entry) return;
    await entry[way]();
    to.push(entry);
    update({ history: true });
  });
  return busy;
};
export const undo = move(done, undone, "undo");
export const redo = move(undone, done, "redo");
export const canUndo = () => done.length > 0;
export const canRedo = () => undone.length > 0;
