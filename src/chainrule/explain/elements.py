"""A graph of small arrays as a graph of their elements, so that the sum over paths holds for single weights.

Every use of one array by another becomes one edge per pair of elements that depend on each other, weighted with the
entry of the local Jacobian.  The Jacobians come from the op's own pullback, run on one cotangent of ones per output
element (vectorised), so they are the derivative rules that ``grad`` uses.

Bounded: arrays of more than ``MOST_ELEMENTS`` elements in all, or ``MOST_EDGES`` edges, are refused.
Does not do: lines with several outputs and complex arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.base.errors import ShapeError
from chainrule.explain.paths import Edge
from chainrule.explain.record import Record, Use, size
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops.expr import Expr
from chainrule.transforms.batching import vmap_graph
from chainrule.transforms.reverse import select_outputs, vjp_graph

MOST_ELEMENTS = 20_000
MOST_EDGES = 400_000

Element = tuple[int, int]
"""(line, flat position)."""


def element_edges(record: Record, values: list[Any]) -> list[Edge]:
    """The edges between elements, in the order of the backward pass.  Raises ShapeError where there are too many."""
    graph = record.forward
    active = {u.line for u in record.uses} | {u.argument for u in record.uses}
    elements = sum(size(graph.lines[i].spec) for i in active)
    if elements > MOST_ELEMENTS:
        raise _too_large(f"{elements:,} elements")
    edges: list[Edge] = []
    for use in record.uses:
        if not isinstance(record.at[use.line], int) or not isinstance(graph.lines[use.argument].spec, Spec):
            raise _too_large(f"{graph.lines[use.line].op.name}, an op with several outputs")
        edges += _edges_of(record, values, use)
        if len(edges) > MOST_EDGES:
            raise _too_large(f"more than {MOST_EDGES:,} pairs of elements")
    return edges


def _too_large(got: str) -> ShapeError:
    return ShapeError(
        "the paths between single elements can't be listed", expected=f"at most {MOST_ELEMENTS:,} elements in all",
        got=got, fix="explain one example instead of a batch, or read the terms per use, which have no limit",
    )  # fmt: skip


def _edges_of(record: Record, values: list[Any], use: Use) -> list[Edge]:
    jacobian = _jacobian(record, values, use)
    rows, columns = np.nonzero(_structure(record, use, jacobian))
    if len(rows) > MOST_EDGES:
        raise _too_large(f"{len(rows):,} pairs of elements in one {record.forward.lines[use.line].op.name}")
    return [
        Edge((use.line, int(i)), (use.argument, int(j)), float(jacobian[i, j]))
        for i, j in zip(rows, columns, strict=True)
    ]


def _structure(record: Record, use: Use, jacobian: Any) -> Any:
    """Which pairs of elements depend on each other; for a ufunc by broadcasting: a derivative of 0 is an edge too."""
    graph = record.forward
    line = graph.lines[use.line]
    if not line.op.broadcasts:
        return jacobian != 0
    shape = line.spec.shape
    argument = graph.lines[use.argument].spec.shape
    places = np.broadcast_to(np.arange(size(graph.lines[use.argument].spec)).reshape(argument), shape).reshape(-1)
    found = np.zeros(jacobian.shape, bool)
    found[np.arange(jacobian.shape[0]), places] = True
    return found


def _jacobian(record: Record, values: list[Any], use: Use) -> Any:
    """∂(line)/∂(argument through this position), (elements of the line, elements of the argument)."""
    graph = record.forward
    line = graph.lines[use.line]
    count, width = size(line.spec), size(graph.lines[use.argument].spec)
    if count * width > MOST_ELEMENTS * 200:
        raise _too_large(f"a derivative of {count:,} by {width:,} elements")
    pulled, args = _alone(graph, use)
    batch = vmap_graph(pulled, (*([False] * len(args)), True), count, None)
    unit = np.eye(count, dtype=line.spec.dtype).reshape(count, *line.spec.shape)
    inputs = [values[at] for a in args if isinstance(at := record.at[a], int)]
    (found,) = run_plan(batch, [*inputs, unit])
    return np.asarray(found).reshape(count, width)


def _alone(graph: Graph, use: Use) -> tuple[Graph, tuple[int, ...]]:
    """The pullback of one line to one of its positions: from (its arguments, a cotangent) to the argument's part."""
    line = graph.lines[use.line]
    builder = Builder()
    args = [builder.input(graph.lines[a].spec) for a in line.args]
    index = builder.append(line.op, tuple(a.index for a in args), line.attrs, line.spec, line.source)
    single, _ = builder.finish([Expr(builder, index)])
    return select_outputs(vjp_graph(single, (use.position,), (0,)), (1,)), line.args
