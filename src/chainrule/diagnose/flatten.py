"""Loops unrolled: a graph in which every time step of a ``scan`` and every checkpointed piece stands line by line.

What happens between the time steps of a recurrent network is inside the body of its loop, so layers are looked for in
the unrolled graph.  The lines keep the user's source lines.

Does not do: branches (``cond``) and rules of the user (``custom_vjp``) stay one line each; a graph that would become
longer than ``MOST_LINES`` keeps its loops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph, Line
from chainrule.ops.expr import CATALOGUE, Expr

MOST_LINES = 100_000


def flat(graph: Graph) -> Graph:
    """``graph`` without ``scan`` and ``call`` lines; itself where it has none, or would become too long."""
    if not any(line.op.name in ("scan", "call") for line in graph.lines) or _length(graph) > MOST_LINES:
        return graph
    builder = Builder()
    inputs = [builder.input(spec, graph.input_name(i)) for i, spec in enumerate(graph.input_specs)]
    return builder.finish(_written(builder, graph, inputs))[0]


def _length(graph: Graph) -> int:
    """How many lines the unrolled graph has."""
    total = len(graph)
    for line in graph.lines:
        attrs = dict(line.attrs)
        if line.op.name == "scan":
            total += attrs["length"] * (_length(attrs["body"]) + graph.inputs)
        elif line.op.name == "call":
            total += _length(attrs["graph"])
        if total > MOST_LINES:  # deep nests grow quickly: no need to know by how much it is too long
            return total
    return total


def _written(builder: Builder, graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of ``graph`` on ``inputs``, its lines written to ``builder``.  Recursion is as deep as loops nest."""
    values: list[Any] = list(inputs)
    for line in graph.lines[graph.inputs :]:
        args = [values[a] for a in line.args]
        if line.op.name == "item":
            values.append(args[0][dict(line.attrs)["position"]])
        elif line.op.name == "call":
            values.append(tuple(_written(builder, dict(line.attrs)["graph"], args)))
        elif line.op.name == "scan":
            values.append(_steps(builder, line, args))
        else:
            indices = tuple([a.index for a in args])
            values.append(builder.wrap(builder.append(line.op, indices, line.attrs, line.spec, line.source)))
    return [values[i] for i in graph.outputs]


def _steps(builder: Builder, line: Line, args: list[Any]) -> tuple[Any, ...]:
    """The outputs of a ``scan`` line: its body written once for each step, the stacked outputs joined again."""
    attrs = dict(line.attrs)
    body, consts, carries, length = attrs["body"], attrs["consts"], attrs["carries"], attrs["length"]
    if not length:
        return tuple(builder.wrap(builder.append(line.op, tuple([a.index for a in args]), line.attrs, line.spec)))
    fixed, carry, walked = args[:consts], args[consts : consts + carries], args[consts + carries :]
    rows: dict[int, list[Expr]] = {}
    builder.follow(line.source)
    for step in reversed(range(length)) if attrs["reverse"] else range(length):
        out = _written(builder, body, [*fixed, *carry, *(_row(w, step) for w in walked)])
        carry, rows[step] = out[:carries], out[carries:]
    stacked = []
    for position, spec in enumerate(body.output_specs[carries:]):
        column = [CATALOGUE["reshape"](rows[step][position], shape=(1, *spec.shape)) for step in range(length)]
        stacked.append(column[0] if length == 1 else CATALOGUE["concatenate"](*column, axis=0))
    return (*carry, *stacked)


def _row(walked: Expr, step: int) -> Any:
    return CATALOGUE["index"](walked, key=(step, *((0, size, 1) for size in walked.shape[1:])))
