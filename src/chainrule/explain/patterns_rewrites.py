"""Rewrites of a graph: some lines replaced by others that compute the same without leaving the range of floats.

A rewrite is a ``Changes`` table: line number → function that writes the new line, given ``new(i)``, the handle of an
old line ``i`` in the graph under construction.  :func:`rewritten` applies it, in an inner graph too (the body of a
scan); the caller runs the result to see whether it cured anything.

The formulas are the usual ones: the shift by the maximum (Blanchard, Higham and Higham, "Accurately computing the
log-sum-exp and softmax functions", 2021), the double ``where`` (mask the argument as well as the result), the scaled
norm (Blue, 1978), and a floor or a small addend where a function or its slope is infinite at a point.

Does not rewrite what stands inside of a custom_vjp rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.explain.why_tape import Path
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph, Line
from chainrule.ops import pointwise as p
from chainrule.ops.expr import Expr
from chainrule.ops.record import broadcast_to, op, reshape, sum_over

New = Callable[[int], Any]
Changes = dict[int, Callable[[New], Any]]

_MOVES = ("reshape", "broadcast_to", "cast", "index", "transpose")


# ------------------------------------------------------------------------------------------------------ the mechanics


def rewritten(graph: Graph, path: Path, changes: Changes) -> Graph:
    """``graph`` with ``changes`` made in the inner graph at ``path`` (``()``: in ``graph`` itself)."""
    if path:
        (at, attribute), rest = path[0], path[1:]
        line = graph.lines[at]
        attrs = dict(line.attrs)
        attrs[attribute] = rewritten(attrs[attribute], rest, changes)
        packed = tuple(sorted(attrs.items()))
        return _copied(graph, {}, {at: packed})
    return _copied(graph, changes, {})


def _copied(graph: Graph, changes: Changes, attrs: dict[int, Any]) -> Graph:
    builder = Builder()
    lines: list[int] = []

    def new(i: int) -> Any:
        return builder.wrap(lines[i])

    for position, spec in enumerate(graph.input_specs):
        lines.append(builder.input(spec, graph.input_name(position)).index)
    for index, line in enumerate(graph.lines):
        builder.follow(line.source)
        if index in changes:
            made = _line_number(builder, changes[index](new), line)
            if index < graph.inputs:
                lines[index] = made
            else:
                lines.append(made)
        elif index >= graph.inputs:
            given = tuple([lines[a] for a in line.args])
            lines.append(builder.append(line.op, given, attrs.get(index, line.attrs), line.spec, line.source))
    return builder.finish([Expr(builder, lines[o]) for o in graph.outputs])[0]


def _line_number(builder: Builder, made: Any, line: Line) -> int:
    """The number of what a change wrote, in the shape and dtype of the line it replaces."""
    if isinstance(made, tuple):  # several outputs: the items' own line
        return int(builder.lines[made[0].index].args[0])
    if made.dtype != line.spec.dtype:
        made = op("cast")(made, dtype=line.spec.dtype)
    return int(broadcast_to(reshape(made, line.spec.shape), line.spec.shape).index)


# ----------------------------------------------------------------------------------------------- reading what is there


def named(graph: Graph, index: int, *names: str) -> bool:
    """Whether line ``index`` is one of these ops."""
    return graph.lines[index].op.name in names


def behind(graph: Graph, index: int) -> int:
    """The line that ``index`` only moves around: reshaped, broadcast, indexed, cast."""
    while named(graph, index, *_MOVES):
        index = graph.lines[index].args[0]
    return index


def users(graph: Graph, index: int) -> list[int]:
    """The lines that use ``index``, seen through what only moves it."""
    found = []
    for number in range(index + 1, len(graph.lines)):
        line = graph.lines[number]
        if any(behind(graph, a) == index for a in line.args) and line.op.name not in _MOVES:
            found.append(number)
    return found


def number_of(graph: Graph, index: int) -> Any:
    """The value of a line that is a constant of one value, else None."""
    line = graph.lines[behind(graph, index)]
    if line.op.name != "constant":
        return None
    array = line.attrs[0][1].array
    return array.reshape(-1)[0] if array.size and (array == array.reshape(-1)[0]).all() else None


def sum_of_exp(graph: Graph, index: int) -> tuple[int, int] | None:
    """(exp line, sum line) where ``index`` is Σ exp(…)."""
    total = behind(graph, index)
    if not named(graph, total, "sum"):
        return None
    inner = behind(graph, graph.lines[total].args[0])
    return (inner, total) if named(graph, inner, "exp") else None


def softmax_of(graph: Graph, index: int) -> tuple[int, int] | None:
    """(exp line, sum line) where ``index`` is exp(z) / Σ exp(z)."""
    index = behind(graph, index)
    if not named(graph, index, "div"):
        return None
    over, under = graph.lines[index].args
    found = sum_of_exp(graph, under)
    return found if found is not None and behind(graph, over) == found[0] else None


def sigmoid_of(graph: Graph, index: int) -> tuple[int, bool] | None:
    """(x line, whether negated) where ``index`` is σ(x), written as the op, 1/(1+e⁻ˣ) or eˣ/(1+eˣ)."""
    index = behind(graph, index)
    line = graph.lines[index]
    if line.op.name == "sigmoid":
        return line.args[0], False
    if line.op.name != "div":
        return None
    raised = one_and_exp(graph, line.args[1])
    if raised is None:
        return None
    inside = graph.lines[raised].args[0]
    if behind(graph, line.args[0]) == raised:
        return inside, False
    if number_of(graph, line.args[0]) != 1:
        return None
    return (graph.lines[inside].args[0], False) if named(graph, inside, "neg") else (inside, True)


def one_and_exp(graph: Graph, index: int) -> int | None:
    """The exp line where ``index`` is 1 + exp(…)."""
    line = graph.lines[behind(graph, index)]
    if line.op.name != "add":
        return None
    for one, other in (line.args, line.args[::-1]):
        if number_of(graph, one) == 1 and named(graph, behind(graph, other), "exp"):
            return behind(graph, other)
    return None


def is_square_sum(graph: Graph, index: int) -> bool:
    """Whether ``index`` is a sum of squares, as under the root of a norm: Σx·x, Σx**2, x**2 + y**2, x @ x."""
    index = behind(graph, index)
    line = graph.lines[index]
    if line.op.name == "sum":
        return _is_square(graph, behind(graph, line.args[0]))
    if line.op.name == "add":
        return all(_is_square(graph, a) or is_square_sum(graph, a) for a in line.args)
    return line.op.name == "matmul" and line.args[0] == line.args[1]


def _is_square(graph: Graph, index: int) -> bool:
    line = graph.lines[behind(graph, index)]
    if line.op.name == "pow":
        return bool(number_of(graph, line.args[1]) == 2)
    return line.op.name == "mul" and line.args[0] == line.args[1]


# -------------------------------------------------------------------------------------------------------- the formulas


def small(dtype: Any) -> float:
    """The floor that rewrites use: far below what matters, and its reciprocal far from overflow."""
    return {2: 1e-3, 4: 1e-7, 8: 1e-12}.get(np.dtype(dtype).itemsize, 1e-12)


def floor(x: Any, least: float | None = None) -> Any:
    """max(x, least)."""
    return p.maximum(x, small(x.dtype) if least is None else least)


def inside(x: Any, margin: float = 1.0) -> Any:
    """x clipped to the open interval (-1, 1)."""
    edge = 1 - margin * small(x.dtype)
    return p.minimum(p.maximum(x, -edge), edge)


def top(x: Any, axes: tuple[int, ...], keepdims: bool = True) -> Any:
    """The maximum over ``axes``, as a constant."""
    return op("stop_gradient")(op("max")(x, axes=axes, keepdims=keepdims))


def double_where(x: Any, safe: Any, f: Callable[[Any], Any], otherwise: float = 0.0) -> Any:
    """f(x) where ``safe``, else ``otherwise``; f never sees the unsafe values."""
    return p.where(safe, f(p.where(safe, x, 1.0)), otherwise)


def quotient(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0."""
    zero = p.equal(b, 0)
    return p.where(zero, 0.0, a / p.where(zero, 1.0, b))


def shifted_exp(graph: Graph, raised: int, total: int) -> Changes:
    """exp(z - max z) in place of exp(z), the maximum over the axes of the sum."""
    z, axes = graph.lines[raised].args[0], dict(graph.lines[total].attrs)["axes"]
    return {raised: lambda new: p.exp(new(z) - top(new(z), axes))}


def shifted_log(graph: Graph, raised: int, total: int, log: int) -> Changes:
    """log Σ exp(z - m) + m in place of log Σ exp(z)."""
    z, attrs = graph.lines[raised].args[0], dict(graph.lines[total].attrs)

    def shifted(new: New) -> Any:
        m = top(new(z), attrs["axes"])
        rest = sum_over(p.exp(new(z) - m), attrs["axes"], True)
        return p.log(rest) + m

    return {log: shifted}


def log_softmax(graph: Graph, raised: int, total: int, log: int) -> Changes:
    """z - m - log Σ exp(z - m) in place of log(softmax(z))."""
    z, axes = graph.lines[raised].args[0], dict(graph.lines[total].attrs)["axes"]

    def shifted(new: New) -> Any:
        low = new(z) - top(new(z), axes)
        return low - p.log(sum_over(p.exp(low), axes, True))

    return {log: shifted}


def scaled_root(graph: Graph, root: int) -> Changes | None:
    """m √Σ(x/m)² in place of √Σx²; None where the sum is not written so."""
    total = behind(graph, graph.lines[root].args[0])
    if not named(graph, total, "sum") or not is_square_sum(graph, total):
        return None
    attrs = dict(graph.lines[total].attrs)
    x = graph.lines[behind(graph, graph.lines[total].args[0])].args[0]

    def scaled(new: New) -> Any:
        m = floor(top(p.absolute(new(x)), attrs["axes"]), float(np.finfo(new(x).dtype).tiny))
        part = new(x) / m
        return p.sqrt(sum_over(part * part, attrs["axes"], True)) * m

    return {root: scaled}
