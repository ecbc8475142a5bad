"""The gradient's own graph with its numbers: what every explanation is read from.

The backward graph is built by the same function that :func:`chainrule.transforms.reverse.vjp_graph` uses, and each
step of it is noted on the way: which line of the forward pass, which argument, what arrived, what was passed on, and
the op record's own local derivative.  Nothing is derived a second time, so an explanation shows the lines that
``grad`` runs, and its numbers are those lines' values, each computed once.

Keeps the value of every line: meant for programs a person can read, not for the largest that can be trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.base.collector import without_collector
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph
from chainrule.ops.expr import Expr
from chainrule.ops.record import Pointwise, constant_of
from chainrule.transforms.reverse import copy_forward, depends_on, pull_back


class Use(NamedTuple):
    """One argument of one forward line, as the backward pass went through it.

    ``line`` and ``argument`` are lines of the forward graph; ``arriving`` (one per output of ``line`` that received
    something), ``part`` and ``local`` are lines of the whole graph.  ``local`` is ∂(line)/∂(argument): a line, a plain
    number, or None where the derivative is a linear map of arrays that no single line holds.
    """

    line: int
    position: int
    argument: int
    arriving: tuple[int, ...]
    part: int
    local: int | float | None


class Record(NamedTuple):
    """A forward graph and the whole graph that also runs backwards.

    ``whole``: inputs of ``forward``, then the seed.  ``at[i]``: the line of ``whole`` that computes forward line i (a
    tuple of lines for one with several outputs).  ``cotangent``: per forward line, the line of its whole cotangent.
    ``uses``: in the order of the backward pass.
    """

    forward: Graph
    whole: Graph
    at: tuple[int | tuple[int, ...], ...]
    uses: tuple[Use, ...]
    cotangent: dict[int, int]
    wrt: tuple[int, ...]


class _Noted(NamedTuple):
    line: int
    position: int
    arriving: Any
    part: Expr
    local: Any


@without_collector
def record(graph: Graph, wrt: Sequence[int]) -> Record:
    """The backward pass of the first output of ``graph``, noted step by step."""
    builder = Builder()
    for position, spec in enumerate(graph.input_specs):
        builder.input(spec, graph.input_name(position))
    seed = builder.input(graph.output_specs[0], "cotangent of output 0")
    active = depends_on(graph, wrt)
    new = copy_forward(builder, graph, active)
    noted: list[_Noted] = []
    totals: dict[int, Expr] = {graph.outputs[0]: seed}

    def visit(line: int, position: int, arriving: Any, part: Expr) -> None:
        if isinstance(arriving, Expr):
            totals[line] = arriving
        noted.append(_Noted(line, position, arriving, part, None))

    found = pull_back(builder, graph, new, active, wrt, {0: seed}, visit)
    totals.update({i: ct for i, ct in zip(wrt, found, strict=True) if ct is not None})
    one = builder.constant(np.ones((), graph.output_specs[0].dtype))
    noted = [n._replace(local=_local(builder, graph, new, n, one)) for n in noted]
    builder.follow(None)

    flat: list[Expr] = []

    def place(value: Any) -> Any:
        """Positions in ``flat``, shaped like ``value``, for what will be lines of the finished graph."""
        if isinstance(value, Expr):
            flat.append(value)
            return len(flat) - 1
        if isinstance(value, (list, tuple)):
            return tuple(place(v) for v in value if v is not None)
        return None

    at = [place(n) for n in new]
    cotangents = {i: place(ct) for i, ct in totals.items()}
    steps = [(n, place((n.arriving,)), place(n.part), place(n.local)) for n in noted]
    whole = builder.finish(flat)[0]
    final = whole.outputs

    def line(places: Any) -> Any:
        return tuple(line(p) for p in places) if isinstance(places, tuple) else final[places]

    uses = tuple(
        Use(n.line, n.position, graph.lines[n.line].args[n.position], _flat(line(arriving)), line(part),
            n.local if local is None else line(local))
        for n, arriving, part, local in steps
    )  # fmt: skip
    return Record(
        graph, whole, tuple(line(a) for a in at), uses, {i: line(c) for i, c in cotangents.items()}, tuple(wrt)
    )


def _flat(lines: Any) -> tuple[int, ...]:
    return tuple(i for part in lines for i in (_flat(part) if isinstance(part, tuple) else (part,)))


def _local(builder: Builder, graph: Graph, new: list[Any], n: _Noted, one: Expr) -> Any:
    """The op's local derivative: of a ufunc the lines its rule wrote; of another scalar op its pullback of 1."""
    line = graph.lines[n.line]
    op = line.op
    if op.name == "item":
        return None
    out, args = new[n.line], [new[a] for a in line.args]
    if not all(isinstance(x, Expr) for x in (out, *args)):
        return None
    builder.follow(line.source, (out.index, n.position))
    if isinstance(op, Pointwise):
        if op.name == "chain_mul":
            return args[1 - n.position]
        local = op.local(n.position, out, args)
        if isinstance(local, Expr):
            constant = constant_of(local)
            return local if constant is None or constant.dtype.kind == "c" else float(constant)
        return float(local)
    if out.shape != () or args[n.position].shape != () or out.dtype != one.dtype:
        return None
    wanted = [i == n.position for i in range(len(args))]
    part = op.pullback(one, out, args, dict(line.attrs), wanted)[n.position]
    return 0.0 if part is None else 1.0 if part.index == one.index else part


def values(whole: Graph, inputs: Sequence[Any]) -> list[Any]:
    """The value of every line of ``whole``: one NumPy call per line, in order, as ``evaluate`` makes them."""
    found: list[Any] = [np.asarray(x)[()] for x in inputs]
    with np.errstate(all="ignore"):
        for line in whole.lines[whole.inputs :]:
            found.append(line.op.run(*[found[a] for a in line.args], **dict(line.attrs)))
    return found


def size(spec: Any) -> int:
    """The number of elements of a line's value; 0 for several outputs."""
    return int(np.prod(spec.shape, dtype=np.int64)) if isinstance(spec, Spec) else 0
