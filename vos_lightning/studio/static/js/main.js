// Puts the page together and keeps it in step with the server.

import * as api from "./api.js";
import { importMask, isOnItsWay, keepAsGiven, takeBack } from "./edits.js";
import { startExports } from "./exports.js";
import { masks, pictures } from "./frames.js";
import { canRedo, canUndo, redo, undo } from "./history.js";
import { startKeys } from "./keys.js";
import { startObjects } from "./objects.js";
import { startPlayer } from "./player.js";
import { on, say, state, update } from "./state.js";
import { forgetThumbnails, startTimeline } from "./timeline.js";
import { isSized, startTools, TOOLS } from "./tools.js";
import { startTracking } from "./tracking.js";
import { fit, goTo, mask, redraw, view, watchSize, zoom } from "./view.js";

const $ = (id) => document.getElementById(id);
const STATUS = { g: "given", t: "tracked", o: "to track again", "-": "no mask" };

let loading = Promise.resolve();
let missed = null; // events that come while the server is asked for everything: its answer may be older

/** Everything anew from the server. */
function load() {
  loading = loading.catch(() => {}).then(async () => {
    const events = missed = [];
    const facts = await api.getJSON("state").finally(() => { missed = null; });
    const shown = facts.video ? show(facts) : choose(facts.choices);
    events.forEach(hear);
    await shown;
  });
  return loading;
}

async function show(facts) {
  $("choose").close();
  const first = !state.video;
  masks.clear();
  if (first) pictures.clear();
  const kept = facts.objects.some((one) => one.id === state.selected) ? state.selected : facts.objects[0]?.id ?? null;
  update({ ...facts, selected: kept });
  $("video-name").textContent = facts.video.name;
  $("video-facts").textContent = `${facts.video.width}×${facts.video.height} · ${facts.video.frames} frames · ${facts.video.fps.toFixed(1)} per second`;
  document.title = `${facts.video.name} · vos studio`;
  if (first) fit();
  await goTo(first ? firstGiven(facts.statuses) : state.frame, true);
  update({ ready: true });
  document.body.dataset.ready = "yes";
}

const firstGiven = (statuses) => Math.max(0, statuses.indexOf("g"));

function choose(choices) {
  const list = $("choices");
  list.replaceChildren(...choices.map((name) => {
    const button = Object.assign(document.createElement("button"), { textContent: name });
    button.onclick = () => api.postJSON("open", { name }).then(load).catch(say);
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  if (!choices.length) list.textContent = "There is none. Start the studio with a video: vos-lightning studio my_video.mp4";
  if (!$("choose").open) $("choose").showModal();
}

/** Takes over what another page or the tracker did. */
function hear(event) {
  if (missed) { missed.push(event); return; }
  switch (event.type) {
    case "opened":
      state.video = null;
      forgetThumbnails();
      load().catch(say);
      break;
    case "progress":
      update({ progress: event });
      break;
    case "tracked": {
      const { frame, status } = event;
      if (isOnItsWay(frame)) break; // the server doesn't know yet that it is painted anew
      state.uncertainty[frame] = event.uncertainty;
      masks.forget(frame);
      update({ statuses: state.statuses.slice(0, frame) + status + state.statuses.slice(frame + 1), uncertainty: state.uncertainty });
      if (state.watching || (frame === state.frame && status !== "g")) goTo(frame, frame === state.frame);
      break;
    }
    case "changed":
      if (event.page === api.page) break; // the answer to its request has told this page
      if (event.frame === null) masks.clear();
      else masks.forget(event.frame);
      update({ objects: event.objects, suggestion: event.suggestion, statuses: event.statuses });
      if (!event.objects.some((one) => one.id === state.selected)) update({ selected: event.objects[0]?.id ?? null });
      if (event.frame === null || event.frame === state.frame) goTo(state.frame, true);
      break;
    default:
  }
}

function startToolbar() {
  for (const [tool, { key, title, hint, icon }] of Object.entries(TOOLS)) {
    const button = document.createElement("button");
    button.dataset.tool = tool;
    button.title = `${hint} (${key.toUpperCase()})`;
    button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${icon}"/></svg><span>${title}</span>`;
    button.onclick = () => update({ tool });
    $("tools").append(button);
  }
  const slider = $("size").querySelector("input");
  slider.oninput = () => update({ brush: Number(slider.value) });
  on("tool brush outlining", () => {
    for (const button of $("tools").children) button.classList.toggle("on", button.dataset.tool === state.tool);
    $("hint").textContent = state.outlining ? "Finding the outline…" : TOOLS[state.tool].hint;
    $("size").hidden = !isSized();
    slider.value = state.brush;
    $("size").querySelector("output").textContent = state.brush;
    $("canvas").dataset.tool = state.tool;
    redraw();
  });
  update({ tool: "box" });
}

function startButtons() {
  $("undo").textContent = "↶";
  $("redo").textContent = "↷";
  $("undo").onclick = undo;
  $("redo").onclick = redo;
  $("keep").onclick = keepAsGiven;
  $("take-back").onclick = () => takeBack().catch(say);
  $("import").onchange = () => {
    const [file] = $("import").files;
    if (file) importMask(file).catch(say);
    $("import").value = "";
  };
  const zooms = { in: () => zoom(1.25), out: () => zoom(0.8), fit };
  for (const button of document.querySelectorAll("[data-zoom]")) button.onclick = zooms[button.dataset.zoom];
  on("history", () => {
    $("undo").disabled = !canUndo();
    $("redo").disabled = !canRedo();
  });
  on("saved", () => {
    $("saved").textContent = state.saved;
    $("saved").classList.toggle("bad", state.saved === "not saved");
  });
  on("frame statuses", () => {
    const status = state.statuses[state.frame] ?? "-";
    $("frame-status").textContent = STATUS[status];
    $("frame-status").dataset.status = status;
    $("keep").disabled = status === "g" || status === "-";
    $("take-back").disabled = status !== "g";
  });
  on("objects selected", () => { mask.draw(); redraw(); });
  update({ history: true });
}

startToolbar();
startButtons();
startObjects();
startTimeline();
startPlayer();
startTracking();
startExports();
startKeys();
startTools();
watchSize();
api.listen(hear, () => load().catch(say));
window.studio = { state, mask, view }; // for the console
