// What the page knows; whoever changes it says so, whoever shows it listens.

const listeners = new Map();

export const state = {
  video: null,          // {name, frames, height, width, fps}
  objects: [],          // [{id, name, colour, visible, first, last}]
  suggestion: null,     // the next new object
  statuses: "",         // one letter per frame: g given, t tracked, o outdated, - nothing
  uncertainty: {},      // frame -> {object id -> 0…1}
  progress: { phase: "idle" },
  frame: 0,
  selected: null,       // id of the object that tools work on
  tool: "box",
  brush: 12,            // radius in pixels of the frame
  playing: false,
  watching: false,      // the frame that was tracked last is shown
  outlining: false,     // an outline is being found
  saved: "",            // saved, saving…, not saved
  ready: false,         // the first frame is shown
};

export function on(topics, listener) {
  for (const topic of topics.split(" ")) {
    if (!listeners.has(topic)) listeners.set(topic, new Set());
    listeners.get(topic).add(listener);
  }
}

/** Takes over values and tells the listeners of these topics. */
export function update(values) {
  Object.assign(state, values);
  const told = new Set(Object.keys(values).flatMap((topic) => [...(listeners.get(topic) ?? [])]));
  for (const listener of told) listener();
}

export const object = (id) => state.objects.find((one) => one.id === id);

let hiding;
/** One line about what went wrong, or went well. */
export function say(message, kind = "error") {
  const toast = document.getElementById("toast");
  toast.textContent = message instanceof Error ? message.message : message;
  toast.className = kind;
  toast.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.hidden = true; }, kind === "error" ? 7000 : 3000);
}
