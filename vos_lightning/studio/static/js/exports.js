// Taking the masks away.

import { postJSON } from "./api.js";
import { say } from "./state.js";

const FORMS = [
  ["masks", "Masks", "palette PNGs, as vos-lightning evaluate and DAVIS tools read them"],
  ["overlay", "Overlay video", "mp4, masks over the frames"],
  ["cutouts", "Cut-out PNGs", "the objects on a transparent ground"],
  ["cutout-video", "Cut-out video", "WebM with transparency"],
  ["coco", "COCO JSON", "run lengths for pycocotools"],
  ["davis-layout", "DAVIS layout", "frames and masks as a data set"],
  ["youtube-layout", "YouTube-VOS layout", "frames, masks and meta.json"],
];

async function make(button, form) {
  button.disabled = true;
  button.textContent = "Making…";
  try {
    const { name } = await postJSON("exports", { form });
    const link = Object.assign(document.createElement("a"), { href: `exports/${encodeURIComponent(name)}`, download: name });
    link.click();
    say(`${name} is made`, "good");
  } catch (error) {
    say(error);
  } finally {
    button.disabled = false;
    button.textContent = "Make";
  }
}

export function startExports() {
  const list = document.getElementById("export-list");
  for (const [form, title, note] of FORMS) {
    const item = document.createElement("li");
    const words = document.createElement("div");
    words.innerHTML = `<strong>${title}</strong><span class="quiet">${note}</span>`;
    const button = Object.assign(document.createElement("button"), { textContent: "Make" });
    button.dataset.form = form;
    button.onclick = () => make(button, form);
    item.append(words, button);
    list.append(item);
  }
  document.getElementById("open-exports").onclick = () => document.getElementById("exports").showModal();
}
