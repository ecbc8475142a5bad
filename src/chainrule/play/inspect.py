"""What a frame carries: pictures of what neurons do over the plane, gradients, updates, losses, confusion.

A frame is the length of a JSON header (u32, little-endian), the header padded with spaces to a multiple of 8, then the
sections that it lists, each at a multiple of 8 bytes behind the header.  Pictures are bytes: 0 for NaN, 1 … 255 for
-1 … 1, row 0 at the top (x2 = 6), column 0 at the left (x1 = -6).

Parts that cost much are made anew only when as much time has gone by as keeps them to a share of it, so that a large
network's frames stay as frequent as a small one's.
Does not do: drawing.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import time
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.play.context import Context
from chainrule.play.network import Network, bias_of
from chainrule.play.trainer import Measured

Array = Any

REACH = 6.0  # the plane is [-6, 6] in both directions
_LARGE = 1e12  # weights, above which float32 may overflow on the way through the layers
_SHARE = 0.25  # of the time, for parts that cost much


@dataclasses.dataclass(frozen=True)
class View:
    """What the page asked frames to carry; see the message ``view``."""

    colour: str = "weight"
    grid: int = 50
    thumbnails: int = 16
    discretise: bool = False
    hover: tuple[int, int] | None = None
    gradients: bool = True
    cotangents: bool = False
    test: bool = False


@dataclasses.dataclass
class Budget:
    """Whether a part is due: it may take a share of the time that goes by.  Made in a ``with`` block, it is timed."""

    last: float = 0.0
    cost: float = 0.0

    def due(self) -> bool:
        """Whether enough time has gone by since it was made."""
        return time.perf_counter() - self.last >= self.cost / _SHARE

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.last = time.perf_counter()
        self.cost = self.last - self._began


def frame(header: dict[str, Any], sections: dict[str, Array]) -> bytes:
    """The bytes of a frame."""
    listed, parts, offset = [], [], 0
    for name, array in sections.items():
        kind = {"u": "u1", "f": f"f{array.dtype.itemsize}"}[array.dtype.kind]
        data = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).tobytes()
        listed.append({"name": name, "dtype": kind, "shape": list(array.shape), "offset": offset})
        parts.append(data + b"\0" * (-len(data) % 8))
        offset += len(parts[-1])
    text = json.dumps({**header, "sections": listed}, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-(4 + len(text)) % 8)
    return b"".join([struct.pack("<I", len(text)), text, *parts])


def number(value: float | None) -> float | None:
    """A number as JSON has it: None where it is not finite."""
    return None if value is None or not np.isfinite(value) else float(value)


def loss_number(value: float) -> float | str | None:
    """A loss as JSON has it: infinity in a word; None where it is unknown, or of no points."""
    return number(value) if np.isfinite(value) or np.isnan(value) else "inf" if value > 0 else "-inf"


def shades(values: Array, discretise: bool = False) -> Array:
    """Values as bytes: 1 … 255 for -1 … 1, 0 for NaN."""
    with np.errstate(all="ignore"):
        if discretise:
            values = np.where(np.isnan(values), values, np.where(values >= 0, 1.0, -1.0))
        scaled = np.rint(128 + 127 * np.clip(values, -1, 1))
    return np.where(np.isnan(scaled), 0, scaled).astype(np.uint8)


def grid_points(side: int) -> Array:
    """The centres of ``side`` × ``side`` squares of the plane, row by row from the top left."""
    centres = (np.arange(side) + 0.5) / side * (2 * REACH) - REACH
    x, y = np.meshgrid(centres, -centres)
    return np.stack([x.reshape(-1), y.reshape(-1)], axis=1)


class Pictures:
    """Pictures of a network over the plane, its inputs there remembered while features and scaling stay."""

    def __init__(self) -> None:
        self._tables: object = None
        self._inputs: dict[int, Array] = {}

    def inputs(self, context: Context, side: int) -> Array:
        """The network's inputs at the grid's points, float32."""
        if self._tables is not context.tables:
            self._tables, self._inputs = context.tables, {}
        if side not in self._inputs:
            self._inputs = dict(list(self._inputs.items())[-3:])
            self._inputs[side] = context.inputs(grid_points(side)).astype(np.float32)
        return self._inputs[side]

    @np.errstate(all="ignore")
    def sections(self, context: Context, network: Network, view: View) -> dict[str, Array]:
        """``output`` and ``nodes`` (and ``confidence`` for more than two classes)."""
        if context.data.images:
            return _weights_as_images(network)
        small = _single(network)
        found: dict[str, Array] = {}
        side = view.grid
        x = self.inputs(context, side)
        after = [x, *small.forward(x)[1]]
        after[-1] = np.asarray(context.task.shown(after[-1]))
        found.update(self._output(context, after, view, side))
        if view.thumbnails:
            if side % view.thumbnails:
                x = self.inputs(context, view.thumbnails)
                after = [x, *small.forward(x)[1]]
                after[-1] = np.asarray(context.task.shown(after[-1]))
                blocks = [a.T.reshape(-1, view.thumbnails, view.thumbnails) for a in after]
            else:
                blocks = [_block_means(a, side, view.thumbnails) for a in after]
            scaled = [_contrast(blocks[0]), *blocks[1:]]
            found["nodes"] = np.concatenate([shades(b, view.discretise) for b in scaled])
        return found

    def _output(self, context: Context, after: list[Array], view: View, side: int) -> dict[str, Array]:
        if view.hover is not None:
            layer, index = view.hover
            if layer + 1 < len(after) and index < after[layer + 1].shape[1]:
                return {"output": shades(after[layer + 1][:, index].reshape(side, side), view.discretise)}
        shown = after[-1]
        if context.task.outputs == 1:
            return {"output": shades(shown[:, 0].reshape(side, side), view.discretise)}
        probabilities = shown if context.task.loss == "cross-entropy" else nn.softmax(4 * shown)
        best = np.argmax(probabilities, axis=1)
        sure = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0]
        bad = np.isnan(probabilities).any(axis=1)
        classes = np.where(bad, 255, best).astype(np.uint8).reshape(side, side)
        confidence = np.where(bad, 0, np.rint(255 * np.nan_to_num(sure))).astype(np.uint8).reshape(side, side)
        return {"output": classes, "confidence": confidence}


def floats(values: Array) -> Array:
    """Numbers in float32, or as they are where that can't hold one of them."""
    with np.errstate(all="ignore"):
        single = values.astype(np.float32)
    return values if (np.isinf(single) & np.isfinite(values)).any() else single


def _single(network: Network) -> Network:
    """The network in float32: enough for pictures, and twice as fast; as it is where weights are very large."""
    if max(float(np.abs(layer.weight).max()) for layer in network.layers) > _LARGE:
        return network
    layers = tuple(nn.Linear(a.weight.astype(np.float32), bias_of(a).astype(np.float32)) for a in network.layers)
    return Network(layers, network.activations)


def _block_means(values: Array, side: int, small: int) -> Array:
    """(n, side · side) by neurons as pictures of ``small`` squares a side."""
    step = side // small
    blocks = values.T.reshape(-1, small, step, small, step)
    return blocks.mean(axis=(2, 4))


def _contrast(inputs: Array) -> Array:
    """Inputs that reach beyond ±1 on the plane scaled into it, so that their pictures show a slope."""
    top = np.nanmax(np.abs(np.where(np.isfinite(inputs), inputs, np.nan)), axis=(1, 2), keepdims=True, initial=0)
    return inputs / np.maximum(top, 1)


def _weights_as_images(network: Network) -> dict[str, Array]:
    """The first layer's weights as 8 × 8 images, each scaled by its largest."""
    weight = network.layers[0].weight
    side = int(np.sqrt(weight.shape[0]))
    images = weight.T.reshape(-1, side, side)
    top = np.maximum(np.abs(images).max(axis=(1, 2), keepdims=True), 1e-12)
    return {"nodes": shades(images / top)}


def measured_sections(network: Network, found: Measured, example: int, cotangents: bool) -> dict[str, Array]:
    """``gradients``, ``bias_gradients``, ``updates``, ``layer_norms``; ``cotangents`` and ``activations`` if asked."""
    links = list(zip(network.layers, found.gradient.layers, found.update.layers, strict=True))
    with np.errstate(all="ignore"):
        ratio = [np.abs(u.weight) / np.maximum(np.abs(w.weight), 1e-12) for w, _, u in links]
    sections = {
        "gradients": _flat([g.weight.T for _, g, _ in links]),
        "bias_gradients": _flat([bias_of(g) for _, g, _ in links]),
        "updates": _flat([r.T for r in ratio]),
        "layer_norms": floats(np.array([_norm(g) for _, g, _ in links])),
    }
    if cotangents:
        at = min(example, len(found.losses) - 1)
        sections["cotangents"] = _flat([dz[at] for dz, _ in found.cotangents])
        sections["activations"] = _flat([a[at] for a in found.after])
    return sections


def _flat(arrays: list[Array]) -> Array:
    with np.errstate(all="ignore"):
        return floats(np.concatenate([a.reshape(-1) for a in arrays]))


def _norm(layer: nn.Linear) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.sum(np.square(layer.weight)) + np.sum(np.square(bias_of(layer)))))


@np.errstate(all="ignore")
def confusion(context: Context, network: Network) -> Array | None:
    """How often which class (row) was taken for which (column): of the test rows, or of the training rows alone."""
    task, count = context.task, context.count
    if not task.classes:
        return None
    test = len(context.tables.x_test) > 0
    x = context.tables.x_test if test else context.tables.x[:count]
    if not len(x):
        return None
    labels = context.data.labels[count:] if test else context.data.labels[:count]
    table = np.zeros((task.classes, task.classes), np.float32)
    np.add.at(table, (task.indices(labels), task.decided(network(x))), 1)
    return table
