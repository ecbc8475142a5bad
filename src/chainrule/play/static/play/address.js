// The page's own part of an address, beside the engine's: what is shown, and which controls are left out for a class.
// Keys are those of the well-known playground: showTestData, discretize, NAME_hide.

/** Controls that can be left out: name in the address → [name on the page, the elements]. */
export const PARTS = {
  playButton: ["Play", ".play"], stepButton: ["Step and back", ".step, [aria-label='Step back']"],
  resetButton: ["Rewind", "[aria-label='Rewind'], [aria-label='New initial weights']"], phases: ["Half-steps", "#run-phases"],
  speed: ["Speed", "[data-part='speed']"], learningRate: ["Learning rate", "[data-part='learning_rate']"],
  activation: ["Activation", "[data-part='activation'], .head select"], problem: ["Problem", "[data-part='problem']"],
  dataset: ["Data sets", ".thumbs"], percTrainData: ["Share for training", "[data-part='train_percent']"], noise: ["Noise", "[data-part='noise']"],
  batchSize: ["Batch size", "[data-part='batch_size']"], ownData: ["Own data", "[data-part='own']"],
  numHiddenLayers: ["Layers and neurons", "[data-part='layers'], .head .count button"], regularization: ["More choices", "#net-more"],
  showTestData: ["Show test data", "[data-part='test']"], discretize: ["Discretise", "[data-part='discretise']"],
  verdict: ["Verdict", "#verdict"], inspector: ["Look inside", "#inspector"],
};

/** Leave out the controls of these names; heads are built anew with the network, hence a style rule and not the elements. */
export function leaveOut(names) {
  const sheet = new CSSStyleSheet();
  const known = names.filter((name) => name in PARTS);
  if (known.length) sheet.insertRule(`:is(${known.map((name) => PARTS[name][1]).join(", ")}) { display: none !important; }`);
  document.adoptedStyleSheets = [sheet];
}

/** What a hash says to the page: {view, left: names of controls that are left out}. */
export function read(hash) {
  const given = new URLSearchParams(hash);
  const view = {};
  if (given.has("showTestData")) view.test = given.get("showTestData") === "true";
  if (given.has("discretize")) view.discretise = given.get("discretize") === "true";
  const left = [...given].filter(([key, value]) => key.endsWith("_hide") && value === "true").map(([key]) => key.slice(0, -5));
  return { view, left };
}

/** The page's part of a hash. */
export function written({ view, left = [] }) {
  return [...(view.test ? ["showTestData=true"] : []), ...(view.discretise ? ["discretize=true"] : []), ...left.map((name) => `${name}_hide=true`)].map((part) => `&${part}`).join("");
}
