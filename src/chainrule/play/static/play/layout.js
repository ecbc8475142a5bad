// Where everything of the network stands: columns of nodes, links between them as cubic curves. Pure geometry, no drawing.

const HEAD = 74; // above the nodes: the layer's name, its buttons and its activation
const FOOT = 40; // below: the layer's gradient norm
const MARGIN = 12;

/** Columns as {kind, nodes: [{label, active}]} laid out in `width`: {width, height, columns, nodes, links, size, pitch}. */
export function layout(columns, width) {
  const narrow = width < 560;
  const rows = Math.max(...columns.map((column) => columnRows(column)));
  const pitch = Math.max(19, Math.min(narrow ? 44 : width > 1000 ? 60 : 52, Math.floor(448 / rows)));
  const size = pitch > 30 ? pitch - 12 : pitch - 4;
  const labels = 8 + 7.2 * Math.max(0, ...columns[0].nodes.map((node) => Math.min(12, (node.label ?? "").length)));
  const left = MARGIN + (columns[0].kind === "pixels" ? 0 : labels);
  const block = columns[0].kind === "pixels" ? 8 * 14 : size; // a block of pixels is wider than a node
  const least = narrow ? 84 : 92;
  const full = Math.max(width, left + block + least * (columns.length - 1) + MARGIN + 56);
  const step = (full - left - block / 2 - MARGIN - 56) / Math.max(1, columns.length - 1);
  const tall = rows * pitch;
  const nodes = columns.map((column, c) => {
    const x = left + block / 2 + c * step;
    if (column.kind === "pixels") return pixels(column, x, HEAD + tall / 2);
    const top = HEAD + (tall - column.nodes.length * pitch) / 2 + pitch / 2;
    return column.nodes.map((node, i) => ({ ...node, layer: c, index: i, x, y: top + i * pitch, size }));
  });
  return { width: full, height: HEAD + tall + FOOT, head: HEAD, foot: FOOT, nodes, size, pitch, step, links: links(nodes) };
}

function columnRows(column) {
  return column.kind === "pixels" ? 5 : column.nodes.length;
}

function pixels(column, x, y) {
  const side = Math.round(Math.sqrt(column.nodes.length));
  return column.nodes.map((node, i) => ({
    ...node, layer: 0, index: i, size: 13, pixel: true, x: x + ((i % side) - (side - 1) / 2) * 14, y: y + (Math.floor(i / side) - (side - 1) / 2) * 14,
  }));
}

/** All links in the order of the weights: layer by layer, the neurons of a layer in order, the inputs of a neuron in order. */
function links(nodes) {
  const found = [];
  for (let layer = 1; layer < nodes.length; layer++) {
    const sources = nodes[layer - 1].filter((node) => node.active !== false);
    for (const to of nodes[layer]) {
      sources.forEach((from, source) => {
        const x0 = from.x + from.size / 2;
        const x1 = to.x - to.size / 2;
        const bend = (x1 - x0) * 0.45;
        found.push({ layer, to: to.index, from: source, x0, y0: from.y, x1, y1: to.y, c0: x0 + bend, c1: x1 - bend });
      });
    }
  }
  return found;
}

/** The point of a link's curve at share `t` of its way. */
export function along(link, t) {
  const u = 1 - t;
  const a = u * u * u, b = 3 * u * u * t, c = 3 * u * t * t, d = t * t * t;
  return [a * link.x0 + b * link.c0 + c * link.c1 + d * link.x1, (a + b) * link.y0 + (c + d) * link.y1];
}

/** The index of the link nearest to (x, y) within `reach` pixels, or -1. */
export function nearest(plan, x, y, reach = 7) {
  let best = reach;
  let found = -1;
  plan.links.forEach((link, i) => {
    if (x < link.x0 || x > link.x1) return;
    if (y < Math.min(link.y0, link.y1) - reach || y > Math.max(link.y0, link.y1) + reach) return;
    // The curve's x grows with t, so its point above x is found by halving.
    let low = 0, high = 1;
    for (let k = 0; k < 12; k++) {
      const middle = (low + high) / 2;
      if (along(link, middle)[0] < x) low = middle; else high = middle;
    }
    const [px, py] = along(link, low);
    const [qx, qy] = along(link, Math.min(1, low + 0.02));
    const slope = (qy - py) / Math.max(1e-6, qx - px);
    const distance = Math.abs(py - y) / Math.hypot(1, slope);
    if (distance < best) {
      best = distance;
      found = i;
    }
  });
  return found;
}
