// The list of objects: name, colour, visibility, where they join and end.

import { addObject, changeObject, setObjects } from "./edits.js";
import { masks } from "./frames.js";
import { object, on, state, update } from "./state.js";
import { goTo } from "./view.js";

const list = document.getElementById("objects");

function element(tag, values = {}, ...children) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
}

/** Sets where an object joins or ends, or unsets it where it is set to this frame already. */
async function bound(one, side) {
  await changeObject(one.id, { [side]: one[side] === state.frame ? null : state.frame });
  masks.clear();
  await goTo(state.frame, true);
}

function row(one) {
  const name = element("input", { value: one.name, ariaLabel: "Name", maxLength: 60 });
  name.onchange = () => changeObject(one.id, { name: name.value });
  const colour = element("input", { type: "color", value: one.colour, ariaLabel: "Colour", title: "Colour" });
  colour.onchange = () => changeObject(one.id, { colour: colour.value });
  const eye = element("button", { className: "icon", title: one.visible ? "Hide" : "Show", textContent: one.visible ? "●" : "○" });
  eye.onclick = () => changeObject(one.id, { visible: !one.visible });
  const bin = element("button", { className: "icon", title: "Remove", textContent: "×", ariaLabel: `Remove ${one.name}` });
  bin.onclick = async () => {
    await setObjects(state.objects.filter((other) => other.id !== one.id));
    masks.clear();
    await goTo(state.frame, true);
  };
  const item = element("li", { className: one.id === state.selected ? "selected" : "" }, colour, name, eye, bin);
  item.dataset.id = one.id;
  // with the click, not before: the list is made anew, and what is clicked has to be there until then
  item.onclick = () => { if (state.selected !== one.id && object(one.id)) update({ selected: one.id }); };
  if (one.id === state.selected) {
    const joins = element("button", { className: "small", title: "Not in the video before this frame", textContent: one.first === null ? "joins here" : `joins at ${one.first}` });
    joins.onclick = () => bound(one, "first");
    const ends = element("button", { className: "small", title: "Not in the video after this frame", textContent: one.last === null ? "ends here" : `ends at ${one.last}` });
    ends.onclick = () => bound(one, "last");
    joins.classList.toggle("on", one.first !== null);
    ends.classList.toggle("on", one.last !== null);
    item.append(element("div", { className: "bounds" }, joins, ends));
  }
  return item;
}

export function startObjects() {
  document.getElementById("add-object").onclick = addObject;
  on("objects selected", () => {
    if (list.contains(document.activeElement) && document.activeElement.matches("input") && state.objects.length === list.children.length) {
      // what is being typed stays; the marks of the selection move
      for (const item of list.children) item.classList.toggle("selected", Number(item.dataset.id) === state.selected);
      return;
    }
    list.replaceChildren(...state.objects.map(row));
    document.getElementById("no-objects").hidden = state.objects.length > 0;
  });
}
