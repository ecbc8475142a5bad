// Save and share: the link that reproduces the run, the whole state, a script, the formulas, pictures, a page of its own.

import { copy, download, h, toast } from "../ui.js";
import { PARTS, leaveOut, written } from "./address.js";
import { picture, pictureSvg } from "./picture.js";
import { check } from "./widgets.js";

const KINDS = {
  json: "application/json", script: "text/x-python", latex: "text/x-tex", html: "text/html",
};

/** The chosen weight or bias as the engine counts: its first layer is 0. */
const named = ({ what, layer, to, from }) => ({ what, layer: layer - 1, to, ...(what === "weight" ? { from } : {}) });

export function shareDialog(app) {
  const link = h("input", { id: "share-link", type: "text", readonly: true, class: "mono", "aria-describedby": "share-note" });
  const note = h("p", { id: "share-note", class: "small muted" });
  const file = h("input", { type: "file", id: "share-open", accept: ".json,application/json", onchange: () => open(app, file, dialog) });
  const fetchAndSave = (what) => async () => {
    const answer = await app.ask("export", { what, ...(what === "latex" && app.selected ? { of: named(app.selected) } : {}) });
    if (answer) download(answer.name, answer.text, KINDS[what]);
  };
  const button = (name, what, title) => h("button", { type: "button", title, onclick: fetchAndSave(what) }, name);
  const live = !app.source.recorded;
  const dialog = h("dialog", { class: "share", "aria-labelledby": "share-title" },
    h("div", { class: "dialog-top" }, h("h2", { id: "share-title" }, "Save and share"), h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close")),
    h("div", { class: "stack" },
      live ? h("div", { class: "field" }, h("label", { for: "share-link" }, "A link to this run, its weights included"),
        h("div", { class: "row" }, h("span", { class: "grow" }, link), h("button", { type: "button", onclick: () => copy(link.value) }, "Copy")), note) : "",
      live ? h("div", null, h("h3", null, "This run"), h("div", { class: "row" },
        button("State (JSON)", "json", "All settings, weights and points"), button("Python script", "script", "Trains the same network with chainrule"),
        button("Explanation (LaTeX)", "latex", "The chain rule of the chosen weight"), button("Page (HTML)", "html", "One file that plays a recording of the run back, without a server"))) : "",
      h("div", null, h("h3", null, "Picture"), h("div", { class: "row" },
        h("button", { type: "button", onclick: () => download("network.svg", pictureSvg(app), "image/svg+xml") }, "SVG"),
        h("button", { type: "button", onclick: async () => download("network.png", await picture(app)) }, "PNG"))),
      live ? leftOut(app, () => write()) : "",
      live ? h("div", { class: "field" }, h("label", { for: "share-open" }, "Open a saved state"), file) : ""));
  dialog.querySelector("#share-link")?.setAttribute("size", "40");
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  let url = "";
  const write = () => { link.value = `${location.origin}${location.pathname}#${url}${written(app)}`; };
  if (live) app.ask("url").then((answer) => {
    if (!answer) return;
    url = answer.url;
    write();
    note.textContent = answer.note ?? (answer.exact ? "It leads to exactly these weights." : "It leads to the same settings and seed.");
  });
}

/** For a class: controls that the link leaves out. */
function leftOut(app, changed) {
  const boxes = Object.entries(PARTS).map(([name, [label]]) => {
    const made = check(label, (on) => {
      app.left = on ? [...(app.left ?? []), name] : app.left.filter((one) => one !== name);
      leaveOut(app.left);
      changed();
    });
    made.update(app.left?.includes(name) ?? false);
    return made.element;
  });
  return h("details", { class: "more" }, h("summary", null, "For a class: leave controls out"), h("div", { class: "left-out" }, boxes));
}

async function open(app, file, dialog) {
  const [chosen] = file.files;
  if (!chosen) return;
  const text = await chosen.text();
  file.value = ""; // so that the same file can be chosen again
  let state = null;
  try {
    state = JSON.parse(text);
  } catch {
    toast("This file is not JSON.\nExpected: a state that was saved here.", { bad: true });
    return;
  }
  const answer = await app.ask("load", { state });
  if (!answer) return;
  await app.changeData("get");
  dialog.close();
  toast("The saved state is here.");
}
