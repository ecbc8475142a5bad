"""Copies where memory must be one's own: a pass from graph to graph, run before fusion.

A result gets memory of its own: an input, a constant, part of another line, or a line that is a result already is
copied.  Loops and branches read their arguments in C order: those that lie otherwise are copied.  A copy is a line
``stop_gradient``; those that were in the graph are taken out, since all derivatives have been taken.
"""

from __future__ import annotations

from chainrule.compile.views import REGIONS, View, elements, is_contiguous, is_dense, view_at
from chainrule.graph.graph import Graph, Line
from chainrule.ops.structure import stop_gradient

Pairs = tuple[tuple[int, int], ...]  # (input, output) positions that had best share memory


def with_own_memory(graph: Graph, pairs: Pairs = ()) -> Graph:
    """The graph with a copy wherever one is needed.

    An input that is itself a result stays where (input, result) is among ``pairs``.
    """
    return _Copies(graph, pairs).run()


class _Copies:
    def __init__(self, graph: Graph, pairs: Pairs) -> None:
        self.graph, self.pairs = graph, pairs
        self.lines: list[Line] = []
        self.views: list[View | None] = []
        self.to: list[int] = []  # the old lines in terms of the new

    def run(self) -> Graph:
        graph = self.graph
        for line in graph.lines:
            if line.op is stop_gradient:
                self.to.append(self.to[line.args[0]])
                continue
            args = [self.to[a] for a in line.args]
            if line.op.name in REGIONS:
                args = [a if self._dense(a) else self._copy(a) for a in args]
            self.to.append(self._append(line._replace(args=tuple(args))))
        outputs = [self.to[out] for out in graph.outputs]
        taken: set[int] = set()  # whose memory is a result
        for position, out in enumerate(outputs):
            if out < graph.inputs and (out, position) in self.pairs:
                continue
            root = self._owned(out)
            if root is None or root in taken:
                outputs[position] = root = self._copy(out)
            taken.add(root)
        return Graph(tuple(self.lines), graph.inputs, tuple(outputs), graph.names)

    def _append(self, line: Line) -> int:
        self.lines.append(line)
        self.views.append(view_at(self.lines, self.graph.inputs, len(self.lines) - 1, self.views))
        return len(self.lines) - 1

    def _copy(self, index: int) -> int:
        line = self.lines[index]
        return self._append(Line(stop_gradient, (index,), (), line.spec, line.source, line.of))

    def _dense(self, index: int) -> bool:
        view = self.views[index]
        return view is not None and is_dense(view, self.lines[index].spec.shape)

    def _owned(self, index: int) -> int | None:
        """The computed line whose whole memory this line is, under any shape."""
        view = self.views[index]
        if view is None or view.root < self.graph.inputs or self.lines[view.root].op.name == "constant":
            return None
        shape = self.lines[index].spec.shape
        whole = elements(self.lines[view.root].spec.shape) == elements(shape) and is_contiguous(view, shape)
        return view.root if whole else None
