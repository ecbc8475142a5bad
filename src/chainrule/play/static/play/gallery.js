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
  const close = () => dialog.close();
  const choose = (entry) => open(app, close, entry);
  const dialog = h("dialog", { class: "gallery", "aria-labelledby": "gallery-title" },
    h("div", { class: "dialog-top" }, h("h2", { id: "gallery-title" }, "Gallery"), h("button", { type: "button", class: "plain", onclick: close }, "Close")),
    h("h3", null, "Settings that work, and why"), cards(found.entries.filter((one) => one.works), choose),
    h("h3", { class: "spaced" }, "Settings that fail, and why"), cards(found.entries.filter((one) => !one.works), choose));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function cards(entries, choose) {
  return h("div", { class: "cards" }, entries.map((entry) => h("button", { type: "button", class: `card ${entry.works ? "" : "broken"}`, "data-id": entry.id, onclick: () => choose(entry) },
    h("span", { class: "title" }, entry.title), h("span", { class: "reason" }, entry.reason))));
}

/** Take over an entry's settings, say its reason, and let it run. */
async function open(app, close, entry) {
  app.about = entry;
  const answer = await app.set(entry.settings);
  if (!answer) return;
  close();
  await app.ask("play", { speed: app.speed });
}
