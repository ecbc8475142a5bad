// The gallery: settings that work and settings that fail, each with its reason.

import { h, post, toast } from "../ui.js";

export async function galleryDialog(app) {
  let found;
  try {
    found = await post("gallery/list", {});
  } catch (problem) {
    toast(problem.message, { bad: true });
    return;
  }
  const dialog = h("dialog", { class: "gallery", "aria-labelledby": "gallery-title" },
    h("div", { class: "dialog-top" }, h("h2", { id: "gallery-title" }, "Gallery"), h("button", { type: "button", class: "plain", onclick: () => dialog.close() }, "Close")),
    h("h3", null, "Settings that work, and why"), cards(app, dialog, found.entries.filter((one) => one.works)),
    h("h3", { class: "spaced" }, "Settings that fail, and why"), cards(app, dialog, found.entries.filter((one) => !one.works)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function cards(app, dialog, entries) {
  return h("div", { class: "cards" }, entries.map((entry) => h("button", { type: "button", class: `card ${entry.works ? "" : "broken"}`, "data-id": entry.id, onclick: () => open(app, dialog, entry) },
    h("span", { class: "title" }, entry.title), h("span", { class: "reason" }, entry.reason))));
}

/** Take over an entry's settings; what it does not name goes back to the defaults. */
export async function open(app, dialog, entry) {
  const answer = await app.set({ ...app.choices.defaults, ...entry.settings });
  if (!answer) return;
  dialog?.close();
  app.about = entry;
  app.emit("about", entry);
  await app.changeData("get");
  await app.ask("play");
}
