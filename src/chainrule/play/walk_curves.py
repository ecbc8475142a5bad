"""Sampled curves of a walkthrough: the local function of each step, and the loss along the update's direction.

A step's value is a function of each value it reads, the others held; it is sampled over a window around the present
value that only changes when the value leaves it, so that a picture stands still while a value is dragged.  Lines of
numbers are run once on all samples together; where other lines are between, sample by sample.

A kink is seen by one-sided difference quotients that differ.  Does not do: functions of arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Array, Spec
from chainrule.explain.explanation import Explanation
from chainrule.explain.jsonform import number
from chainrule.explain.plain import plain
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops.structure import is_plumbing

SAMPLES = 61
FEW_SAMPLES = 21
MOST_CURVES = 60
_NEAR = 1e-6
_KINK = 1e-3


def window(value: float, least: float = 2.0) -> float:
    """Half the width of a symmetric window that holds ``value`` with room: 2, 4, 8, 16, …"""
    wide = least
    while np.isfinite(value) and abs(value) > 0.75 * wide and wide < 1e300:
        wide *= 2
    return wide


def spread(graph: Graph, lines: Sequence[int], known: Mapping[int, Any]) -> dict[int, Any] | None:
    """The values of ``lines``, in order, where ``known`` holds arrays of samples in place of numbers.

    None where a line is not an elementwise function of numbers.
    """
    values = dict(known)
    with np.errstate(all="ignore"):
        for index in lines:
            line = graph.lines[index]
            if not isinstance(line.spec, Spec) or line.spec.shape != ():
                return None
            if line.op.name == "constant":
                values[index] = line.op.run(**dict(line.attrs))
            elif line.op.kind == "pointwise" or line.op.name in ("where", "cast", "add", "sub", "neg"):
                values[index] = line.op.run(*[values[a] for a in line.args], **dict(line.attrs))
            elif is_plumbing(line.op.name) and len(line.args) == 1:
                values[index] = values[line.args[0]]
            else:
                return None
    return values


@np.errstate(all="ignore")
def one_by_one(graph: Graph, lines: Sequence[int], known: Mapping[int, Any], argument: int) -> Array:
    """The values of the last of ``lines``, a number, for each sample of ``argument``."""
    found = []
    for sample in known[argument]:
        values = {**known, argument: sample}
        for index in lines:
            line = graph.lines[index]
            values[index] = line.op.run(*[values[a] for a in line.args], **dict(line.attrs))
        found.append(float(values[lines[-1]]))
    return np.array(found)


def local_curves(
    explanation: Explanation, focus: tuple[int, int] | None = None, alone: bool = False
) -> tuple[list[dict[str, Any]], bool]:
    """For each step and each number it reads: the sampled function, its value and slope here, and kinks.

    ``focus``: (step, value it reads), the only one that is sampled of graphs with more than ``MOST_CURVES``, or of any
    if ``alone``.  The second result: whether the graph has so many.
    """
    outline, graph = explanation.outline, explanation.graph
    slopes = {(s.through, s.line): s.local.value for s in explanation.chain
              if s.phase == "backward" and s.local is not None and np.ndim(s.local.value) == 0}  # fmt: skip
    pairs = []
    for head in outline.heads:
        if head < graph.inputs or not _is_number(graph, head):
            continue
        members = outline.members(head)
        read = dict.fromkeys(a for i in members for a in graph.lines[i].args if outline.head[a] == a and a != head)
        pairs += [(head, argument, members) for argument in read if _is_number(graph, argument)]
    many = len(pairs) > MOST_CURVES
    if alone or many:
        pairs = [p for p in pairs if (p[0], p[1]) == focus]
    return [_curve(explanation, head, argument, members, slopes) for head, argument, members in pairs], many


def _is_number(graph: Graph, line: int) -> bool:
    spec = graph.lines[line].spec
    return isinstance(spec, Spec) and spec.shape == () and spec.dtype.kind == "f"


def _curve(
    explanation: Explanation, head: int, argument: int, members: list[int], slopes: Mapping[tuple[int | None, int], Any]
) -> dict[str, Any]:
    at = float(explanation.value_of(argument))
    here = at if np.isfinite(at) else 0.0
    wide = window(here)
    near = _NEAR * max(1.0, abs(here))
    samples = np.concatenate([np.linspace(-wide, wide, SAMPLES), [here - near, here, here + near]])
    graph = explanation.graph
    held = {a: explanation.value_of(a) for i in members for a in graph.lines[i].args if a not in members}
    held[argument] = samples
    values = spread(graph, members, held)
    y = one_by_one(graph, members, held, argument) if values is None else values[head]
    y = np.broadcast_to(np.asarray(y, np.float64), samples.shape)
    slope = slopes.get((head, argument))
    return {
        "line": head,
        "argument": argument,
        "of": plain(explanation.symbol(head)),
        "by": plain(explanation.symbol(argument)),
        "input": (graph.input_name(argument) or None) if argument < graph.inputs else None,
        "at": number(at),
        "value": number(explanation.value_of(head)),
        "slope": None if slope is None else number(slope),
        "low": -wide,
        "high": wide,
        "y": _rounded(y[:SAMPLES]),
        "kink": _kink(y[SAMPLES:], near),
    }


def _kink(y: Array, near: float) -> list[Any] | None:
    """The slopes on the two sides, where they differ."""
    with np.errstate(all="ignore"):
        left, right = float(y[1] - y[0]) / near, float(y[2] - y[1]) / near
    if not np.isfinite([left, right]).all() or abs(left - right) <= _KINK * max(1.0, abs(left), abs(right)):
        return None
    return [float(f"{left:.4g}"), float(f"{right:.4g}")]


def _rounded(values: Array) -> list[Any]:
    """Five digits are enough for a picture; what is not finite is null."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values.tolist()]


# --------------------------------------------------------------------------------------------------- the learning rate


def rate_window(rate: float) -> float:
    """The learning rates that are shown: up to 1, 2 or 5 times a power of ten, with room above ``rate``."""
    wanted = max(abs(rate) * 1.6, 1e-6) if np.isfinite(rate) else 1.0
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(next(power * m for m in (1, 2, 5, 10) if power * m >= wanted))


def loss_after(explanation: Explanation) -> float:
    """The loss with the updated values."""
    inputs = list(explanation.inputs)
    for line, update in zip(explanation.record.wrt, explanation.updates.values(), strict=True):
        inputs[line] = np.asarray(update.value, np.asarray(inputs[line]).dtype)[()]
    return float(np.real(run_plan(explanation.graph, inputs)[0]))


@np.errstate(all="ignore")
def rate_curve(explanation: Explanation) -> dict[str, Any]:
    """The loss after one update, as a function of the learning rate."""
    graph = explanation.graph
    high = rate_window(explanation.learning_rate)
    numbers = all(isinstance(line.spec, Spec) and line.spec.shape == () for line in graph.lines)
    rates = np.linspace(0.0, high, SAMPLES if numbers else FEW_SAMPLES)
    gradients = {line: explanation.gradient(line) for line in explanation.record.wrt}
    moved = {
        line: value - rates * gradients[line] if line in gradients else value
        for line, value in enumerate(explanation.inputs)
    } if numbers else {}  # fmt: skip
    values = spread(graph, range(graph.inputs, len(graph.lines)), moved) if numbers else None
    if values is not None:
        losses = np.broadcast_to(np.asarray(values[graph.outputs[0]], np.float64), rates.shape)
    else:
        losses = np.array([_loss_at(explanation, gradients, rate) for rate in rates])
    squares = sum(float(np.sum(np.square(np.real(np.asarray(g))))) for g in gradients.values())
    return {"high": high, "y": _rounded(losses), "slope": number(-squares)}


def _loss_at(explanation: Explanation, gradients: Mapping[int, Any], rate: float) -> float:
    inputs = [
        (value - np.asarray(rate, np.asarray(value).real.dtype) * np.conj(gradients[line]))[()]
        if line in gradients else value
        for line, value in enumerate(explanation.inputs)
    ]  # fmt: skip
    return float(np.real(run_plan(explanation.graph, inputs)[0]))
