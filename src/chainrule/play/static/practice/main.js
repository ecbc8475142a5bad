// The practice room: one exercise at a time, by link, by skill or in mixed review. The engine makes, grades and explains;
// the page keeps count.

import { bar, byId, copy, download, h, math, post, remember, say, toast } from "../ui.js";
import { make } from "./fields.js";
import { graph, words } from "./graph.js";
import * as progress from "./progress.js";

byId("top").replaceWith(bar("/practice"));

let kinds = [];
let levels = [1, 2, 3];
let item = null; // the exercise that is shown
let fields = new Map();
let hintsUsed = 0;
let counted = false; // whether the outcome of this item is noted already
let mixed = remember("practice.mixed") ?? true;
let asked = 0; // the newest request; answers to older ones are dropped

// ------------------------------------------------------------------------------------------------------ the link

function address({ kind, level, seed }) {
  return `#kind=${kind}&level=${level}&seed=${seed}&v=1`;
}

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("kind")) return null;
  return { kind: given.get("kind"), level: Number(given.get("level")), seed: Number(given.get("seed")), version: Number(given.get("v") ?? 1) };
}

/** Go to an exercise; its address goes into the history. */
function open(wanted) {
  const to = address(wanted);
  if (location.hash === to) show(wanted);
  else location.hash = to;
}

function nextOne() {
  if (mixed) open(progress.mixed(kinds.map((k) => k.name), item));
  else another();
}

function another(kind = item?.kind ?? kinds[0].name, level = item?.kind === kind ? item.level : progress.level(kind)) {
  open({ kind, level, seed: progress.newSeed() });
}

function setMixed(on) {
  mixed = remember("practice.mixed", on);
}

// ------------------------------------------------------------------------------------------------------- showing

async function show(wanted) {
  const turn = (asked += 1);
  let found;
  try {
    found = await post("practice/item", wanted);
  } catch (error) {
    if (turn === asked) unavailable(error);
    return;
  }
  if (turn !== asked) return;
  item = found;
  hintsUsed = 0;
  counted = false;
  fields = new Map(item.fields.map((field) => [field.name, make(field, item)]));
  const about = kinds.find((k) => k.name === item.kind)?.about ?? "";
  byId("item-title").textContent = item.title;
  byId("item-about").textContent = about;
  byId("prompt").replaceChildren(...item.prompt.map(block));
  byId("fields").replaceChildren(...[...fields.values()].map((field) => field.element));
  byId("answer").hidden = false;
  byId("feedback").replaceChildren();
  byId("hint-list").replaceChildren();
  byId("hints").hidden = true;
  byId("check").hidden = false;
  byId("next").hidden = true;
  hintButton();
  overview();
  byId("item").dataset.item = `${item.kind}/${item.level}/${item.seed}`;
  document.title = `${item.title} · Practice · chainrule`;
  say(`${item.title}, level ${item.level}`);
}

function unavailable(error) {
  item = null;
  byId("item-title").textContent = "There is no such exercise";
  byId("item-about").textContent = "";
  byId("prompt").replaceChildren(h("p", { class: "problem" }, error.message));
  byId("answer").hidden = true;
  byId("feedback").replaceChildren();
  byId("hints").hidden = true;
  overview();
}

function formulas(list) {
  return h("div", { class: "formulas" }, list.map((pieces) => h("span", { class: "equation" }, pieces.map((one) => math(one)))));
}

function block(part) {
  if (part.block === "words") return h("p", {}, words(part.words));
  if (part.block === "formulas") return formulas(part.formulas);
  if (part.block === "graph") return graph(part);
  return h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": part.caption }, h("table", {}, h("caption", {}, part.caption),
    h("thead", {}, h("tr", {}, part.head.map((cell) => h("th", { scope: "col" }, words(cell))))),
    h("tbody", {}, part.rows.map((row) => h("tr", {}, row.map((cell, place) => h(place ? "td" : "th", place ? {} : { scope: "row" }, words(cell))))))));
}

// ------------------------------------------------------------------------------------------------ skills and levels

function bars(name) {
  const { points } = progress.skill(name);
  const shown = points === progress.MOST_POINTS ? "bars all" : "bars";
  return h("span", { class: shown, "aria-hidden": "true" }, [0, 3, 6].map((first) => h("span", {}, [0, 1, 2].map((i) => h("i", { class: first + i < points ? "on" : "" })))));
}

function overview() {
  const here = item?.kind;
  const list = kinds.map((kind) => {
    const { points, right, missed } = progress.skill(kind.name);
    const state = points === progress.MOST_POINTS ? "mastered" : `${points} of ${progress.MOST_POINTS} points`;
    return h("li", {}, h("button", { type: "button", class: "skill", "aria-current": kind.name === here ? "true" : null, title: `${kind.about} ${right} right, ${missed} missed.`,
      "aria-label": `${kind.title}: ${state}`, onclick: () => { setMixed(false); another(kind.name, progress.level(kind.name)); } },
    h("span", {}, kind.title), bars(kind.name)));
  });
  const focused = document.activeElement?.closest?.("#skill-list button") ? [...byId("skill-list").querySelectorAll("button")].indexOf(document.activeElement) : -1;
  byId("skill-list").replaceChildren(...list);
  if (focused >= 0) byId("skill-list").querySelectorAll("button")[focused]?.focus();
  byId("levels").replaceChildren(...levels.map((level) => h("button", { type: "button", "aria-pressed": String(item?.level === level), disabled: item === null,
    onclick: () => open({ kind: item.kind, level, seed: progress.newSeed() }) }, `Level ${level}`)));
  byId("mixed").setAttribute("aria-pressed", String(mixed));
  const ready = progress.due().length, waiting = progress.waiting();
  byId("due").textContent = ready ? `${ready} to do again now` : waiting ? `${waiting} to do again later` : "All skills in turn, the weakest first.";
  const mastered = kinds.filter((k) => progress.skill(k.name).points === progress.MOST_POINTS).length;
  byId("skills-now").textContent = `${mastered} of ${kinds.length} mastered`;
}

// ------------------------------------------------------------------------------------------------------- answering

function answers() {
  return Object.fromEntries([...fields].map(([name, field]) => [name, field.value()]));
}

function note(solved) {
  if (counted) return;
  counted = true;
  progress.finished(item, solved);
  overview();
}

async function check(event) {
  event.preventDefault();
  if (item === null || !byId("next").hidden) return;
  const turn = asked;
  let found;
  try {
    found = await post("practice/grade", { kind: item.kind, level: item.level, seed: item.seed, answer: answers(), hints_used: hintsUsed });
  } catch (error) {
    feedback("note", "Not graded", [error.message]);
    return;
  }
  if (turn !== asked) return;
  for (const [name, field] of fields) field.mark(found.fields[name]);
  if (found.outcome === "not gradable") {
    feedback("note", "Not graded yet", found.message);
    fields.get(found.field)?.focus();
  } else if (found.outcome === "wrong") {
    note(false);
    feedback("bad", "Not yet", found.message, found.detail);
  } else {
    const alone = found.counts && !counted;
    note(alone);
    feedback("good", alone ? "Right" : "Right, in the end", alone ? praise() : ["This one comes back later, to be solved at the first try."]);
    byId("check").hidden = true;
    byId("next").hidden = false;
    byId("next").focus();
    hintButton();
  }
}

function praise() {
  const { points } = progress.skill(item.kind);
  if (points === progress.MOST_POINTS) return ["This skill is mastered."];
  const left = 3 - (points % 3);
  return [item.level < progress.level(item.kind) ? "On to the next level." : points >= 6 ? `${left} more and this skill is mastered.` : `${left} more to the next level.`];
}

function feedback(kind, title, message, detail) {
  const signs = { good: "✓", bad: "✗", note: "?" };
  byId("feedback").replaceChildren(h("div", { class: kind }, h("strong", {}, h("span", { "aria-hidden": "true" }, `${signs[kind]} `), title),
    h("p", {}, words(message)), detail ? h("p", {}, words(detail)) : null));
}

// ----------------------------------------------------------------------------------------------------------- hints

function hintButton() {
  const button = byId("hint");
  const left = item.hints - hintsUsed;
  const done = !byId("next").hidden;
  button.hidden = done && left === 0;
  button.disabled = left === 0;
  button.textContent = done ? (hintsUsed ? "Next line of the explanation" : "Explain it") : left === 0 ? "No more hints" : left === 1 ? "Show the answer" : hintsUsed ? `Next hint (${left} more)` : "Hint";
}

async function hint() {
  if (item === null || hintsUsed >= item.hints) return;
  const turn = asked;
  const number = hintsUsed + 1;
  byId("hint").disabled = true;
  let found;
  try {
    found = await post("practice/hint", { kind: item.kind, level: item.level, seed: item.seed, number });
  } catch (error) {
    toast(error.message, { bad: true });
    hintButton();
    return;
  }
  if (turn !== asked || number !== hintsUsed + 1) return;
  hintsUsed = number;
  byId("hints").hidden = false;
  byId("hint-list").append(h("li", { class: found.last ? "answer-line" : "" }, h("span", {}, words(found.words)), found.formulas.length ? formulas(found.formulas) : null,
    found.last ? h("div", {}, h("button", { type: "button", onclick: () => fillIn(found.answer) }, "Fill it in")) : null));
  hintButton();
  byId("hint-list").lastElementChild.scrollIntoView({ block: "nearest" });
}

function fillIn(entered) {
  for (const [name, field] of fields) field.fill(entered[name]);
  byId("check").focus();
}

// ------------------------------------------------------------------------------------------------------------ start

function skillsOpen() {
  const wide = matchMedia("(min-width: 861px)");
  const fit = () => { byId("skills").open = wide.matches; };
  fit();
  wide.addEventListener("change", fit);
  byId("skills").querySelector("summary").addEventListener("click", (event) => { if (wide.matches) event.preventDefault(); });
  const summary = byId("skills").querySelector("summary");
  const reach = () => { summary.tabIndex = wide.matches ? -1 : 0; };
  reach();
  wide.addEventListener("change", reach);
}

function wire() {
  byId("answer").addEventListener("submit", check);
  byId("hint").addEventListener("click", hint);
  byId("next").addEventListener("click", () => { nextOne(); byId("item-title").focus(); });
  byId("another").addEventListener("click", () => another());
  byId("link").addEventListener("click", () => copy(location.href));
  byId("mixed").addEventListener("click", () => { setMixed(true); nextOne(); });
  byId("export").addEventListener("click", () => download("chainrule-practice.json", progress.exported(), "application/json"));
  byId("import").addEventListener("click", () => byId("import-file").click());
  byId("import-file").addEventListener("change", async () => {
    const file = byId("import-file").files[0];
    byId("import-file").value = "";
    if (!file) return;
    try {
      if (file.size > 200_000) throw new Error("This file is too large to be progress of the practice room.");
      progress.imported(await file.text(), kinds.map((k) => k.name));
      toast("Progress imported.");
      overview();
    } catch (error) {
      toast(error.message, { bad: true });
    }
  });
  byId("forget").addEventListener("click", () => {
    if (!confirm("Forget all progress kept in this browser?")) return;
    progress.forget();
    overview();
  });
  addEventListener("hashchange", () => { const wanted = fromAddress(); if (wanted) show(wanted); });
}

async function start() {
  skillsOpen();
  const found = await post("practice/kinds", {});
  ({ kinds, levels } = found);
  wire();
  progress.follow(overview);
  overview();
  const wanted = fromAddress();
  if (wanted) await show(wanted);
  else history.replaceState(null, "", address(progress.mixed(kinds.map((k) => k.name), null))), await show(fromAddress());
}

start().catch((error) => unavailable(error));
