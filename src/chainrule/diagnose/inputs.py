"""The batch itself: unscaled and dead inputs, labels out of range or of another shape than the predictions.

Initial weights are drawn for inputs of variance about 1, so inputs are judged against 1 and against each other.

Does not do: outliers, missing values (both belong to ``chainrule.data``), duplicates.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from chainrule.diagnose.structure import Network, reached

# The root mean square of standardised columns is 1; that of the raw ones found in practice is far above or below.
_LARGE, _SMALL, _UNEQUAL, _OFFSET = 8.0, 0.03, 100.0, 5.0


@dataclasses.dataclass(frozen=True)
class InputFacts:
    """``rms``: over all values; ``largest``: (column, its rms); ``median``: rms of the median column; ``offset``: the
    share of columns whose mean is many of their standard deviations from 0; ``dead``: columns that are constant."""

    columns: int
    rms: float
    largest: tuple[int, float]
    median: float
    offset: float
    dead: int
    problem: str | None


def input_facts(x: Any) -> InputFacts | None:
    """Facts of inputs (rows, features …); None for integers and for what is no table of at least 2 rows."""
    array = np.asarray(x)
    if array.dtype.kind != "f" or array.ndim < 1 or len(array) < 2 or not np.isfinite(array).all():
        return None
    table = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array[:, None]
    table = table.astype(np.float64)
    mean, std = table.mean(axis=0), table.std(axis=0)
    rms = np.sqrt((table**2).mean(axis=0))
    moving = std > 1e-9 * np.maximum(rms, 1e-300)
    if not moving.any():
        return InputFacts(len(std), float(rms.max()), (0, float(rms.max())), 0.0, 1.0, len(std), None)
    top = int(np.argmax(rms))
    facts = InputFacts(
        columns=len(std), rms=float(np.sqrt((table**2).mean())), largest=(top, float(rms[top])),
        median=float(np.median(rms[moving])), offset=float(np.mean(np.abs(mean[moving]) > _OFFSET * std[moving])),
        dead=int((~moving).sum()), problem=None,
    )  # fmt: skip
    return dataclasses.replace(facts, problem=_problem(facts, float(np.abs(table).max())))


def _problem(facts: InputFacts, reach: float) -> str | None:
    column, size = facts.largest
    if facts.columns > 1 and size > _UNEQUAL * facts.median:
        return f"column {column} has a root mean square of {size:.3g}, the median column {facts.median:.3g}"
    if size > _LARGE:
        return f"values have a root mean square of {facts.rms:.3g} (column {column}: {size:.3g})"
    if reach < _SMALL:
        return f"no value is larger than {reach:.2g}"
    if facts.offset > 0.5:
        return f"{facts.offset:.0%} of the columns lie more than {_OFFSET:.0f} of their standard deviations from 0"
    return None


def label_shape_problem(network: Network, target: int) -> str | None:
    """The line, in words, in which predictions and targets of different shapes broadcast to more values than either."""
    graph = network.graph
    from_target = reached(graph, [target])
    from_model = reached(graph, range(network.parameters))
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if line.op.kind != "pointwise" or len(line.args) != 2:
            continue
        a, b = line.args
        mixed = (from_target[a] and not from_model[a] and from_model[b]) or (
            from_target[b] and not from_model[b] and from_model[a]
        )
        shapes = [graph.lines[i].spec.shape for i in (a, b)]
        if mixed and np.prod(line.spec.shape) > max(np.prod(s) for s in shapes):
            where = f" ({line.source})" if line.source else ""
            return f"{shapes[0]} meets {shapes[1]} and broadcasts to {line.spec.shape}{where}"
    return None


def label_range_problem(network: Network, y: Any, shape: tuple[int, ...], paired: bool) -> tuple[str, str] | None:
    """(evidence, remedy) where targets ``y`` can't be reached by outputs of ``shape``; ``paired``: y are compared with
    the output activation's values."""
    labels = np.asarray(y)
    if not labels.size:
        return None
    if labels.dtype.kind in "iu" and len(shape) == labels.ndim + 1 and shape[:-1] == labels.shape and shape[-1] > 1:
        classes = shape[-1]
        wrong = (labels < 0) | (labels >= classes)
        if wrong.any():
            listed = ", ".join(map(str, np.unique(labels[wrong])[:5]))
            return (
                f"{int(wrong.sum())} of {labels.size} labels are not in 0 … {classes - 1}: {listed}",
                f"number the classes from 0, or give the network {int(labels.max()) + 1} outputs",
            )
        return None
    curve = next((a.curve for layer in network.outputs for a in network.blocks[layer.blocks[-1]].activations), None)
    if curve is None or not paired or labels.dtype.kind not in "fiu":
        return None
    low, high = float(labels.min()), float(labels.max())
    if low < curve.low - 1e-6 or high > curve.high + 1e-6:
        return (
            f"targets reach from {low:.3g} to {high:.3g}, and {curve.name} only gives values in "
            f"[{curve.low:g}, {curve.high:g}]",
            "scale the targets into that range, or leave the output linear",
        )
    return None
