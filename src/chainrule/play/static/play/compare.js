// Two settings side by side: a second network on the engine with the same seed, run by the same buttons.

import { lossText, plain } from "../format.js";
import { byId, h, toast } from "../ui.js";
import { moreChoices } from "./choices.js";
import { Curve } from "./curve.js";
import { HeatMap } from "./heatmap.js";
import { LiveSource } from "./source.js";
import { App } from "./state.js";
import { rate, select } from "./widgets.js";

/** Open the comparison, or close it. */
export async function toggleCompare(app, button) {
  const panel = byId("compare");
  if (app.rival) {
    app.rival.source.close();
    app.rival.end();
    app.rival = null;
    panel.hidden = true;
    button.setAttribute("aria-pressed", "false");
    return;
  }
  button.disabled = true;
  try {
    await start(app, panel);
    button.setAttribute("aria-pressed", "true");
    panel.scrollIntoView({ block: "nearest", behavior: "smooth" });
  } catch (problem) {
    toast(problem.message, { bad: true });
  } finally {
    button.disabled = false;
  }
}

async function start(app, panel) {
  const rival = new App();
  rival.source = new LiveSource({
    onframe: (frame, acknowledge) => rival.receive(frame, acknowledge),
    onevent: (event) => {
      rival.take(event);
      if (event.event === "stopped") toast(`B has stopped. ${event.sentence}`, { bad: true });
    },
    onstatus: (status, answer) => {
      if (status !== "back" || !rival.state) return;
      if (answer.resumed) rival.take(answer);
      else rival.ask("load", { url: rival.state.url }, { quiet: true }); // the engine no longer has it
    },
  });
  const greeting = await rival.source.open();
  rival.choices = greeting.choices ?? app.choices;
  rival.state = greeting.state;
  app.rival = rival;
  panel.hidden = false;
  build(app, rival);
  await alike(app, rival);
}

/** Both at the initial weights of A, with its settings and data. */
async function alike(app, rival) {
  await app.ask("rewind");
  const kept = await app.ask("state");
  await rival.ask("load", { state: kept.state });
  await rival.changeData("get");
}

function build(app, rival) {
  const map = h("canvas", { role: "img", "aria-label": "What the second network answers over the plane" });
  const plane = h("div", { class: "map" }, map);
  const chart = h("canvas", { role: "img", tabindex: "0", "aria-label": "Loss of both networks over time" });
  const readout = h("p", { class: "curve-said", "aria-live": "polite" });
  const losses = h("tbody");
  const differs = h("p", { class: "small muted" });
  const learning = rate("Learning rate", rival.choices.learning_rates, (value) => rival.set({ learning_rate: value }));
  const activation = select("Activation", rival.choices.activations, (value) => rival.set({ activation: value, activations: [] }));
  const hiddenId = "rival-hidden";
  const hidden = h("input", { id: hiddenId, type: "text", autocomplete: "off", onchange: () => rival.set({ hidden: hidden.value.split(/[\s,]+/).filter(Boolean).map(Number) }) });
  const batch = rate("Batch size", [1, 2, 5, 10, 20, 30], (value) => rival.set({ batch_size: Math.round(value) }));
  const others = moreChoices(rival);
  byId("compare-body").replaceChildren(h("div", { class: "small muted compare-said" }, "A second network, B, began with the same seed, data and weights as the one above, A. Change something in B; the buttons above run both. ",
    h("button", { type: "button", class: "chip", onclick: () => alike(app, rival) }, "Make B as A")),
    h("div", { class: "sides" },
      h("div", { class: "side" }, h("div", { class: "choices" }, learning.element, activation.element, h("div", { class: "field" }, h("label", { for: hiddenId }, "Hidden layers"), hidden), batch.element),
        h("details", { class: "more" }, h("summary", null, "More choices of B"), h("div", { class: "choices" }, others.map((one) => one.element))), differs),
      h("div", { class: "side" }, h("div", { class: "both" }, plane, h("div", null,
        h("table", null, h("thead", null, h("tr", null, h("td"), h("th", { scope: "col", class: "number" }, "A"), h("th", { scope: "col", class: "number" }, "B"))), losses),
        h("div", { class: "curve" }, chart), readout, h("p", { class: "small muted" }, "B in colour (training solid, test dashed), A in grey."))))));

  const heat = new HeatMap(map, {});
  const curve = new Curve(chart, readout);
  curve.second = app.curve;
  rival.on("data", ({ points, train, classes }) => {
    if (!rival.state.images) heat.setPoints({ train: points.slice(0, train), test: [], classes: classes > 2 ? classes : 0, showTest: false });
  });
  const rows = [["training loss", 0], ["test loss", 1]].map(([name, i]) => {
    const cells = [h("td", { class: "number" }), h("td", { class: "number" })];
    losses.append(h("tr", null, h("th", { scope: "row" }, name), cells));
    return { i, cells };
  });
  const write = () => {
    for (const { i, cells } of rows) [app.frame, rival.frame].forEach((frame, side) => { cells[side].textContent = lossText(frame?.loss?.[i]); });
  };
  rival.on("state", ({ settings, images }) => {
    learning.update(settings.learning_rate);
    activation.update(settings.activation);
    if (document.activeElement !== hidden) hidden.value = settings.hidden.join(", ");
    batch.update(settings.batch_size);
    plane.hidden = images;
    others.forEach((one) => one.sync(settings));
    differs.textContent = difference(app.state.settings, settings);
  });
  const unlisten = app.on("state", () => { differs.textContent = difference(app.state.settings, rival.state.settings); });
  rival.on("frame", (frame) => {
    write();
    const shape = frame.shapes.output;
    if (shape) heat.setGrid({ bytes: frame.arrays.output, side: shape[shape.length - 1], confidences: frame.arrays.confidence ?? null, discretise: app.view.discretise });
    if (frame.curve === "replace") curve.clear();
    for (const [step, train, test] of rival.losses) curve.add(step, train, test);
    rival.losses = [];
    curve.draw();
  });
  const restyle = () => {
    heat.restyle();
    curve.draw();
  };
  document.addEventListener("themechange", restyle);
  rival.end = () => {
    unlisten();
    document.removeEventListener("themechange", restyle);
  };
}

function difference(a, b) {
  const names = Object.keys(b).filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]));
  const said = (value) => (typeof value === "number" ? plain(value) : Array.isArray(value) ? value.join(", ") || "none" : String(value));
  return names.length ? `B differs: ${names.map((name) => `${name.replaceAll("_", " ")} ${said(a[name])} → ${said(b[name])}`).join("; ")}.` : "B is as A. Change something.";
}
