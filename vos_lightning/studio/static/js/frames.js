// Pictures and masks of frames, a bounded number of which is kept.

import { getBlob, getIds } from "./api.js";
import { state } from "./state.js";

const KEPT_PIXELS = 60e6;

class Kept {
  constructor(load, drop = () => {}) {
    this.load = load;
    this.drop = drop;
    this.items = new Map(); // frame -> promise, the least recently used first
  }

  get(frame) {
    let item = this.items.get(frame);
    this.items.delete(frame);
    if (!item) {
      item = this.load(frame);
      item.catch(() => this.items.delete(frame));
    }
    this.items.set(frame, item);
    const limit = Math.max(6, KEPT_PIXELS / (state.video.width * state.video.height));
    while (this.items.size > limit) this.forget(this.items.keys().next().value);
    return item;
  }

  forget(frame) {
    this.items.get(frame)?.then(this.drop, () => {});
    this.items.delete(frame);
  }

  put(frame, value) {
    this.items.delete(frame);
    this.items.set(frame, Promise.resolve(value));
  }

  clear() {
    for (const frame of [...this.items.keys()]) this.forget(frame);
  }
}

export const pictures = new Kept(
  async (frame) => createImageBitmap(await getBlob(`frames/${frame}`)),
  (bitmap) => bitmap.close(),
);
export const masks = new Kept((frame) => getIds(`masks/${frame}`));

/** Asks for what will be shown next. */
export function prefetch(frame, direction) {
  for (let step = 1; step <= 3; step += 1) {
    const next = frame + step * direction;
    if (next >= 0 && next < state.video.frames) {
      pictures.get(next).catch(() => {});
      if (state.statuses[next] !== "-") masks.get(next).catch(() => {});
    }
  }
}
