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
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import is_differentiable
from chainrule.diagnose.structure import Activation, Block, Network, piece_between
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph
from chainrule.ops.expr import Expr
from chainrule.optim import Optimizer, apply_updates
from chainrule.trace.tracer import run
from chainrule.transforms.forward import jvp_graph
from chainrule.transforms.reverse import vjp_graph

# A unit is saturated where its slope is below this share of the largest slope of its activation.
SATURATED = 0.05
_BLOCK, _PARAMETER, _STEP = 10, 3, 4  # numbers for each block, parameter, and parameter's update
MULTIPLES = tuple(10.0**power for power in range(1, 7))  # of a step, to see how much longer it may be


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
    """``measure(*inputs of the graph) -> (numbers, gradients)``, to be traced; :func:`measurement` reads the numbers.

    They are single numbers, not yet averages and roots, which cost a line each: loss, mean squared norm of the rows'
    gradients, ten for each block, three for each parameter.
    """
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
        numbers = [results[0], _per_example(network, known, cotangents, rows)]
        for block in network.blocks:
            numbers += _block_numbers(block, values, cotangents, slopes)
        for gradient, weight in zip(gradients, inputs, strict=False):
            numbers += [_squares(gradient), _squares(gradient - np.mean(gradient)), _squares(weight)]
        return numbers, gradients

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


def _squares(array: Any) -> Any:
    return np.sum(array * array)


def _block_numbers(block: Block, values: dict[int, Any], cotangents: dict[int, Any], slopes: _Slopes) -> list[Any]:
    """What :func:`_block_stats` makes :class:`BlockStats` of."""
    z, delta = values[block.z], cotangents[block.z]
    seen = [values[a.after] for a in block.activations] or [z]
    size = sum(int(np.prod(a.shape)) for a in seen)
    mean = sum(np.sum(a) for a in seen) / size
    square = sum(_squares(a - mean) for a in seen)
    zero = sum(np.sum((a == 0).astype(z.dtype)) for a in seen)
    saturated = dead = np.zeros((), z.dtype)
    for activation, a in zip(block.activations, seen, strict=False):
        slope = np.abs(slopes.of(activation))
        saturated = saturated + np.sum((slope < SATURATED * activation.curve.steepest).astype(z.dtype))
        units = np.max(np.reshape(slope, (-1, slope.shape[-1] if slope.ndim else 1)), axis=0)
        dead = dead + np.mean((units == 0).astype(z.dtype)) * int(np.prod(a.shape))
    low, high = seen[0].min(), seen[0].max()
    for a in seen[1:]:
        low, high = np.minimum(low, a.min()), np.maximum(high, a.max())
    arrived = _squares(delta)
    after = sum(_squares(cotangents[a.after]) for a in block.activations) if block.activations else arrived
    return [mean, square, low, high, zero, saturated, dead, arrived, after, _squares(z)]


def _block_stats(network: Network, block: Block, numbers: Sequence[float]) -> BlockStats:
    mean, square, low, high, zero, saturated, dead, delta, after, whole = numbers
    lines = network.graph.lines
    size = sum(int(np.prod(lines[a.after].spec.shape)) for a in block.activations)
    own = int(np.prod(lines[block.z].spec.shape))
    size = size or own
    return BlockStats(mean, math.sqrt(square / size), low, high, zero / size, saturated / size, dead / size,
                      math.sqrt(delta), math.sqrt(after), math.sqrt(whole / own))  # fmt: skip


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


def measurement(network: Network, step: int, rows: int, numbers: Sequence[float]) -> Measurement:
    """What :func:`make_measure`'s function returned, as a :class:`Measurement`."""
    loss, per_example, *rest = numbers
    split = _BLOCK * len(network.blocks)
    blocks = [
        _block_stats(network, block, row)
        for block, row in zip(network.blocks, _rows(rest[:split], _BLOCK), strict=True)
    ]
    weights, squares = [], 0.0
    for (gradient, spread, weight), shape in zip(_rows(rest[split:], _PARAMETER), _shapes(network), strict=True):
        size = max(int(np.prod(shape)), 1)
        weights.append(ParameterStats(math.sqrt(gradient), math.sqrt(spread / size), math.sqrt(weight)))
        squares += gradient
    return Measurement(step, rows, loss, tuple(blocks), tuple(weights), per_example, math.sqrt(squares))


def _rows(numbers: Sequence[float], width: int) -> list[Sequence[float]]:
    return [numbers[i : i + width] for i in range(0, len(numbers), width)]


def _shapes(network: Network) -> list[tuple[int, ...]]:
    return [tuple(line.spec.shape) for line in network.graph.lines[: network.parameters]]


def step_numbers(gradients: Sequence[Any], before: Sequence[Any], after: Sequence[Any], bare: Sequence[Any]) -> Any:
    """Per parameter: ‖u‖², ⟨g, u⟩, ⟨u, w⟩ and ‖u - b‖² of the update u that took w from ``before`` to ``after``,
    the gradient g, and the update b that the optimizer makes where all parameters are 0: without decay."""
    numbers = []
    for gradient, old, new, without in zip(gradients, before, after, bare, strict=True):
        change = new - old
        numbers += [_squares(change), np.sum(gradient * change), np.sum(change * old), _squares(change - without)]
    return numbers


def with_update(found: Measurement, numbers: Sequence[float], loss_after: float) -> Measurement:
    """``found`` with the :func:`step_numbers` of the step that was taken."""
    rows, predicted = [], 0.0
    for stats, (square, change, along, decayed) in zip(found.parameters, _rows(numbers, _STEP), strict=True):
        size = math.sqrt(square)
        scale = size * stats.weight
        towards_zero = -along if math.sqrt(decayed) > 0.5 * size else 0.0
        rows.append(dataclasses.replace(stats, update=size, decay=towards_zero / scale if scale else float("nan")))
        predicted += change
    return dataclasses.replace(found, parameters=tuple(rows), predicted=predicted, after=loss_after)


def make_look(
    network: Network, rows: int, optimizer: Optimizer, structure: trees.Structure
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What a training is watched with: two functions ``(optimizer state, *inputs of the graph)``, to be traced.

    The first measures the step that the optimizer would take now and returns one vector, for :func:`read_look`; its
    first number is the largest ‖update‖²/‖weight‖² of all weights, then come the loss behind the step and the loss.
    The second returns the losses behind multiples of that step.
    """
    measure, count = make_measure(network, rows), network.parameters
    weights = sorted({i for layer in network.layers for i in layer.weights}) or list(range(count))
    seed = np.ones((), network.graph.output_specs[0].dtype)

    def stepped(state: Any, gradients: Sequence[Any], inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The parameters behind the step, and the update where all parameters are 0."""
        gradient = trees.unflatten(structure, list(gradients))
        model = trees.unflatten(structure, list(inputs[:count]))
        updates, _ = optimizer.update(gradient, state, model)
        bare, _ = optimizer.update(gradient, state, trees.map(np.zeros_like, model))
        return trees.leaves(apply_updates(model, updates)), trees.leaves(bare)

    def look(state: Any, *inputs: Any) -> Any:
        numbers, gradients = measure(*inputs)
        new, bare = stepped(state, gradients, inputs)
        after = run(network.graph, [*new, *inputs[count:]])[0]
        steps = step_numbers(gradients, inputs[:count], new, bare)
        sizes = np.stack([numbers[len(numbers) - _PARAMETER * (count - i) + 2] for i in weights])
        moves = np.stack([steps[_STEP * i] for i in weights])
        largest = np.max(moves / np.maximum(sizes, np.finfo(sizes.dtype).tiny))
        return np.stack([largest, after, *numbers, *steps])

    def along(state: Any, *inputs: Any) -> Any:
        results = run(with_cotangents(network.graph, range(count), ()), [*inputs, seed])
        new, _ = stepped(state, results[1 : 1 + count], inputs)
        losses = []
        for multiple in MULTIPLES:
            moved = [w + np.asarray(multiple, w.dtype) * (n - w) for w, n in zip(inputs, new, strict=False)]
            losses.append(run(network.graph, [*moved, *inputs[count:]])[0])
        return np.stack(losses)

    return look, along


def read_look(network: Network, step: int, rows: int, numbers: Any) -> Measurement:
    """The numbers that :func:`make_look`'s function returned, as a :class:`Measurement`."""
    _, after, *rest = numbers.tolist()
    split = len(rest) - _STEP * network.parameters
    return with_update(measurement(network, step, rows, rest[:split]), rest[split:], after)
