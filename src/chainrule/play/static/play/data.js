// The data: built-in sets with their pictures, share, noise, batch size, new data, and points of one's own.

import { byId, h, post, toast } from "../ui.js";
import { classColour, ink, useTheme, valueColour } from "./colour.js";
import { segments, slider } from "./widgets.js";
import { ownData } from "./own.js";

const NAMES = {
  circle: "circle", xor: "xor", gauss: "gauss", spiral: "spiral", moons: "moons", blobs: "blobs", pinwheel: "pinwheel", digits: "digits",
  plane: "plane", "multi-gauss": "hills", waves: "waves", own: "your own",
};
const KINDS = {
  classification: ["circle", "xor", "gauss", "spiral", "moons", "blobs", "pinwheel", "digits", "own"],
  regression: ["plane", "multi-gauss", "waves", "own"],
};

export function buildData(app) {
  const body = byId("data-body");
  const problem = segments("Problem", [["classification", "Classification", "Which class?"], ["regression", "Regression", "Which number?"]],
    (value) => app.set({ problem: value }));
  const thumbs = h("div", { class: "thumbs wide", role: "group", "aria-label": "Data set" });
  const made = new Map();
  const thumbFor = (name) => {
    if (!made.has(name)) {
      const canvas = h("canvas", { width: 80, height: 80, "aria-hidden": "true" });
      const button = h("button", { type: "button", class: "thumb", "data-set": name, onclick: () => choose(app, name) }, canvas, NAMES[name] ?? name);
      made.set(name, { canvas, button });
    }
    return made.get(name);
  };

  const share = slider("Share for training", { min: 10, max: 90, step: 10, show: (value) => `${value} %` }, (value) => app.set({ train_percent: value }));
  const noise = slider("Noise", { min: 0, max: 50, step: 5, show: (value) => `${value} %` }, (value) => app.set({ noise: value }));
  const batch = slider("Batch size", { min: 1, max: 30, show: String }, (value) => app.set({ batch_size: value }));
  const classes = slider("Classes", { min: 2, max: app.choices.limits.classes, show: String }, (value) => app.set({ classes: value }));
  const again = h("button", { type: "button", title: "Other data of the same kind; the network stays", onclick: () => app.changeData("regenerate") }, "Regenerate");
  const own = ownData(app);
  Object.entries({ train_percent: share, noise, batch_size: batch, own, problem }).forEach(([name, { element }]) => { element.dataset.part = name; });
  body.append(h("div", { class: "wide" }, problem.element), thumbs, h("div", { class: "sliders" }, classes.element, share.element, noise.element, batch.element),
    h("div", { class: "stack" }, h("div", null, again), own.element));

  const known = new Map(app.choices.datasets.map((one) => [one.name, one]));
  let shown = null;
  app.on("state", ({ settings }) => {
    problem.update(settings.problem);
    const kind = settings.problem;
    if (kind !== shown) {
      shown = kind;
      thumbs.replaceChildren(...KINDS[kind].filter((name) => known.has(name)).map((name) => thumbFor(name).button));
    }
    for (const [name, { button }] of made) button.setAttribute("aria-pressed", String(name === settings.dataset));
    const chosen = known.get(settings.dataset);
    share.update(settings.train_percent);
    noise.update(settings.noise, null, !chosen.noise);
    batch.update(settings.batch_size, Math.max(30, settings.batch_size));
    classes.update(settings.classes);
    classes.element.hidden = !chosen.classes;
    again.disabled = settings.dataset === "own";
    own.update(settings);
  });

  // Pictures: the points that the engine's own generators make.
  const pictures = async () => {
    const found = await post("gallery/previews", {});
    const paintAll = () => {
      useTheme();
      paintThumb(thumbFor("own").canvas, { own: true });
      for (const [name, preview] of Object.entries(found.previews)) paintThumb(thumbFor(name).canvas, preview);
    };
    paintAll();
    document.addEventListener("themechange", paintAll);
  };
  if (!app.source.recorded) pictures().catch(() => toast("The pictures of the data sets did not come.", { bad: true }));
}

function choose(app, name) {
  if (name === "own") {
    app.drawing = true;
    app.emit("drawing");
    return app.set({ dataset: "own" });
  }
  app.drawing = false;
  app.emit("drawing");
  return app.set({ dataset: name });
}

function paintThumb(canvas, { points, classes, image, own }) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, 80, 80);
  if (own) {
    pen.fillStyle = ink("--edge");
    pen.fillRect(37, 22, 6, 36);
    pen.fillRect(22, 37, 36, 6);
    return;
  }
  if (image) {
    image.forEach((value, i) => {
      pen.fillStyle = ink("--ink");
      pen.globalAlpha = value;
      pen.fillRect(8 + (i % 8) * 8, 8 + Math.floor(i / 8) * 8, 8, 8);
    });
    pen.globalAlpha = 1;
    return;
  }
  for (const [x, y, label] of points) {
    pen.fillStyle = classes ? classColour(label) : valueColour(label);
    pen.beginPath();
    pen.arc(40 + x * 6.2, 40 - y * 6.2, 2.4, 0, 2 * Math.PI);
    pen.fill();
  }
}

