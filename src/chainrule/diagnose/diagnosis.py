"""``cr.diagnose``: one forward and backward pass of a loss on a batch, measured layer by layer and judged.

Nothing is hooked into the model: the loss is traced, the layers are read from its graph, and the graph runs.

Does not do: training (see ``chainrule.train.fit(..., diagnose=n)`` for faults that show over time).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.api import grad, jit
from chainrule.base import trees
from chainrule.base.errors import DataError, OptionError
from chainrule.diagnose.findings import Findings, LayerRow, layer_rows, level_rows, with_symmetry
from chainrule.diagnose.inputs import input_facts, label_range_problem, label_shape_problem
from chainrule.diagnose.losses import Pair, find_pair, squared_difference
from chainrule.diagnose.measure import (
    MULTIPLES,
    Measurement,
    make_measure,
    measurement,
    step_numbers,
    with_cotangents,
    with_update,
)
from chainrule.diagnose.probes import (
    StepSize,
    all_values,
    layer_gain,
    longest,
    noise_of_parts,
    noise_scale,
    reach,
    step_size,
)
from chainrule.diagnose.report import Report, Subject
from chainrule.diagnose.structure import Network, read_network
from chainrule.diagnose.verdicts import judge
from chainrule.explain.nonfinite import find_nonfinite
from chainrule.explain.unroll import flat
from chainrule.optim import Optimizer, adam, apply_updates
from chainrule.train.step import takes_key
from chainrule.transforms.arguments import Call, require_scalar, trace_call

_BINS = 24


def diagnose(
    model: Any,
    loss: Callable[..., Any],
    batch: Sequence[Any],
    *,
    optimizer: Optimizer | None = None,
    learning_rate: Any = None,
    optimizer_state: Any = None,
    batch_size: int | None = None,
    backend: str | None = None,
) -> Report:
    """Why ``model`` learns or does not: a :class:`Report` with one verdict per fault, the most important first.

    ``model``: a tree of float arrays, such as a :mod:`chainrule.nn` module.  ``loss``: ``loss(model, *batch)``, a
    scalar; a loss ``(model, x, y, key)`` is evaluated without key when ``batch`` has none.  ``batch``: a tuple of
    arrays, inputs first and targets second; a few hundred rows are enough.
    ``optimizer``: what the step is taken with (``optimizer_state``: its state, a fresh one when None);
    ``learning_rate`` alone means Adam with that rate, as in ``fit``; without either nothing is said of steps.
    ``batch_size``: the rows per step of the training, when it is not that of ``batch``.  ``backend``: as in ``cr.jit``;
    "numpy" is quicker for a network that is diagnosed once and small.

    Raises :class:`OptionError` for a batch that is no tuple and a model without float arrays, :class:`DataError` for a
    batch without rows, and what ``grad`` raises for a loss that is no scalar.
    """
    arguments = _arguments(model, loss, batch)
    network, call = read(model, loss, arguments)
    inputs, label_range = _checked_labels(network, call, batch)
    if optimizer is None and learning_rate is not None:
        optimizer = adam(learning_rate)
    subject = Subject(model, loss, tuple(batch), optimizer, network, call)
    rows = len(batch[0]) if np.ndim(batch[0]) else 1
    with np.errstate(all="ignore"):
        numbers, gradients = jit(make_measure(network, rows), backend=backend)(*inputs)
        found = measurement(network, 0, rows, [float(n) for n in numbers])
        step: StepSize | None = None
        if optimizer is not None and found.finite:
            found, step = _step(network, found, inputs, gradients, subject, optimizer_state)
        noise = _noise(found, loss, arguments, rows)
        findings = deep_findings(network, found, inputs, gradients, batch)
    findings = dataclasses.replace(
        findings, label_range=label_range, step_size=step, noise=noise, batch_size=batch_size or rows, sampled=rows,
        nonfinite=None if found.finite else _where_nonfinite(subject),
    )  # fmt: skip
    return Report(findings, judge(findings), subject=subject)


def _arguments(model: Any, loss: Callable[..., Any], batch: Sequence[Any]) -> tuple[Any, ...]:
    if not isinstance(batch, (tuple, list)) or not batch:
        raise OptionError(
            "the batch is not a tuple of arrays", expected="(x, y), what the loss takes behind the model",
            got=type(batch).__name__, where="diagnose, batch", fix="pass (x, y)",
        )  # fmt: skip
    if not len(np.shape(batch[0])) or not len(batch[0]):
        raise DataError(
            "the batch has no rows", expected="arrays with one row per example", got=f"x of shape {np.shape(batch[0])}",
            where="diagnose, batch", fix="pass at least one row; a few hundred are better",
        )  # fmt: skip
    leaves = trees.leaves(model)
    wrong = [leaf for leaf in leaves if getattr(np.asarray(leaf), "dtype", np.dtype(object)).kind != "f"]
    if not leaves or wrong:
        raise OptionError(
            "the model has no parameters" if not leaves else "the model has parameters that are no floats",
            expected="a tree with float arrays", got=type(wrong[0] if wrong else model).__name__,
            where="diagnose, model", fix="pass a chainrule.nn module, or a dict or list of float arrays",
        )  # fmt: skip
    if len(batch) == 2 and takes_key(loss):
        return (model, *batch, None)
    return (model, *batch)


def read(model: Any, loss: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Network, Call]:
    """The layers found in the graph of ``loss(*arguments)``, the first of which is ``model``."""
    call = trace_call(loss, arguments, {}, range(len(arguments)), "diagnose", differentiable=False)
    require_scalar(call, loss)
    return read_network(flat(call.graph), trees.paths(model), call.inputs), call


def _target(network: Network, call: Call) -> int | None:
    """The input of the graph that holds the targets: the second array of the batch."""
    counts = call.counts
    return network.parameters + counts[1] if len(counts) > 2 and counts[1] == 1 and counts[2] == 1 else None


def _output_shape(network: Network) -> tuple[int, ...]:
    outputs = network.outputs
    return tuple(network.graph.lines[network.blocks[outputs[-1].blocks[-1]].z].spec.shape) if outputs else ()


def _checked_labels(network: Network, call: Call, batch: Sequence[Any]) -> tuple[list[Any], tuple[str, str] | None]:
    """The inputs of the graph, with class labels that are out of range put in range so that the rest can be seen."""
    inputs = list(call.inputs)
    target = _target(network, call)
    if target is None:
        return inputs, None
    shape = _output_shape(network)
    problem = label_range_problem(network, batch[1], shape, squared_difference(network, target) is not None)
    labels = inputs[target]
    if problem is not None and labels.dtype.kind in "iu" and len(shape) == labels.ndim + 1:
        inputs[target] = np.clip(labels, 0, shape[-1] - 1)
    return inputs, problem


def deep_findings(
    network: Network, found: Measurement, inputs: Sequence[Any], gradients: Sequence[Any], batch: Sequence[Any]
) -> Findings:
    """All that one batch shows: layers with gains, histograms and reach, the batch, and the pair of output and loss."""
    rows = with_symmetry(network, layer_rows(network, found), inputs, gradients)
    levels = level_rows(network, rows)
    if found.finite:
        rows = _deeper(network, rows, inputs)
    target = network.parameters + 1 if len(batch) > 1 else None
    pair = find_pair(network, target, batch[1]) if target is not None else None
    return Findings(
        found, rows, levels, others=_others(network, found), inputs=input_facts(batch[0]),
        label_shape=None if target is None else label_shape_problem(network, target), pair=pair,
        pair_evidence="" if pair is None else _pair_evidence(network, pair, rows, inputs),
    )  # fmt: skip


def _others(network: Network, found: Measurement) -> dict[str, float]:
    """Gradient norms of the parameters that belong to no layer."""
    used = {i for layer in network.layers for i in (*layer.weights, *layer.biases)}
    return {
        path: found.parameters[i].gradient for i, path in enumerate(network.paths) if i not in used
    }  # fmt: skip


def _deeper(network: Network, rows: Sequence[LayerRow], inputs: Sequence[Any]) -> tuple[LayerRow, ...]:
    """``rows`` with histograms, singular values and reach through time."""
    values = all_values(network.graph, inputs)
    deltas = _deltas(network, inputs)
    out = []
    for layer, row in zip(network.layers, rows, strict=True):
        block = network.blocks[layer.blocks[-1]]
        shown = values[block.activations[-1].after if block.activations else block.z]
        gain = None
        parents = [other for other in network.layers if block.parents and other.blocks[-1] == block.parents[-1]]
        if parents and not layer.recurrent:
            gain = layer_gain(network, values, parents[0], layer, deltas[block.z])
        across = reach(network, inputs, layer) if layer.recurrent else ()
        out.append(dataclasses.replace(row, gain=gain, reach=across, histogram=_histogram(shown)))
    return tuple(out)


def _deltas(network: Network, inputs: Sequence[Any]) -> dict[int, Any]:
    ends = [network.blocks[layer.blocks[-1]].z for layer in network.layers]
    graph = with_cotangents(network.graph, (), ends)
    found = graph(*inputs, np.ones((), network.graph.output_specs[0].dtype))[1 : 1 + len(ends)]
    return dict(zip(ends, found, strict=True))


def gradients_of(network: Network, inputs: Sequence[Any]) -> list[Any]:
    """The loss's gradient by each parameter, of the graph on ``inputs``."""
    graph = with_cotangents(network.graph, range(network.parameters), ())
    return graph(*inputs, np.ones((), network.graph.output_specs[0].dtype))[1 : 1 + network.parameters]


def _histogram(values: Any) -> tuple[tuple[int, ...], tuple[float, float]]:
    shown = np.ravel(values).astype(np.float64)
    low, high = float(shown.min()), float(shown.max())
    # Values that are all but equal leave no room for so many edges between them.
    parted = bool(np.all(np.diff(np.linspace(low, high, _BINS + 1)) > 0))
    counts, _ = np.histogram(shown, bins=_BINS, range=(low, high if parted else low + max(1.0, abs(low))))
    return tuple(int(c) for c in counts), (low, high)


def _step(
    network: Network, found: Measurement, inputs: Sequence[Any], gradients: Sequence[Any], subject: Subject, state: Any
) -> tuple[Measurement, StepSize]:
    """The measurement with the update the optimizer makes of it, and what the loss does along that update."""
    assert subject.optimizer is not None
    model = subject.model
    leaves, structure = trees.flatten(model)
    gradient = trees.unflatten(structure, gradients)
    state = subject.optimizer.init(model) if state is None else state
    updates, _ = subject.optimizer.update(gradient, state, model)
    changes = trees.leaves(updates)
    bare, _ = subject.optimizer.update(gradient, state, trees.map(np.zeros_like, model))
    after = trees.leaves(apply_updates(model, updates))

    def loss_at(multiple: float) -> float:
        moved = [np.asarray(w + multiple * u, w.dtype) for w, u in zip(leaves, changes, strict=True)]
        return float(network.graph(*moved, *inputs[len(leaves) :])[0])

    numbers = step_numbers(gradients, leaves, after, trees.leaves(bare))
    found = with_update(found, [float(n) for n in numbers], loss_at(1.0))
    tried = longest(found.loss, found.after, map(loss_at, MULTIPLES)) if found.predicted < 0 else 1.0
    return found, step_size(found, [row.update for row in layer_rows(network, found)], tried)


def _noise(found: Measurement, loss: Callable[..., Any], arguments: tuple[Any, ...], rows: int) -> float:
    """The gradient noise scale in rows."""
    if not found.finite:
        return float("nan")
    if np.isfinite(found.per_example):
        return noise_scale(found.per_example, found.gradient * found.gradient, rows)
    model, *batch = [a for a in arguments if a is not None]
    keyed = len(arguments) > 1 + len(batch)
    gradient = jit(grad(lambda m, *b: loss(m, *b, None) if keyed else loss(m, *b)))
    return noise_of_parts(gradient, model, batch)


def _pair_evidence(network: Network, pair: Pair, rows: Sequence[LayerRow], inputs: Sequence[Any]) -> str:
    source = network.graph.lines[pair.line].source
    place = f" ({source})" if source else ""
    if pair.kind == "shift":
        top = float(np.max(all_values(network.graph, inputs)[pair.logits]))
        return f"the largest output is {top:.3g}, and exp overflows at {pair.limit:g}{place}"
    if pair.kind == "twice":
        return f"the loss takes raw outputs, and gets probabilities{place}"
    output = next((row for row in rows if row.output), None)
    slope = output.slope if output is not None and output.slope > 0 else float("nan")
    share = f"the slope of the output multiplies the gradient by {slope:.2g}" if slope < 1 else "targets are 0 and 1"
    return f"{share}; with cross-entropy it cancels{place}"


def _where_nonfinite(subject: Subject) -> str | None:
    """The first value that is not finite, in words."""
    arguments = _arguments(subject.model, subject.loss, subject.batch)
    given = [position for position, argument in enumerate(arguments) if argument is not None]

    def loss(*known: Any) -> Any:
        filled: list[Any] = [None] * len(arguments)
        for position, argument in zip(given, known, strict=True):
            filled[position] = argument
        return subject.loss(*filled)

    found = find_nonfinite(loss, *(arguments[position] for position in given))
    return None if found is None else f"{found.cause}; {found.remedy}"
