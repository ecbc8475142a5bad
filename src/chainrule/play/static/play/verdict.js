// The verdict on the running network: one sentence with its cause and evidence, and buttons that apply the remedy. When a
// number stopped being finite it says which operation did that, and offers the way back.

import { byId, h, say } from "../ui.js";

const EVERY = 2500; // milliseconds between questions while it plays

/** A first capital letter and a full stop. */
export function asSentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

export function buildVerdict(app) {
  const root = byId("verdict");
  const mark = h("span", { class: "mark", "aria-hidden": "true" });
  const said = h("p", { class: "said" }, "Press play: the network learns, and this line says how it fares.");
  const why = h("p", { class: "why" });
  const remedies = h("div", { class: "remedies" });
  const words = h("div", { class: "words", role: "status", "aria-live": "polite" }, said, why);
  root.append(mark, words, remedies);
  const reach = () => { // what scrolls must be reached by keyboard
    words.scrollTop = 0;
    if (words.scrollHeight > words.clientHeight) words.tabIndex = 0;
    else words.removeAttribute("tabindex");
  };
  new ResizeObserver(reach).observe(words);
  let shown = "";

  const show = (verdict) => {
    if (!verdict || (verdict.pending && (verdict.healthy === null || verdict.not_finite))) return;
    const first = verdict.verdicts?.[0];
    const text = verdict.sentence ?? first?.title ?? "";
    const because = first && !verdict.healthy ? [first.evidence, first.remedy].filter(Boolean).map(asSentence).join(" ") : "";
    const key = JSON.stringify([text, because, first?.remedies]);
    if (key === shown) return;
    shown = key;
    root.className = `verdict ${verdict.healthy ? "good-news" : verdict.not_finite ? "bad-news" : verdict.healthy === null ? "" : "warn"}`;
    said.textContent = text;
    why.textContent = because;
    remedies.replaceChildren(...(first?.remedies ?? []).slice(0, 2).map(({ id, label }) => h("button", { type: "button", onclick: async () => {
      const answer = await app.ask("apply", { remedy: id });
      if (answer) {
        say(`Applied: ${label}`);
        shown = "";
        later();
      }
    } }, label)), verdict.not_finite ? h("button", { type: "button", onclick: () => app.ask("rewind") }, "Rewind") : "");
    reach();
  };
  const calm = () => {
    shown = "";
    root.className = "verdict";
    said.textContent = "Press play: the network learns, and this line says how it fares.";
    why.textContent = "";
    remedies.replaceChildren();
  };

  // What a person should know about the settings, as long as it is so.
  const traps = h("ul", { class: "notes", "aria-live": "polite" });
  root.after(traps);
  app.on("state", (state) => {
    const { about } = app;
    if (about && about.of === undefined) about.of = JSON.stringify(state.settings);
    else if (about && about.of !== JSON.stringify(state.settings)) app.about = null;
    const key = JSON.stringify([app.about?.id, state.traps]);
    if (key === traps.dataset.of) return;
    traps.dataset.of = key;
    traps.replaceChildren(app.about ? h("li", { class: "about" }, h("strong", null, app.about.title), ": ", app.about.reason) : "", ...state.traps.map((text) => h("li", null, text)));
  });

  let timer = null;
  const ask = async () => {
    timer = null;
    if (document.hidden || app.source.recorded) return;
    if (app.state.step === 0 && !app.frame?.step && !app.state.not_finite) calm();
    else show(await app.ask("verdict", {}, { quiet: true }));
    if (app.state.playing || app.frame?.playing) later(EVERY);
  };
  const later = (wait = 500) => { timer ??= setTimeout(ask, wait); };
  app.on("state", () => later());
  document.addEventListener("visibilitychange", () => later());
  app.on("event", (event) => {
    if (event.event === "verdict" && !app.state.not_finite) show(event);
    if (event.event === "stopped") {
      Object.assign(app.state, { playing: false, not_finite: { step: event.step } });
      app.emit("state", app.state);
    }
    if (event.event === "stopped" || event.event === "not_finite") show({ ...event, healthy: false, not_finite: true });
  });
  if (app.source.recorded) app.source.ask("verdict").then(show, calm);
}
