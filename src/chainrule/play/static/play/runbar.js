// The bar that runs the network: rewind, back, play, step, the four half-steps, counters, and what may change live.

import { count } from "../format.js";
import { byId, h, remember, say } from "../ui.js";
import { icon } from "./icons.js";
import { figure, rate, select } from "./widgets.js";

const PHASES = [["forward", "Forward", "Compute every neuron's value"], ["loss", "Loss", "Compare the output with the label"],
  ["backward", "Backward", "Send the cotangents back: every gradient"], ["update", "Update", "Change the weights by the gradients"]];

const SPEEDS = [["1", "1 step / s"], ["10", "10 / s"], ["100", "100 / s"], ["1000", "1,000 / s"], ["10000", "10,000 / s"], ["full", "full"]];

export function buildRun(app) {
  const unit = select("Unit of a step", [["epoch", "epoch"], ["batch", "batch"], ["example", "example"]], () => {});
  unit.element.firstChild.className = "sr";
  const play = h("button", { type: "button", class: "primary play", onclick: () => toggle(app) });
  const step = h("button", { type: "button", title: "One step forward (key .)", onclick: () => stepOn(app, unit.box.value) }, icon("step", 16), "Step");
  const back = h("button", { type: "button", class: "icon", "aria-label": "Step back", title: "Step back: exactly the weights before (key ,)", onclick: () => stepBack(app, unit.box.value) }, icon("back"));
  const rewind = h("button", { type: "button", class: "icon", "aria-label": "Rewind", title: "Rewind to the same initial weights (key 0)", onclick: () => rewindTo(app, false) }, icon("rewind"));
  const anew = h("button", { type: "button", class: "icon", "aria-label": "New initial weights", title: "New random initial weights", onclick: () => rewindTo(app, true) }, icon("dice"));
  byId("run-buttons").append(rewind, anew, back, play, h("span", { class: "step" }, step, unit.element));

  const phases = PHASES.map(([name, label, title]) => h("button", { type: "button", title, "data-phase": name, onclick: () => halfTo(app, name) }, label));
  byId("run-phases").append(h("span", { class: "label", id: "phases-label" }, "one step in four"),
    h("div", { class: "segments", role: "group", "aria-labelledby": "phases-label" }, phases));

  const epoch = figure("epoch");
  const steps = figure("steps", { wide: true });
  byId("run-counters").append(epoch.element, steps.element);

  const learning = rate("Learning rate", app.choices.learning_rates, (value) => app.set({ learning_rate: value }), { title: "Acts at once, without starting anew" });
  const pace = select("Speed", SPEEDS, (value) => {
    app.speed = value === "full" ? null : Number(value);
    remember("speed", value);
    if (app.state.playing) both(app, "play", { speed: app.speed });
  }, { title: "How many batches a second; slower is easier to watch" });
  const kept = String(remember("speed") ?? "1000");
  pace.update(SPEEDS.some(([value]) => value === kept) ? kept : "1000");
  app.speed = pace.box.value === "full" ? null : Number(pace.box.value);
  const speed = h("span", { class: "speed" });
  pace.element.querySelector("label").append(" ", speed);
  pace.element.dataset.part = "speed";
  learning.element.dataset.part = "learning_rate";
  byId("run-live").append(pace.element, learning.element);

  let shownPlaying = null;
  const cursor = (at) => {
    epoch.update(String(at.epoch).padStart(6, "0").replace(/(\d{3})(\d{3})$/, "$1,$2"));
    steps.update(count(at.step));
    if (at.playing !== shownPlaying) {
      shownPlaying = at.playing;
      play.replaceChildren(icon(at.playing ? "pause" : "play"), at.playing ? "Pause" : "Play");
    }
    const done = PHASES.findIndex(([name]) => name === at.phase);
    phases.forEach((button, i) => {
      const midway = done >= 0 && done < 3;
      if (midway && i <= done) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
      button.classList.toggle("next", i === (midway ? done + 1 : 0));
    });
    back.disabled = at.step === 0 && !(done >= 0 && done < 3) && !at.example;
  };
  app.on("frame", (frame) => {
    cursor(frame);
    const text = frame.playing && frame.steps_per_second ? `· ${count(frame.steps_per_second)} / s` : "";
    if (speed.textContent !== text) speed.textContent = text;
  });
  app.on("state", (state) => {
    cursor(state);
    learning.update(state.settings.learning_rate);
  });
  if (app.source.recorded) buildScrubber(app);
  keys(app, unit);
}

/** Keys of the whole page, where nothing is typed: space plays, . steps, , goes back, 0 rewinds, h is a half-step. */
function keys(app, unit) {
  document.addEventListener("keydown", (event) => {
    const inField = event.target.closest?.("input, select, textarea, button, summary, a, dialog, [role=tab]");
    if (event.ctrlKey || event.metaKey || event.altKey || (inField && (event.key === " " || !event.target.matches("button, a, summary")))) return;
    const does = { " ": () => toggle(app), ".": () => stepOn(app, unit.box.value), ",": () => stepBack(app, unit.box.value), 0: () => rewindTo(app, false), h: () => half(app) }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
  });
}

/** With another network beside this one, both are run alike. */
function both(app, action, fields) {
  app.rival?.ask(action, fields, { quiet: true });
  return app.ask(action, fields);
}

export function toggle(app) {
  app.halfDone?.();
  return app.state.playing ? both(app, "pause") : both(app, "play", { speed: app.speed });
}

function stepOn(app, unit) {
  app.halfDone?.();
  return both(app, "step", { unit });
}

async function stepBack(app, unit) {
  app.halfDone?.();
  const answer = await both(app, "back", { unit });
  if (answer) say(`Back at epoch ${answer.state.epoch}, step ${answer.state.step}`);
}

async function rewindTo(app, fresh) {
  app.halfDone?.();
  const answer = await both(app, "rewind", { new_seed: fresh });
  if (answer) say(fresh ? "New initial weights" : "Back at the initial weights");
}

async function half(app) {
  const answer = await app.ask("half");
  if (answer) {
    app.half = answer;
    app.emit("half", answer);
    say(`Half-step: ${answer.phase}`);
  }
  return answer;
}

/** Half-steps until `goal` is done. */
async function halfTo(app, goal) {
  for (let i = 0; i < 4; i++) {
    const answer = await half(app);
    if (!answer || answer.phase === goal) return;
  }
}

function buildScrubber(app) {
  const { length } = app.source;
  const out = h("output", { for: "scrub", class: "small muted" });
  const box = h("input", { id: "scrub", type: "range", min: 0, max: length - 1, value: 0, oninput: () => app.ask("seek", { to: Number(box.value) }) });
  byId("run").append(h("div", { class: "scrub" }, h("label", { for: "scrub", class: "small" }, "Recording"), box, out));
  app.on("frame", () => {
    box.value = app.source.at;
    out.textContent = `${app.source.at + 1} of ${length}`;
  });
}

