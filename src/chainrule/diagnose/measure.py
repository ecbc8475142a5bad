"""Numbers of one forward and one backward pass, per use of a layer and per parameter.

The cotangents of inner lines are taken by adding a *probe*, an input that is zero, to each line of interest: the
cotangent of the probe is that of the line.  Afterwards the probes are cut out again, so that what runs is an ordinary
backward pass with more outputs.  All statistics are computed in the same graph, so that one compiled program returns a
few hundred numbers and no activations.

Per-example gradients are not formed: for z = h·W the squared norm of example i's gradient is ‖hᵢ‖²‖δᵢ‖² (Goodfellow,
"Efficient per-example gradient computations", 2015).

Does not do: judging (see ``verdicts``), singular values and curvature (see ``probes``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import is_differentiable
from chainrule.diagnose.structure import Activation, Block, Network, piece_between
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import run
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import vjp_graph

# A unit is saturated where its slope is below this share of the largest slope of its activation.
SATURATED = 0.05


@dataclasses.dataclass(frozen=True)
class BlockStats:
    """Of one use of a layer: its activations' mean, standard deviation and range; shares of values that are zero or
    saturated and of units that are off for all rows; 2-norms of the loss's gradient at the pre-activation and, before
    the activation's slope was multiplied in, after it; the pre-activation's root mean square."""

    mean: float
    std: float
    low: float
    high: float
    zero: float
    saturated: float
    dead: float
    delta: float
    delta_after: float
    rms: float


@dataclasses.dataclass(frozen=True)
class ParameterStats:
    """2-norm and standard deviation of a parameter's gradient; 2-norms of its weight and of its update; the cosine
    between the update and -weight, 1 where decay is all that moves it and 0 where it is the smaller part.  NaN where
    there is no update."""

    gradient: float
    spread: float
    weight: float
    update: float = float("nan")
    decay: float = float("nan")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One step: everything measured on one batch at one state of the model.

    ``per_example``: mean over rows of the squared norm of each row's gradient, NaN where it is not known.
    ``predicted``: ⟨gradient, update⟩, the change of the loss to first order; ``after``: the loss after the update.
    ``reach``: per recurrent layer, ‖(∂z_T/∂z_t)ᵀv‖/‖v‖ for each time step t.
    """

    step: int
    rows: int
    loss: float
    blocks: tuple[BlockStats, ...]
    parameters: tuple[ParameterStats, ...]
    per_example: float
    gradient: float
    predicted: float = float("nan")
    after: float = float("nan")
    reach: tuple[tuple[float, ...], ...] = ()

    @property
    def finite(self) -> bool:
        """Whether the loss and all gradients are finite."""
        return bool(np.isfinite([self.loss, self.gradient, *(b.delta for b in self.blocks)]).all())


def with_cotangents(graph: Graph, wrt: Sequence[int], targets: Sequence[int], seed: int | None = None) -> Graph:
    """``graph`` run backwards from its first output, or from the line ``seed``.

    Inputs: those of ``graph``, then the cotangent of what it starts from.  Outputs: the start, the cotangents of the
    inputs ``wrt``, the cotangents of the lines ``targets``, their values.
    """
    builder = Builder()
    new: list[Any] = [builder.input(spec, graph.input_name(i)) for i, spec in enumerate(graph.input_specs)]
    probes = {t: builder.input(graph.lines[t].spec, f"probe of {t}") for t in targets}
    for index in range(graph.inputs, len(graph.lines)):
        op, args, attrs, spec, source, of = graph.lines[index]
        if op.name == "item":
            value: Any = new[args[0]][dict(attrs)["position"]]
        else:
            value = builder.wrap(builder.append(op, tuple([new[a].index for a in args]), attrs, spec, source, of))
        new.append(value + probes[index] if index in probes else value)
    start = graph.outputs[0] if seed is None else seed
    probed, _ = builder.finish([new[start], *(new[t] for t in targets)])
    inputs = graph.inputs
    whole = vjp_graph(probed, (*wrt, *range(inputs, inputs + len(probes))), (0,))
    shown = len(targets)
    order = [0, *range(1 + shown, len(whole.outputs)), *range(1, 1 + shown)]
    return _without_probes(whole, inputs, len(probes), order)


def _without_probes(whole: Graph, first: int, count: int, order: Sequence[int]) -> Graph:
    """``whole`` without the inputs ``first`` … ``first + count``, which are only ever added to something."""
    builder = Builder()
    new: dict[int, int] = {}
    for index, line in enumerate(whole.lines):
        probes = [a for a in line.args if first <= a < first + count]
        if index < whole.inputs:
            if not first <= index < first + count:
                new[index] = builder.input(line.spec, whole.input_name(index)).index
        elif probes and line.op.name == "add":
            new[index] = new[next(a for a in line.args if a != probes[0])]
        else:
            args = tuple([new[a] for a in line.args])
            new[index] = builder.append(line.op, args, line.attrs, line.spec, line.source)
    return builder.finish([Expr(builder, new[whole.outputs[i]]) for i in order])[0]


def make_measure(network: Network, rows: int) -> Callable[..., Any]:
    """``measure(*inputs of the graph) -> (loss, block rows, parameter rows, per example, gradients)``, to be jitted."""
    graph, count = network.graph, network.parameters
    targets = list(dict.fromkeys(t for b in network.blocks for t in (b.z, *(a.after for a in b.activations))))
    whole = with_cotangents(graph, range(count), targets)
    data = [d for b in network.blocks for d in b.data]
    values_of = values_graph(graph, data)
    seed = np.ones((), graph.output_specs[0].dtype)

    def measure(*inputs: Any) -> Any:
        results = run(whole, [*inputs, seed])
        gradients, rest = results[1 : 1 + count], results[1 + count :]
        cotangents = dict(zip(targets, rest, strict=False))
        values = dict(zip(targets, rest[len(targets) :], strict=True))
        known = dict(zip(data, run(values_of, list(inputs)), strict=True))
        slopes = _Slopes(network, values, inputs)
        blocks = [_block_row(block, values, cotangents, slopes) for block in network.blocks]
        table = np.stack(blocks) if blocks else np.zeros((0, 10))
        parameters = np.stack([_parameter_row(g, w) for g, w in zip(gradients, inputs, strict=False)])
        per_example = _per_example(network, known, cotangents, rows)
        return results[0], table, parameters, per_example, tuple(gradients)

    return measure


def values_graph(graph: Graph, indices: Sequence[int]) -> Graph:
    """``graph`` with the lines ``indices`` for outputs."""
    builder = Builder()
    new: list[Any] = [builder.input(spec) for spec in graph.input_specs]
    for line in graph.lines[graph.inputs :]:
        args = tuple([new[a].index for a in line.args])
        new.append(Expr(builder, builder.append(line.op, args, line.attrs, line.spec, line.source)))
    return builder.finish([new[i] for i in indices])[0]


class _Slopes:
    """Elementwise derivatives of activations, by forward mode through their own lines with tangents of 1."""

    def __init__(self, network: Network, values: dict[int, Any], inputs: Sequence[Any]) -> None:
        self.network, self.values, self.inputs = network, values, inputs

    def of(self, activation: Activation) -> Any:
        """The derivative at every element, of the shape of the activation."""
        graph = self.network.graph
        before, after = activation.before, activation.after
        if before not in self.values:
            self.values[before] = run(values_graph(graph, [before]), list(self.inputs))[0]
        piece, kept = piece_between(graph, (before,), after)
        others = run(values_graph(graph, kept), list(self.inputs)) if kept else []
        ones = np.ones_like(self.values[before])
        return run(jvp_graph(piece, (0,)), [self.values[before], *others, ones])[1]


def _block_row(block: Block, values: dict[int, Any], cotangents: dict[int, Any], slopes: _Slopes) -> Any:
    """The numbers of :class:`BlockStats`, stacked."""
    z, delta = values[block.z], cotangents[block.z]
    seen = [values[a.after] for a in block.activations] or [z]
    size = sum(int(np.prod(a.shape)) for a in seen)
    mean = sum(np.sum(a) for a in seen) / size
    square = sum(np.sum((a - mean) ** 2) for a in seen) / size
    zero = sum(np.sum((a == 0).astype(z.dtype)) for a in seen) / size
    saturated = dead = 0.0 * mean
    for activation, a in zip(block.activations, seen, strict=False):
        slope = np.abs(slopes.of(activation))
        flat = (slope < SATURATED * activation.curve.steepest).astype(z.dtype)
        saturated = saturated + np.sum(flat) / size
        units = np.max(np.reshape(slope, (-1, slope.shape[-1] if slope.ndim else 1)), axis=0)
        dead = dead + np.mean((units == 0).astype(z.dtype)) * (int(np.prod(a.shape)) / size)
    low, high = seen[0].min(), seen[0].max()
    for a in seen[1:]:
        low, high = np.minimum(low, a.min()), np.maximum(high, a.max())
    after = sum(np.sum(cotangents[a.after] ** 2) for a in block.activations) if block.activations else np.sum(delta**2)
    row = [mean, np.sqrt(square), low, high, zero, saturated, dead, np.sqrt(np.sum(delta**2)), np.sqrt(after)]
    return np.stack([*row, np.sqrt(np.mean(z * z))])


def _parameter_row(gradient: Any, weight: Any) -> Any:
    spread = np.sqrt(np.mean((gradient - np.mean(gradient)) ** 2))
    return np.stack([np.sqrt(np.sum(gradient**2)), spread, np.sqrt(np.sum(weight**2))])


def _per_example(network: Network, known: dict[int, Any], cotangents: dict[int, Any], rows: int) -> Any:
    """Mean over rows of the squared norm of each row's gradient; NaN unless all layers are plain products of rows."""
    total: Any = None
    for layer in network.layers:
        block = network.blocks[layer.blocks[0]]
        delta = cotangents[block.z]
        h = known[block.data[0]]
        plain = len(layer.blocks) == 1 and len(block.data) == 1 and delta.ndim == 2 and h.ndim == 2
        if not plain or delta.shape[0] != rows or h.shape[0] != rows or not is_differentiable(h.dtype):
            return np.asarray(np.nan)
        inputs = np.sum(h * h, axis=1) + (1.0 if layer.biases else 0.0)
        term = np.sum(np.sum(delta * delta, axis=1) * inputs) * float(rows)
        total = term if total is None else total + term
    return np.asarray(np.nan) if total is None else total


def measurement(step: int, rows: int, results: Any) -> Measurement:
    """What :func:`make_measure`'s function returned, as a :class:`Measurement`."""
    loss, table, parameters, per_example, _ = results
    blocks = tuple(BlockStats(*row) for row in np.asarray(table, np.float64).tolist())
    weights = tuple(ParameterStats(*row) for row in np.asarray(parameters, np.float64).tolist())
    gradient = float(np.sqrt(sum(p.gradient**2 for p in weights)))
    return Measurement(step, rows, float(loss), blocks, weights, float(per_example), gradient)


def step_numbers(gradients: Sequence[Any], before: Sequence[Any], after: Sequence[Any], bare: Sequence[Any]) -> Any:
    """Per parameter, to be jitted: ‖u‖, ⟨g, u⟩, ⟨u, w⟩ and ‖u - b‖ of the update u that took w from ``before`` to
    ``after``, the gradient g, and the update b that the optimizer makes where all parameters are 0: without decay."""
    rows = []
    for gradient, old, new, without in zip(gradients, before, after, bare, strict=True):
        change = new - old
        by_decay = change - without
        rows.append(np.stack([np.sqrt(np.sum(change * change)), np.sum(gradient * change), np.sum(change * old),
                              np.sqrt(np.sum(by_decay * by_decay))]))  # fmt: skip
    return np.stack(rows)


def with_update(found: Measurement, numbers: Any, loss_after: float) -> Measurement:
    """``found`` with the :func:`step_numbers` of the step that was taken."""
    rows = []
    for stats, (size, _, along, by_decay) in zip(found.parameters, np.asarray(numbers, np.float64), strict=True):
        scale = size * stats.weight
        towards_zero = -along if by_decay > 0.5 * size else 0.0
        decay = float(towards_zero / scale) if scale else float("nan")
        rows.append(dataclasses.replace(stats, update=float(size), decay=decay))
    predicted = float(np.sum(np.asarray(numbers, np.float64)[:, 1]))
    return dataclasses.replace(found, parameters=tuple(rows), predicted=predicted, after=loss_after)
