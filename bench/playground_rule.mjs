// The reference playground's update rule under Node, for `python -m bench.playground` to measure beside the engine.
//
// Written from a description of the rule, twice: "nodes" keeps objects for neurons and links, as a network that is drawn
// is usually kept; "arrays" keeps flat Float64Arrays, about the best that JavaScript does. Reads one JSON object from
// standard input: {sizes, activation, weights: [layer][to][from], biases: [layer][to], rows: [[x …, target] …],
// batch, rate, epochs, seconds}; writes {kind: {epochsWeights, stepsPerSecond, cpuStepsPerSecond}}.

import { readFileSync } from "node:fs";

const f = { tanh: Math.tanh, relu: (z) => Math.max(0, z), identity: (z) => z };
const slope = { tanh: (z, y) => 1 - y * y, relu: (z) => (z <= 0 ? 0 : 1), identity: () => 1 };

class Nodes {
  constructor({ sizes, activation, weights, biases, rate, batch }) {
    this.rate = rate;
    this.batch = batch;
    this.layers = sizes.map((n) => Array.from({ length: n }, () => ({ y: 0, z: 0, dy: 0, dz: 0, bias: 0, sum: 0, count: 0, links: [], out: [] })));
    weights.forEach((rows, l) => rows.forEach((row, j) => {
      const to = this.layers[l + 1][j];
      to.bias = biases[l][j];
      to.f = f[l === weights.length - 1 ? "tanh" : activation];
      to.slope = slope[l === weights.length - 1 ? "tanh" : activation];
      row.forEach((w, i) => {
        const link = { from: this.layers[l][i], to, w, sum: 0, count: 0, d: 0 };
        to.links.push(link);
        this.layers[l][i].out.push(link);
      });
    }));
  }
  epoch(rows) {
    const { layers } = this;
    rows.forEach((row, number) => {
      layers[0].forEach((node, i) => { node.y = row[i]; });
      for (let l = 1; l < layers.length; l++) {
        for (const node of layers[l]) {
          node.z = node.bias;
          for (const link of node.links) node.z += link.w * link.from.y;
          node.y = node.f(node.z);
        }
      }
      const last = layers[layers.length - 1][0];
      last.dy = last.y - row[row.length - 1];
      for (let l = layers.length - 1; l > 0; l--) {
        for (const node of layers[l]) {
          node.dz = node.dy * node.slope(node.z, node.y);
          node.sum += node.dz;
          node.count++;
          for (const link of node.links) {
            link.d = node.dz * link.from.y;
            link.sum += link.d;
            link.count++;
          }
        }
        if (l === 1) continue;
        for (const node of layers[l - 1]) {
          node.dy = 0;
          for (const link of node.out) node.dy += link.w * link.to.dz;
        }
      }
      if ((number + 1) % this.batch === 0) this.update();
    });
  }
  update() {
    for (const layer of this.layers.slice(1)) {
      for (const node of layer) {
        node.bias -= (this.rate * node.sum) / node.count;
        node.sum = 0;
        node.count = 0;
        for (const link of node.links) {
          link.w -= (this.rate / link.count) * link.sum;
          link.sum = 0;
          link.count = 0;
        }
      }
    }
  }
  weights() { return this.layers.slice(1).map((layer) => layer.map((node) => node.links.map((link) => link.w))); }
}

class Arrays {
  constructor({ sizes, activation, weights, biases, rate, batch }) {
    Object.assign(this, { sizes, rate, batch, activation });
    const flat = (rows) => Float64Array.from(rows.flat());
    this.w = weights.map(flat);
    this.b = biases.map((row) => Float64Array.from(row));
    this.sw = this.w.map((w) => new Float64Array(w.length));
    this.sb = this.b.map((b) => new Float64Array(b.length));
    this.y = sizes.map((n) => new Float64Array(n));
    this.z = sizes.map((n) => new Float64Array(n));
    this.dy = sizes.map((n) => new Float64Array(n));
    this.tanh = weights.map((_, l) => l === weights.length - 1 || activation === "tanh");
  }
  epoch(rows) {
    const { sizes, w, b, sw, sb, y, z, dy, tanh } = this;
    const last = sizes.length - 1;
    for (let number = 0; number < rows.length; number++) {
      const row = rows[number];
      for (let i = 0; i < sizes[0]; i++) y[0][i] = row[i];
      for (let l = 0; l < last; l++) {
        const n = sizes[l], wl = w[l], from = y[l], to = y[l + 1], zl = z[l + 1], bl = b[l];
        for (let j = 0; j < sizes[l + 1]; j++) {
          let total = bl[j];
          for (let i = 0; i < n; i++) total += wl[j * n + i] * from[i];
          zl[j] = total;
          to[j] = tanh[l] ? Math.tanh(total) : Math.max(0, total);
        }
      }
      dy[last][0] = y[last][0] - row[sizes[0]];
      for (let l = last - 1; l >= 0; l--) {
        const n = sizes[l], wl = w[l], from = y[l], to = y[l + 1], zl = z[l + 1], dt = dy[l + 1], df = dy[l], swl = sw[l], sbl = sb[l];
        df.fill(0);
        for (let j = 0; j < sizes[l + 1]; j++) {
          const dz = dt[j] * (tanh[l] ? 1 - to[j] * to[j] : zl[j] <= 0 ? 0 : 1);
          sbl[j] += dz;
          for (let i = 0; i < n; i++) {
            swl[j * n + i] += dz * from[i];
            df[i] += wl[j * n + i] * dz;
          }
        }
      }
      if ((number + 1) % this.batch === 0) this.update();
    }
  }
  update() {
    const scale = this.rate / this.batch;
    for (let l = 0; l < this.w.length; l++) {
      for (let k = 0; k < this.w[l].length; k++) this.w[l][k] -= scale * this.sw[l][k];
      for (let k = 0; k < this.b[l].length; k++) this.b[l][k] -= scale * this.sb[l][k];
      this.sw[l].fill(0);
      this.sb[l].fill(0);
    }
  }
  weights() {
    return this.w.map((w, l) => Array.from({ length: this.sizes[l + 1] }, (_, j) => Array.from(w.subarray(j * this.sizes[l], (j + 1) * this.sizes[l]))));
  }
}

const job = JSON.parse(readFileSync(0, "utf8"));
const perEpoch = Math.floor(job.rows.length / job.batch);
const found = {};
for (const [name, Kind] of Object.entries({ nodes: Nodes, arrays: Arrays })) {
  const net = new Kind(job);
  for (let e = 0; e < job.epochs; e++) net.epoch(job.rows);
  const after = net.weights();
  const warm = performance.now() + 300 * job.seconds;
  while (performance.now() < warm) net.epoch(job.rows);
  const cpu = process.cpuUsage(), began = performance.now();
  let epochs = 0;
  while (performance.now() - began < 1000 * job.seconds) {
    for (let e = 0; e < 20; e++) net.epoch(job.rows);
    epochs += 20;
  }
  const used = process.cpuUsage(cpu);
  found[name] = {
    weights: after, stepsPerSecond: (epochs * perEpoch) / ((performance.now() - began) / 1000),
    cpuStepsPerSecond: (epochs * perEpoch) / ((used.user + used.system) / 1e6),
  };
}
console.log(JSON.stringify(found));
