// The choices of the network: the heads of the picture (layers, neurons, activations, inputs) and, below it, all others.

import { byId, h, remember, toast } from "../ui.js";
import { check, rate, segments, select } from "./widgets.js";

/** What stands above a column: for inputs a title, for hidden layers their size and activation, for outputs their kind. */
export function headMaker(app) {
  const { choices } = app;
  return (layer, kind, x) => {
    const style = { left: `${x}px` };
    if (kind === "pixels") return { element: h("div", { class: "head", style }, h("span", null, "8 × 8 pixels")), update() {} };
    if (kind === "inputs") {
      return { element: h("div", { class: "head", style }, h("span", null, "inputs"), addFeature(app)), update() {} };
    }
    if (kind === "output") {
      const said = h("span");
      return { element: h("div", { class: "head", style }, h("span", null, "output"), said), update: (state) => { said.textContent = outputKind(state); } };
    }
    const number = layer - 1;
    const change = (by) => () => {
      const hidden = [...app.state.settings.hidden];
      hidden[number] += by;
      const { activations } = app.state.settings;
      app.set(hidden[number] < 1 ? { hidden: hidden.filter((_, i) => i !== number), activations: activations.filter((_, i) => i !== number) } : { hidden });
    };
    const n = h("span", { class: "n" });
    const fewer = h("button", { type: "button", "data-key": `fewer.${layer}`, "aria-label": `Fewer neurons in layer ${layer}`, onclick: change(-1) }, "−");
    const more = h("button", { type: "button", "data-key": `more.${layer}`, "aria-label": `More neurons in layer ${layer}`, onclick: change(1) }, "+");
    const activation = h("select", { "data-key": `act.${layer}`, "aria-label": `Activation of layer ${layer}`, onchange: () => {
      const all = app.state.settings.hidden.map((_, i) => app.state.settings.activations[i] ?? app.state.settings.activation);
      all[number] = activation.value;
      app.set({ activations: all });
    } }, choices.activations.map((name) => h("option", { value: name }, name)));
    return {
      element: h("div", { class: "head", style }, h("span", null, `layer ${layer}`), h("span", { class: "count" }, fewer, n, more), activation),
      update({ settings }) {
        const units = settings.hidden[number];
        n.textContent = units;
        more.disabled = units >= choices.limits.units;
        fewer.setAttribute("aria-label", units > 1 ? `Fewer neurons in layer ${layer}` : `Remove layer ${layer}`);
        activation.value = settings.activations[number] ?? settings.activation;
      },
    };
  };
}

function outputKind({ settings, outputs, activations }) {
  if (settings.loss === "cross-entropy") return outputs > 1 ? "softmax" : "logistic";
  return activations[activations.length - 1];
}

function addFeature(app) {
  return h("button", { type: "button", class: "chip", "data-key": "formula", title: "An input of your own, by formula", onclick: () => formulaDialog(app) }, "+ formula");
}

function formulaDialog(app) {
  const field = h("input", { id: "formula", type: "text", value: "", autocomplete: "off", spellcheck: "false", class: "mono", maxlength: 200 });
  const problem = h("p", { class: "problem", role: "alert" });
  const dialog = h("dialog", { "aria-labelledby": "formula-title" },
    h("form", { method: "dialog", class: "stack", onsubmit: async (event) => {
      event.preventDefault();
      const text = field.value.trim();
      const { features } = app.state.settings;
      try {
        app.take(await app.source.ask("set", { settings: { features: [...features, text] } }));
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
        field.setAttribute("aria-invalid", "true");
      }
    } },
    h("h2", { id: "formula-title" }, "An input by formula"),
    h("p", { class: "muted small" }, "Of x1 and x2, such as sqrt(x1**2 + x2**2), exp(-x1**2) or cos(2*x2). It is computed by the engine and never run as a program."),
    h("div", { class: "field" }, h("label", { for: "formula" }, "Formula"), field), problem,
    h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Add"), h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export function toggleFeature(app, feature) {
  const { features } = app.state.settings;
  const without = features.filter((one) => one !== feature);
  if (!without.length) return toast("The network needs at least one input.");
  return app.set({ features: features.includes(feature) ? without : [...features, feature] });
}

const COLOURS = [["weight", "weight", "Blue: positive, orange: negative; thick: large"], ["gradient", "gradient", "Sign by hue, size on a logarithmic scale"],
  ["update", "update/weight", "How much of each weight the last update changed"]];

const LEGENDS = {
  weight: () => [ramp("values", "−", "+"), "Lines are weights: hue their sign, width their size. Squares show what each neuron answers over the plane."],
  gradient: () => [ramp("sizes", "10⁻⁶ of the greatest", "greatest"), "Lines are ∂loss/∂weight of the current batch, on a logarithmic scale."],
  update: () => [ramp("ratios", "10⁻⁶", "10⁻³ is usual", "1"), "Lines are |update| / |weight|: grey hardly learns, red changes too much at once."],
};

function ramp(kind, low, ...rest) {
  return h("span", { class: "ramp-row" }, low, h("span", { class: `ramp ${kind}` }), rest.length > 1 ? `${rest[0]} · ${rest[1]}` : rest[0]);
}

/** The tools beside the title, the legend below the picture, and all further choices. */
export function buildChoices(app) {
  const { choices } = app;
  const colour = segments("Colour the lines by", COLOURS, (value) => app.look({ colour: value }));
  const addLayer = h("button", { type: "button", "aria-label": "Add a hidden layer", onclick: () => layers(app, 1) }, "+");
  const dropLayer = h("button", { type: "button", "aria-label": "Remove the last hidden layer", onclick: () => layers(app, -1) }, "−");
  const layerCount = h("span");
  const names = choices.activations;
  const activation = select("activation", names, (value) => app.set({ activation: value, activations: [] }), { title: "Of all hidden layers" });
  activation.element.className = "inline";
  activation.element.dataset.part = "activation";
  byId("net-tools").append(h("span", { class: "row", "data-part": "layers" }, dropLayer, layerCount, addLayer), activation.element);
  const legend = h("span", { class: "legend-text" });
  byId("net-legend").append(h("span", { class: "row" }, h("span", null, "colour by"), colour.element), legend);
  const showColour = () => {
    colour.update(app.view.colour);
    legend.replaceChildren(...LEGENDS[app.view.colour](), app.values ? h("span", null, "Beside the neurons: ", h("span", { class: "value-key" }, "value"), " and ", h("span", { class: "cotangent-key" }, "cotangent ∂E/∂z"), " of one example.") : "");
  };
  app.on("half", showColour);
  app.on("view", showColour);
  showColour();

  const all = moreChoices(app);
  const details = h("details", { class: "more", open: remember("more") === true }, h("summary", null, "More choices: optimizer, loss, regularisation, initial weights …"),
    h("div", { class: "choices" }, all.map((one) => one.element)));
  details.addEventListener("toggle", () => remember("more", details.open));
  byId("net-more").append(details);
  app.on("state", (state) => {
    const { hidden, activations } = state.settings;
    const mixed = activations.some((one) => one && one !== state.settings.activation);
    activation.update(mixed ? "mixed" : state.settings.activation, mixed ? [["mixed", "by layer"], ...names] : names);
    layerCount.textContent = `${hidden.length} hidden layer${hidden.length === 1 ? "" : "s"}`;
    dropLayer.disabled = !hidden.length;
    addLayer.disabled = hidden.length >= app.choices.limits.hidden_layers;
    all.forEach((one) => one.sync(state.settings));
  });
}

function layers(app, by) {
  const { hidden } = app.state.settings;
  return app.set({ hidden: by > 0 ? [...hidden, hidden.length ? Math.min(4, hidden[hidden.length - 1]) : 4] : hidden.slice(0, -1) });
}

/** One control per setting; `sync` shows the engine's value. */
export function moreChoices(app) {
  const { choices } = app;
  const set = (name) => (value) => app.set({ [name]: value });
  const plain = (label, name, options, title) => {
    const made = select(label, options, set(name), { title });
    return { ...made, sync: (settings) => made.update(settings[name]) };
  };
  const amount = (label, name, values, more) => {
    const made = rate(label, values, set(name), more);
    return { ...made, sync: (settings) => made.update(settings[name]) };
  };
  const tick = (label, name, title) => {
    const made = check(label, set(name), { title });
    return { element: h("div", { class: "field" }, h("span", { class: "label" }, "\u00a0"), made.element), sync: (settings) => made.update(settings[name]) };
  };
  const text = (label, name) => {
    const id = `set-${name}`;
    const box = h("input", { id, type: "text", maxlength: 40, autocomplete: "off", spellcheck: "false", onchange: () => app.set({ [name]: box.value }) });
    return { element: h("div", { class: "field" }, h("label", { for: id }, label), box), sync: (settings) => { if (document.activeElement !== box) box.value = settings[name] ?? ""; } };
  };
  return [
    plain("Loss", "loss", choices.losses), plain("Optimizer", "optimizer", choices.optimizers, "Changes live"),
    plain("Schedule of the rate", "schedule", choices.schedules, "Changes live"), amount("… over epochs", "schedule_epochs", [50, 100, 200, 500, 1000]),
    plain("Regularisation", "regularization", [["none", "none"], ["l1", "L1"], ["l2", "L2"]], "Changes live"),
    amount("Regularisation rate", "regularization_rate", choices.regularization_rates), plain("Initial weights", "initialiser", choices.initialisers),
    amount("Initial biases", "bias", [0, 0.1, 1], { none: "auto" }), amount("Clip gradients at", "clip", [0.1, 1, 5], { none: "no" }),
    text("Seed", "seed"), tick("New order each epoch", "shuffle", "Draw the batches in another order in every epoch"),
    tick("Normalise the inputs", "normalise", "Give every input mean 0 and deviation 1"),
    plain("Update rule", "mode", [["default", "chainrule"], ["compatible", "compatible"]], "Compatible: the exact rule of the well-known playground, traps included"),
  ];
}
