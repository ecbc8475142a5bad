"""The first pass: Graph → Graph, with less in it and the same values.

Lines are taken in order and written again through tables of rewrites (:mod:`chainrule.compile.rewrites`,
:mod:`chainrule.compile.expansions`) into a builder that hash-conses.  What is kept: inputs, outputs and their order,
sources, ``of``.  What goes: lines no output needs, equal lines, what a rewrite makes simpler, and the walls around
inner graphs: a ``call`` and the primal of a ``custom_vjp`` become lines of this graph, as does the branch of a ``cond``
that is known.  Graphs that stay inside a line (a loop's body, branches) are simplified too; what is known and the same
in every step of a loop becomes a constant of its body first, so that a step in a loop is what it is alone.

The ``call`` of a checkpoint's backward pass keeps its walls: without them, what it computes again would be equal lines
of the forward pass, kept in memory all the while, which is what the checkpoint was asked to avoid.

Does not do: fusion, and anything that needs to know who uses a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.base.collector import without_collector
from chainrule.compile.expansions import EXPANSIONS
from chainrule.compile.rewriter import Rewrite, Rewriter, Table
from chainrule.compile.rewrites import COMMUTATIVE, TABLE, before_broadcasting, constant_last, fold
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph, Line
from chainrule.ops.expr import CATALOGUE

INLINED = {"call": "graph", "custom_vjp": "primal"}
LOOPS = {"scan": (("body", "consts"),), "while_loop": (("test", "test_consts"), ("body", "body_consts"))}
"""The graphs of a loop, and how many of the next arguments are given to every run of each."""

New = int | tuple[int, ...]
"""What stands for a line: a line of the new graph, or one for each of its outputs."""


def _table() -> Table:
    """The rewrites of every op: those of all pointwise ops first."""
    found: dict[str, tuple[Rewrite, ...]] = {}
    for name, op in CATALOGUE.items():
        pointwise = (fold, before_broadcasting) if op.broadcasts else ()
        turned = (constant_last,) if name in COMMUTATIVE else ()
        found[name] = (*pointwise, *turned, *EXPANSIONS.get(name, ()), *TABLE.get(name, ()))
    return found


ALL = _table()


@without_collector
def simplify(graph: Graph, table: Table | None = None) -> Graph:
    """A graph of the same inputs and outputs that computes the same; ``table`` holds the rewrites, all by default."""
    return _Pass(ALL if table is None else table).graph(graph)


class _Pass:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.inner: dict[Graph, Graph] = {}

    def graph(self, graph: Graph) -> Graph:
        """A graph, simplified; equal ones (the bodies of loops) once."""
        found = self.inner.get(graph)
        if found is None:
            found = self.inner[graph] = self._written(graph)
        return found

    def _written(self, graph: Graph) -> Graph:
        r = Rewriter(self.table)
        inputs = [r.builder.input(spec, graph.input_name(i)).index for i, spec in enumerate(graph.input_specs)]
        outputs = self.lines(r, graph, inputs)
        found, _ = r.builder.finish([r.builder.handle(r.builder, i) for i in outputs])
        return found

    def lines(self, r: Rewriter, graph: Graph, inputs: list[int]) -> list[int]:
        """Write the lines of ``graph`` with ``inputs`` for its inputs; returns the lines of its outputs."""
        new: list[New] = list(inputs)
        around = r.source, r.of
        for line in graph.lines[graph.inputs :]:
            r.source = line.source
            r.of = around[1] if line.of is None else _stamp(r, new[line.of[0]], line.of[1])
            new.append(self.line(r, line, new))
        r.source, r.of = around
        return [_one(new[i]) for i in graph.outputs]

    def line(self, r: Rewriter, line: Line, new: list[New]) -> New:
        if line.op.name == "item":
            several = new[line.args[0]]
            if isinstance(several, tuple):
                position: int = line.attrs[0][1]
                return several[position]
        args = [_one(new[a]) for a in line.args]
        attrs = dict(line.attrs)
        held = INLINED.get(line.op.name)
        if held is not None and (line.op.name != "call" or line.of is None):
            return tuple(self.lines(r, attrs[held], args))
        if line.op.name == "cond" and (known := r.value(args[0])) is not None:
            return tuple(self.lines(r, attrs["if_true" if known else "if_false"], args[1:]))
        if line.op.name in LOOPS:
            args, attrs = _known_inside(r, LOOPS[line.op.name], args, attrs)
        packed = tuple((name, self._inside(attrs[name])) for name, _ in line.attrs)
        return r.write(line.op, tuple(args), packed, line.spec)

    def _inside(self, value: Any) -> Any:
        return self.graph(value) if isinstance(value, Graph) else value


def _known_inside(
    r: Rewriter, loops: tuple[tuple[str, str], ...], args: list[int], attrs: dict[str, Any]
) -> tuple[list[int], dict[str, Any]]:
    """Arguments and attributes of a loop whose graphs hold the constants among what every run is given."""
    kept: list[int] = []
    for graph, count in loops:
        given, args = args[: attrs[count]], args[attrs[count] :]
        known = [r.made_by(a, "constant") for a in given]
        if any(known):
            attrs = attrs | {graph: _holding(attrs[graph], known), count: known.count(None)}
        kept += [a for a, line in zip(given, known, strict=True) if line is None]
    return kept + args, attrs


def _holding(graph: Graph, known: Sequence[Line | None]) -> Graph:
    """The graph with the constants among its first inputs held inside it."""
    builder = Builder()
    lines = [*known, *[None] * (graph.inputs - len(known))]
    inputs = {
        i: builder.input(graph.input_specs[i], graph.input_name(i)) for i, line in enumerate(lines) if line is None
    }
    given = [inputs[i] if line is None else builder.constant(line.attrs[0][1].array) for i, line in enumerate(lines)]
    found, _ = builder.finish(builder.inline(graph, given))
    return found


def _one(new: New) -> int:
    assert isinstance(new, int), "only item takes a line with several values"
    return new


def _stamp(r: Rewriter, new: New, argument: int) -> tuple[int, int] | None:
    """``of`` for the line that stands for the forward line; None where it has no such argument any more."""
    index = new[0] if isinstance(new, tuple) and new else new
    if not isinstance(index, int):
        return None
    line = r.builder.lines[index]
    if line.op.name == "item":
        index = line.args[0]
        line = r.builder.lines[index]
    return (index, argument) if argument < len(line.args) else None
