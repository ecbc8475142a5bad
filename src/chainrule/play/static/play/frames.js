// Reads a binary frame: a JSON header with its length before it, then arrays, which are viewed in place.
// Does not do: copies, or a check of what the numbers mean.

const VIEWS = { u1: Uint8Array, f4: Float32Array, f8: Float64Array };

/** The header of a frame's bytes, with `arrays` (name → typed array) and `shapes` (name → list of lengths). */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  const arrays = {};
  const shapes = {};
  for (const { name, dtype, shape, offset } of header.sections ?? []) {
    const size = shape.reduce((product, n) => product * n, 1);
    arrays[name] = new VIEWS[dtype](buffer, start + offset, size);
    shapes[name] = shape;
  }
  return { ...header, arrays, shapes };
}
