// The ids of the frame that is shown, how they are painted, and how they look.

import { state, object } from "./state.js";

const FILL = 0.45;

export class Mask {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.ids = new Uint8Array(0);
    this.width = 0;
    this.height = 0;
  }

  /** Shows other ids; they are copied. */
  set(ids) {
    const { width, height } = state.video;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.width = width;
    this.height = height;
    this.ids = ids.length ? ids.slice() : new Uint8Array(width * height);
    this.draw();
  }

  /** Paints a line of discs; returns the rectangle that it touched. */
  line(from, to, radius, value, isPaintable) {
    const rect = this.clip(
      Math.min(from.x, to.x) - radius - 1, Math.min(from.y, to.y) - radius - 1,
      Math.max(from.x, to.x) + radius + 2, Math.max(from.y, to.y) + radius + 2,
    );
    const dx = to.x - from.x;
    const dy = to.y - from.y;
    const length = dx * dx + dy * dy;
    for (let y = rect.y0; y < rect.y1; y += 1) {
      for (let x = rect.x0; x < rect.x1; x += 1) {
        const px = x + 0.5 - from.x;
        const py = y + 0.5 - from.y;
        const along = length ? Math.max(0, Math.min(1, (px * dx + py * dy) / length)) : 0;
        const ex = px - along * dx;
        const ey = py - along * dy;
        const index = y * this.width + x;
        if (ex * ex + ey * ey <= radius * radius && isPaintable(this.ids[index])) this.ids[index] = value;
      }
    }
    return rect;
  }

  /** Fills a polygon (even-odd); returns the rectangle that it touched. */
  polygon(points, value, isPaintable) {
    const xs = points.map((point) => point.x);
    const ys = points.map((point) => point.y);
    const rect = this.clip(Math.min(...xs) - 1, Math.min(...ys) - 1, Math.max(...xs) + 1, Math.max(...ys) + 1);
    for (let y = rect.y0; y < rect.y1; y += 1) {
      const crossings = [];
      points.forEach((a, i) => {
        const b = points[(i + 1) % points.length];
        const level = y + 0.5;
        if ((a.y <= level) !== (b.y <= level)) crossings.push(a.x + ((level - a.y) / (b.y - a.y)) * (b.x - a.x));
      });
      crossings.sort((a, b) => a - b);
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        for (let x = Math.max(rect.x0, Math.ceil(crossings[i] - 0.5)); x + 0.5 < crossings[i + 1] && x < rect.x1; x += 1) {
          const index = y * this.width + x;
          if (isPaintable(this.ids[index])) this.ids[index] = value;
        }
      }
    }
    return rect;
  }

  /** Bounds of an object, or null. */
  bounds(id) {
    let [x0, y0, x1, y1] = [this.width, this.height, 0, 0];
    this.ids.forEach((value, index) => {
      if (value !== id) return;
      const x = index % this.width;
      const y = (index - x) / this.width;
      x0 = Math.min(x0, x); x1 = Math.max(x1, x + 1);
      y0 = Math.min(y0, y); y1 = Math.max(y1, y + 1);
    });
    return x1 ? [x0, y0, x1, y1] : null;
  }

  at(x, y) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    return column >= 0 && row >= 0 && column < this.width && row < this.height ? this.ids[row * this.width + column] : 0;
  }

  clip(x0, y0, x1, y1) {
    const within = (value, limit) => Math.max(0, Math.min(limit, Math.floor(value)));
    return { x0: within(x0, this.width), y0: within(y0, this.height), x1: within(x1, this.width), y1: within(y1, this.height) };
  }

  /** Colours the ids: filled, with a line just inside of each object. */
  draw(rect = { x0: 0, y0: 0, x1: this.width, y1: this.height }) {
    const x0 = Math.max(0, rect.x0 - 1);
    const y0 = Math.max(0, rect.y0 - 1);
    const width = Math.min(this.width, rect.x1 + 1) - x0;
    const height = Math.min(this.height, rect.y1 + 1) - y0;
    if (width <= 0 || height <= 0) return;
    const colours = new Uint32Array(512); // filled, then lines; little-endian RGBA
    for (const one of state.objects) {
      if (!one.visible) continue;
      const [r, g, b] = [1, 3, 5].map((i) => parseInt(one.colour.slice(i, i + 2), 16));
      const rgb = (b << 16) | (g << 8) | r;
      colours[one.id] = ((Math.round(255 * FILL) << 24) | rgb) >>> 0;
      colours[256 + one.id] = ((255 << 24) | rgb) >>> 0;
    }
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const { ids } = this;
    const stride = this.width;
    for (let y = 0; y < height; y += 1) {
      const row = y0 + y;
      for (let x = 0; x < width; x += 1) {
        const column = x0 + x;
        const index = row * stride + column;
        const id = ids[index];
        if (!id) continue;
        const edge = (column > 0 && ids[index - 1] !== id) || (column + 1 < stride && ids[index + 1] !== id)
          || (row > 0 && ids[index - stride] !== id) || (row + 1 < this.height && ids[index + stride] !== id);
        pixels[y * width + x] = colours[edge ? 256 + id : id];
      }
    }
    this.canvas.getContext("2d").putImageData(image, x0, y0);
  }
}

/** What a tool may paint over: everything but other objects that are hidden or already there. */
export const onlyOwn = (id) => (value) => value === 0 || value === id || !object(value);
