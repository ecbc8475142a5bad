// The numbers of half-steps: each neuron's value and cotangent for the example in hand, and how much runs along each link.

/** Makes app.values and app.strengths follow the newest half-step; a whole step ends them. */
export function followHalfSteps(app) {
  const clear = () => {
    if (!app.half) return;
    app.half = null;
    app.values = null;
    app.strengths = null;
    app.emit("half", null);
  };
  app.halfDone = clear;
  app.on("state", (state) => { if (app.half && (state.playing || state.phase === "ready" || state.step !== app.half.state.step)) clear(); });
  app.on("half", (half) => {
    if (!half) return;
    const { example } = half;
    app.values = (layer, node) => (layer === 0
      ? { activation: example.inputs?.[node.source] }
      : { activation: example.a?.[layer - 1]?.[node.index] ?? undefined, cotangent: example.dz?.[layer - 1]?.[node.index] ?? undefined });
    app.strengths = (back) => strengths(app, example, back);
  });
}

/** What runs along each link, |w·a| forward or |w·δ| back, from 0 to 1 on a logarithmic scale of four decades. */
function strengths(app, example, back) {
  const { plan, frame } = app;
  const weights = frame?.arrays.weights;
  if (!weights) return null;
  const sizes = plan.links.map((link, i) => {
    const source = link.layer === 1 ? example.inputs?.[link.from] : example.a?.[link.layer - 2]?.[link.from];
    const cotangent = example.dz?.[link.layer - 1]?.[link.to];
    return Math.abs(weights[i] * (back ? cotangent ?? 0 : source ?? 0));
  });
  const most = Math.max(...sizes.filter(Number.isFinite), 1e-300);
  return sizes.map((size) => (size > 0 ? Math.max(0.05, 1 + Math.log10(size / most) / 4) : 0));
}
