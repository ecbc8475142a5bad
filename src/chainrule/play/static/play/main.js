// The playground page: connects to the engine (or to the recording in this page) and builds its parts.

import { bar, byId, h, toast } from "../ui.js";
import { leaveOut, read, written } from "./address.js";
import { buildChoices, headMaker, toggleFeature } from "./choices.js";
import { useTheme } from "./colour.js";
import { toggleCompare } from "./compare.js";
import { buildData } from "./data.js";
import { galleryDialog } from "./gallery.js";
import { followHalfSteps } from "./half.js";
import { buildInspector } from "./inspector.js";
import { NetView, neuronName } from "./netview.js";
import { buildOutput } from "./output.js";
import { buildRun } from "./runbar.js";
import { shareDialog } from "./share.js";
import { LiveSource, RecordedSource } from "./source.js";
import { App } from "./state.js";
import { buildTables } from "./tables.js";
import { asSentence, buildVerdict } from "./verdict.js";

const app = new App();
window.playground = app; // for a look from the browser's console, and for tests

const callbacks = {
  onframe: (frame, acknowledge) => app.receive(frame, acknowledge),
  onevent: (event) => {
    if (event.error) toast(event.error.what, { bad: true });
    app.take(event);
    app.emit("event", event);
  },
  onstatus: (status, answer) => connection(status, answer),
};

const down = h("p", { class: "down", role: "alert", hidden: true });

function connection(status, answer) {
  down.hidden = status !== "down";
  if (status === "down") down.textContent = `${answer.reason ? asSentence(answer.reason) : "The engine does not answer."} Trying again …`;
  if (status !== "back" || !app.state) return;
  if (answer.resumed) app.take(answer);
  else resume(app.state.url);
}

/** The engine no longer has this run (it was away too long, or began anew): go on from what the page knows of it. */
async function resume(url) {
  app.view.hover = null;
  await app.ask("load", { url }, { quiet: true });
  await app.changeData("get");
  await app.look(app.view);
  toast("The engine had let go of this run. It is here again, as it was when it last answered.");
}

function recording() {
  const found = document.getElementById("recording");
  return found ? JSON.parse(found.textContent) : null;
}

/** Pointing at a neuron draws it large. */
function hovering() {
  let wanted = null;
  app.hoverNode = (layer, node) => {
    const hover = layer === null ? null : [layer - 1, layer === 0 ? node.source : node.index];
    const key = JSON.stringify(hover);
    if (key === wanted) return;
    wanted = key;
    app.picture = layer === null ? null : node.picture ?? null;
    app.hovered = layer === null ? null : layer === 0 ? `input ${node.name}` : neuronName(app.state, layer, node.index);
    app.emit("hover");
    app.ask("view", { hover }, { quiet: true });
  };
}

async function begin() {
  useTheme();
  document.addEventListener("themechange", useTheme);
  const kept = recording();
  app.source = kept ? new RecordedSource(kept, callbacks) : new LiveSource(callbacks);
  const share = h("button", { type: "button", class: "plain", onclick: () => shareDialog(app) }, "Save & share");
  const gallery = h("button", { type: "button", class: "plain", onclick: () => galleryDialog(app) }, "Gallery");
  const compare = h("button", { type: "button", class: "plain", "aria-pressed": "false", onclick: () => toggleCompare(app, compare) }, "Compare");
  byId("top").replaceWith(bar("/", ...(kept ? [share] : [gallery, compare, share])));
  document.body.classList.toggle("recorded", kept !== null);
  byId("main").prepend(down);
  const greeting = await app.source.open();
  app.choices = greeting.choices ?? (await app.source.ask("choices")).choices;
  app.state = greeting.state;
  if (location.hash.length > 1 && !kept) await load(location.hash.slice(1));
  followHalfSteps(app);
  hovering();
  app.toggleFeature = (feature) => toggleFeature(app, feature);
  app.head = headMaker(app);
  buildRun(app);
  buildVerdict(app);
  buildOutput(app);
  buildData(app);
  app.net = new NetView(byId("net-body"), app);
  buildChoices(app);
  buildInspector(app);
  buildTables(app);
  app.on("frame", (frame) => app.follow?.(frame));
  app.emit("state", app.state);
  app.emit("view", app.view);
  if (kept) app.emit("data", app.data = kept.data);
  else {
    followAddress();
    await app.changeData("get");
    await app.look(app.view);
    window.addEventListener("hashchange", async () => {
      if (!(await load(location.hash.slice(1)))) return;
      await app.changeData("get");
      await app.look(app.view);
    });
  }
  document.body.dataset.ready = "yes";
}

/** The address follows the run wherever it stands still, so that a reload or a bookmark comes back to it. */
function followAddress() {
  let timer = null;
  let first = true;
  app.on("state", ({ url, playing, step, example }) => {
    clearTimeout(timer);
    const untouched = first && !step && !example;
    first = false;
    if (!playing && url && !untouched) timer = setTimeout(() => history.replaceState(null, "", `#${url}${written(app)}`), 250);
  });
}

async function load(hash) {
  const { view, left } = read(hash);
  Object.assign(app.view, view);
  app.left = left;
  leaveOut(left);
  const answer = await app.ask("load", { url: hash });
  return answer;
}

begin().catch((problem) => toast(problem.message, { bad: true }));
