"""Remedies that can be tried: from a verdict to the same training with one thing changed.

A remedy changes the model's arrays, the batch, the optimizer, or the graph of the loss (another activation, another
loss): the graph is rewritten line by line, so that plain functions can be mended as well as :mod:`chainrule.nn`.

Does not do: changing the user's code; what helps is to be written there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.base import trees
from chainrule.diagnose.findings import Findings, LayerRow, Verdict
from chainrule.diagnose.measure import values_graph
from chainrule.diagnose.report import Subject
from chainrule.diagnose.structure import Layer
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph
from chainrule.nn.init import default_for
from chainrule.ops.expr import CATALOGUE, Expr
from chainrule.optim import Optimizer, chain, clip_by_global_norm
from chainrule.trace.tracer import run

Prepare = Callable[[Any, Any], tuple[Any, Any]]
Change = Callable[[list[Any]], Any]


@dataclasses.dataclass(frozen=True)
class Setup:
    """A training: model, loss, optimizer, what is done to each batch, rows per step, and what was changed in words.

    ``measure``: the loss that both curves of a trial are drawn with, where the training loss itself was changed;
    ``on_all_rows``: it is taken on all rows instead of each batch.
    """

    model: Any
    loss: Callable[..., Any]
    optimizer: Optimizer
    prepare: Prepare | None = None
    rows: int | None = None
    change: str = ""
    measure: Callable[..., Any] | None = None
    on_all_rows: bool = False  # a curve over batches of two rows shows their noise


def remedied(verdict: Verdict, findings: Findings, subject: Subject, setup: Setup, seed: int) -> Setup | None:
    """``setup`` with the remedy of ``verdict``; None where only the user can apply it."""
    mend = _REMEDIES.get(verdict.kind)
    return None if mend is None else mend(_Case(verdict, findings, subject, setup, np.random.default_rng(seed)))


@dataclasses.dataclass(frozen=True)
class _Case:
    verdict: Verdict
    findings: Findings
    subject: Subject
    setup: Setup
    rng: np.random.Generator

    def row(self, layer: Layer) -> LayerRow:
        return next(row for row in self.findings.rows if row.name == layer.name)


# ------------------------------------------------------------------------------------------------------------- weights


def _drawn(case: _Case, activations: Mapping[str, str] | None = None) -> Any:
    """The model with all matrices drawn to suit the activation behind them, and biases of 0."""
    leaves, structure = trees.flatten(case.setup.model)
    network = case.subject.network
    fresh = list(leaves)
    for layer in network.layers:
        data = network.graph.lines[network.blocks[layer.blocks[0]].data[-1]].spec
        if data.dtype.kind in "iub":
            continue  # a table that rows are looked up in has no fan-in
        name = (activations or {}).get(layer.name, case.row(layer).activation)
        draw = nn.init.glorot_uniform if layer.output else default_for(name)
        for i in layer.weights:
            shape, dtype = np.shape(leaves[i]), leaves[i].dtype
            square = layer.recurrent and len(shape) == 2 and shape[0] == shape[1]
            if len(shape) >= 2:
                fresh[i] = nn.init.orthogonal(case.rng, shape, dtype) if square else draw(case.rng, shape, dtype)
        for i in layer.biases:
            fresh[i] = np.zeros_like(leaves[i])
    return trees.unflatten(structure, fresh)


def _redraw(case: _Case) -> Setup:
    return dataclasses.replace(
        case.setup, model=_drawn(case), change="weights drawn anew to suit the activations, biases 0"
    )


def _vanishing(case: _Case) -> Setup:
    """ReLU and He's weights where slopes are the cause; other weights where they are."""
    network = case.subject.network
    slopes = [row.slope for row in case.findings.rows if not row.output]
    changes: dict[int, Change] = {}
    names: dict[str, str] = {}
    if not case.verdict.over_time and "slope" in case.verdict.cause and slopes:
        for layer in network.layers:
            for position in () if layer.output else layer.blocks:
                for activation in network.blocks[position].activations:
                    changes[activation.after] = _relu_of(activation.before)
                    names[layer.name] = "relu"
    model = _drawn(case, names)
    if not changes:
        return dataclasses.replace(case.setup, model=model, change="weights drawn anew to suit the activations")
    loss = _rewired(case.subject, changes)
    change = "hidden activations relu, weights by he_normal"
    return dataclasses.replace(case.setup, model=model, loss=loss, change=change)


def _relu_of(before: int) -> Change:
    return lambda new: CATALOGUE["maximum"](new[before], 0.0)


def _exploding(case: _Case) -> Setup:
    if not case.verdict.over_time:
        return _redraw(case)
    return dataclasses.replace(
        case.setup, model=_drawn(case), optimizer=chain(clip_by_global_norm(1.0), case.setup.optimizer),
        change="recurrent weights drawn orthogonal, gradients clipped to a norm of 1",
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- batch


def _standardised(case: _Case) -> Setup:
    x = np.asarray(case.subject.batch[0], np.float64)
    axes = tuple(range(x.ndim - 1)) if x.ndim > 1 else (0,)
    mean, std = x.mean(axis=axes), x.std(axis=axes)
    std = np.where(std > 0, std, 1.0)

    def prepare(x: Any, y: Any) -> tuple[Any, Any]:
        return ((x - mean) / std).astype(x.dtype), y

    return dataclasses.replace(case.setup, prepare=prepare, change="each column minus its mean, by its deviation")


def _label_range(case: _Case) -> Setup | None:
    labels = np.asarray(case.subject.batch[1])
    if labels.dtype.kind in "iu":
        low, high = int(labels.min()), int(labels.max())
        line = case.subject.network.outputs[-1].blocks[-1]
        classes = case.subject.network.graph.lines[case.subject.network.blocks[line].z].spec.shape[-1]
        if low == 0 or high - low >= classes:
            return None
        return dataclasses.replace(case.setup, prepare=lambda x, y: (x, y - low), change=f"labels minus {low}")
    changes: dict[int, Change] = {}
    for layer in case.subject.network.outputs:
        for activation in case.subject.network.blocks[layer.blocks[-1]].activations:
            changes[activation.after] = _same_as(activation.before)
    return dataclasses.replace(case.setup, loss=_rewired(case.subject, changes), change="the output left linear")


def _same_as(line: int) -> Change:
    return lambda new: new[line]


def _label_shape(case: _Case) -> Setup | None:
    network = case.subject.network
    shape = network.graph.lines[network.blocks[network.outputs[-1].blocks[-1]].z].spec.shape
    y = np.asarray(case.subject.batch[1])
    if int(np.prod(shape)) != y.size:
        return None

    def loss(model: Any, x: Any, y: Any) -> Any:
        return case.setup.loss(model, x, np.reshape(y, (-1, *shape[1:])))

    return dataclasses.replace(case.setup, loss=loss, measure=loss, change=f"targets in the shape {shape}")


def _larger_batch(case: _Case) -> Setup:
    rows = 8 * (case.findings.batch_size or len(case.subject.batch[0]))
    return dataclasses.replace(case.setup, rows=rows, on_all_rows=True, change=f"{rows} rows per step")


def _finite_rows(case: _Case) -> Setup | None:
    x = np.asarray(case.subject.batch[0])
    if x.dtype.kind != "f" or np.isfinite(x).all():
        return None

    def prepare(x: Any, y: Any) -> tuple[Any, Any]:
        good = np.isfinite(x.reshape(len(x), -1)).all(axis=1)
        return x[good], y[good]

    return dataclasses.replace(case.setup, prepare=prepare, change="rows with missing values left out")


# ------------------------------------------------------------------------------------------------------- loss and step


def _loss_pair(case: _Case) -> Setup | None:
    pair, subject = case.findings.pair, case.subject
    assert pair is not None
    if pair.kind == "twice":
        loss = _rewired(subject, {pair.line: _same_as(pair.logits)})
        return dataclasses.replace(case.setup, loss=loss, measure=loss, change="one softmax or sigmoid left out")
    if pair.kind == "shift":
        loss = _rewired(subject, {pair.line: _shifted(pair.logits)})
        return dataclasses.replace(case.setup, loss=loss, change="the largest output subtracted before exp")
    raw = values_graph(subject.network.graph, [pair.logits])

    def cross_entropy(model: Any, x: Any, y: Any) -> Any:
        z = run(raw, _inputs(subject, model, x, y))[0]
        if z.shape == y.shape and len(z.shape) > 1 and z.shape[-1] > 1:
            return nn.cross_entropy(z, y.astype(z.dtype))
        return nn.binary_cross_entropy_with_logits(np.reshape(z, y.shape), y.astype(z.dtype))

    return dataclasses.replace(
        case.setup, loss=cross_entropy, measure=case.setup.loss, change="cross-entropy on the raw outputs"
    )


def _shifted(logits: int) -> Change:
    def change(new: list[Any]) -> Any:
        z = new[logits]
        top = CATALOGUE["stop_gradient"](CATALOGUE["max"](z, axes=(z.ndim - 1,), keepdims=True))
        return CATALOGUE["exp"](z - top)

    return change


def _rate(case: _Case) -> Setup:
    factor = case.verdict.factor
    scale = factor / 3 if case.verdict.kind == "rate_low" else min(0.3, max(factor / 2, 1e-6))

    def update(gradient: Any, state: Any, model: Any) -> tuple[Any, Any]:
        updates, state = case.setup.optimizer.update(gradient, state, model)
        return trees.map(lambda u: u * np.asarray(scale, u.dtype), updates), state

    optimizer = Optimizer(case.setup.optimizer.init, update)
    return dataclasses.replace(case.setup, optimizer=optimizer, change=f"the learning rate times {scale:.2g}")


def _undecayed(case: _Case) -> Setup:
    def update(gradient: Any, state: Any, model: Any) -> tuple[Any, Any]:
        # Decay is what an update owes to the weights themselves.
        return case.setup.optimizer.update(gradient, state, trees.map(np.zeros_like, model))

    optimizer = Optimizer(case.setup.optimizer.init, update)
    return dataclasses.replace(case.setup, optimizer=optimizer, change="no weight decay")


_REMEDIES: dict[str, Callable[[_Case], Setup | None]] = {
    "nonfinite": _finite_rows, "label_shape": _label_shape, "label_range": _label_range,
    "unscaled_inputs": _standardised, "symmetric": _redraw, "dead_relu": _redraw, "saturated": _redraw,
    "vanishing": _vanishing, "exploding": _exploding, "loss_pair": _loss_pair, "weight_decay": _undecayed,
    "rate_high": _rate, "rate_low": _rate, "batch_small": _larger_batch,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------- graphs rewritten


def _inputs(subject: Subject, model: Any, x: Any, y: Any) -> list[Any]:
    captured = subject.call.inputs[sum(subject.call.counts) :]
    return [*trees.leaves(model), x, y, *captured]


def _rewired(subject: Subject, changes: Mapping[int, Change]) -> Callable[..., Any]:
    """The loss ``(model, x, y)`` in which the lines of ``changes`` are replaced."""
    graph = _replaced(subject.network.graph, changes)
    return lambda model, x, y: run(graph, _inputs(subject, model, x, y))[0]


def _replaced(graph: Graph, changes: Mapping[int, Change]) -> Graph:
    builder = Builder()
    new: list[Any] = [builder.input(spec, graph.input_name(i)) for i, spec in enumerate(graph.input_specs)]
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if index in changes:
            new.append(changes[index](new))
        elif line.op.name == "item":
            new.append(new[line.args[0]][dict(line.attrs)["position"]])
        else:
            args = tuple([new[a].index for a in line.args])
            made = builder.append(line.op, args, line.attrs, line.spec, line.source)
            new.append(builder.wrap(made))
    outputs: list[Expr] = [new[i] for i in graph.outputs]
    return builder.finish(outputs)[0]
