// Points of one's own: click on the plane to add and remove, or paste a table and choose two columns and a label.

import { count, typed } from "../format.js";
import { h, say, toast } from "../ui.js";
import { classColour, valueColour } from "./colour.js";
import { numberField, select } from "./widgets.js";

const MOST = 900_000; // characters of a table: what a message may carry

export function ownData(app) {
  const labels = h("div", { class: "chips", role: "group", "aria-label": "Label of new points" });
  const said = h("p", { class: "small muted" });
  app.brush = 1;
  const brush = (value) => {
    app.brush = value;
    showLabels();
  };
  let key = "";
  let many = false; // whether new points have labels 0, 1, 2 … rather than −1 and +1
  const showLabels = () => {
    const regression = app.state.settings.problem === "regression";
    const classes = regression ? 0 : app.data?.classes ?? 2;
    const none = !app.data?.points?.length;
    const multi = !regression && (classes > 2 || (none && many));
    const wanted = regression ? [-1, -0.5, 0, 0.5, 1] : multi ? [...Array(Math.min(10, Math.max(3, classes + (none ? 0 : 1)))).keys()] : [-1, 1];
    const names = multi ? app.data?.class_names ?? [] : [];
    const now = JSON.stringify([wanted, names, app.brush, none, document.documentElement.dataset.theme]);
    if (now === key) return;
    key = now;
    if (!wanted.includes(app.brush) && app.brush !== "remove") app.brush = wanted[wanted.length - 1];
    const chip = (value) => h("button", { type: "button", class: "chip", "aria-pressed": String(app.brush === value), onclick: () => brush(value) },
      h("span", { class: "dot", style: { background: multi ? classColour(value) : valueColour(value) } }), names[value] ?? (!multi && value > 0 ? `+${value}` : String(value).replace("-", "−")));
    labels.replaceChildren(...wanted.map(chip), h("button", { type: "button", class: "chip", "aria-pressed": String(app.brush === "remove"), onclick: () => brush("remove") }, "remove"),
      none && !regression ? h("button", { type: "button", class: "chip", "aria-pressed": String(many), onclick: () => { many = !many; key = ""; showLabels(); } }, "more classes") : "");
  };
  const x1 = numberField("x₁", () => {});
  const x2 = numberField("x₂", () => {});
  const add = h("button", { type: "button", onclick: () => place(app, [typed(x1.box.value), typed(x2.box.value)]) }, "Add point");
  x1.update(0);
  x2.update(0);
  const table = csv(app);
  const details = h("details", { class: "more" }, h("summary", null, "Your own data"),
    h("div", { class: "stack" }, h("p", { class: "small muted" }, "Click on the output's plane to add a point, or type its place."), labels,
      h("div", { class: "pair" }, x1.element, x2.element),
      h("div", { class: "row" }, add, h("button", { type: "button", onclick: () => app.changeData("clear") }, "Remove all")), said, table));
  details.addEventListener("toggle", () => {
    app.drawing = details.open;
    app.emit("drawing");
    if (details.open) showLabels();
  });
  app.on("drawing", () => { if (app.drawing) details.open = true; });
  app.on("data", ({ points }) => {
    said.textContent = `${count(points.length)} points.`;
    if (details.open) showLabels();
  });
  return { element: details, update: () => { if (details.open) showLabels(); } };
}

/** Add a point with the chosen label at (x1, x2), or remove the nearest one. */
export async function place(app, [x1, x2]) {
  if (![x1, x2].every(Number.isFinite)) return toast("Expected two numbers for the point.", { bad: true });
  const remove = app.brush === "remove";
  const answer = await app.changeData(remove ? "remove" : "add", remove ? { x1, x2 } : { x1, x2, label: app.brush });
  if (answer) say(remove ? `Removed the point nearest to ${x1.toFixed(2)}, ${x2.toFixed(2)}` : `Added a point at ${x1.toFixed(2)}, ${x2.toFixed(2)}`);
  return answer;
}

/** Paste or open a table; after it was read, choose which columns are x₁, x₂ and the label. */
function csv(app) {
  const tooLarge = (size) => { problem.textContent = size > MOST ? "The table is too large.\nExpected: at most 900 kB." : ""; return size > MOST; };
  const text = h("textarea", { id: "csv", rows: 4, spellcheck: "false", placeholder: "x1,x2,label\n0.5,1.2,1\n−1,0.3,−1" });
  const problem = h("p", { class: "problem", role: "alert" });
  const columns = h("div", { class: "stack" });
  const pickers = ["x₁", "x₂", "label"].map((name) => select(name, [], () => send(true)));
  const kind = select("Labels are", [["classification", "classes"], ["regression", "numbers"]], () => send(true));
  const file = h("input", { type: "file", accept: ".csv,text/csv,text/plain", "aria-label": "Open a CSV file", onchange: async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    if (tooLarge(chosen.size)) return;
    text.value = await chosen.text();
    file.value = ""; // so that the same file can be chosen again
    send(false);
  } });
  const send = async (chosen) => {
    if (tooLarge(text.value.length)) return;
    const fields = { text: text.value };
    if (chosen) Object.assign(fields, { columns: pickers.slice(0, 2).map((one) => one.box.value), target: pickers[2].box.value, problem: kind.box.value });
    try {
      const answer = await app.source.ask("data", { action: "csv", ...fields });
      app.take(answer);
      app.data = answer;
      app.emit("data", answer);
      if (answer.table) {
        const { columns: names, chosen: now } = answer.table;
        pickers.forEach((picker, i) => picker.update(i < 2 ? now.columns[i] : now.target, names));
        kind.update(app.state.settings.problem);
        columns.replaceChildren(h("div", { class: "pair" }, ...pickers.map((one) => one.element), kind.element));
        toast(`${count(answer.points.length)} rows were read.`);
      }
    } catch (error) {
      problem.textContent = error.message;
    }
  };
  return h("details", { class: "more" }, h("summary", null, "Paste a table (CSV)"),
    h("div", { class: "stack" }, h("div", { class: "field" }, h("label", { for: "csv" }, "Rows, with or without names of columns"), text), file,
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => send(false) }, "Read")), problem, columns));
}
