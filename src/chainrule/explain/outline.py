"""How a graph is told: which lines are steps of their own, which belong to the formula of a later one.

Two outlines of one graph: every line for itself, and the reader's one, where a line whose value is used in one place
only is written inside that formula: ``z = w·x + b`` is one step of two lines.  Values with a name, results and inputs
of non-linear functions, and values used in several places always stand for themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from chainrule.explain.names import Code, assigned_names, identifier, input_symbols, numbered
from chainrule.graph.graph import Graph
from chainrule.ops.structure import is_plumbing

MOST_LINES = 6
"""Lines that one formula may hold."""

_SIMPLE = frozenset({
    "add", "sub", "mul", "chain_mul", "div", "neg", "pow", "cast", "reshape", "transpose", "broadcast_to", "sum",
    "matmul", "index", "gather", "real", "imag", "conj", "concatenate", "equal", "not_equal", "less", "less_equal",
    "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "isfinite", "stop_gradient", "unindex",
    "update", "item", "constant", "input",
})  # fmt: skip


@dataclass(frozen=True)
class Outline:
    """``head[i]``: the line in whose formula line i is written (i itself for a step of its own).

    ``heads``: those lines in order, inputs included.  ``symbol``: LaTeX per line that has one.
    """

    graph: Graph
    heads: tuple[int, ...]
    head: tuple[int, ...]
    symbol: dict[int, str]

    def members(self, head: int) -> list[int]:
        """The lines of a step."""
        return self._by_head.get(head, [])

    @cached_property
    def _by_head(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for line, head in enumerate(self.head):
            found.setdefault(head, []).append(line)
        return found


def consumers(graph: Graph) -> list[set[int]]:
    """Per line, the lines that read it."""
    found: list[set[int]] = [set() for _ in graph.lines]
    for index, line in enumerate(graph.lines):
        for arg in line.args:
            found[arg].add(index)
    return found


def outlines(graph: Graph, code: Code, within: Mapping[int, str]) -> tuple[Outline, Outline]:
    """(every line for itself, the reader's outline), with the same symbols.

    ``within``: per line, the turn of a loop or the branch it is in; no formula has lines of two of them.
    """
    names = assigned_names(graph, code)
    readers = consumers(graph)
    plumbing = [is_plumbing(line.op.name) for line in graph.lines]
    standing = _standing(graph, names, readers, plumbing)
    grouped = _grouped(graph, standing, readers, within)
    symbol = _symbols(graph, names, grouped, readers)
    kept = {*range(graph.inputs), *graph.outputs}
    single = [i if i in kept or line.op.name != "constant" else -1 for i, line in enumerate(graph.lines)]
    return _outline(graph, single, symbol), _outline(graph, grouped, symbol)


def _outline(graph: Graph, head: list[int], symbol: dict[int, str]) -> Outline:
    return Outline(graph, tuple(i for i, h in enumerate(head) if h == i), tuple(head), symbol)


def _is_simple(graph: Graph, index: int) -> bool:
    line = graph.lines[index]
    if line.op.name == "pow":
        return graph.lines[line.args[1]].op.name == "constant"
    return line.op.name in _SIMPLE


def _standing(graph: Graph, names: dict[int, str], readers: list[set[int]], plumbing: list[bool]) -> list[bool]:
    """Lines that are steps of their own, whatever surrounds them."""
    found = [i < graph.inputs for i in range(len(graph.lines))]
    for index in (*names, *graph.outputs):
        found[index] = True
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if plumbing[index]:
            found[index] = found[index] or line.op.name == "item"
            continue
        if len(readers[index]) > 1 and line.op.name not in ("equal", "less", "less_equal", "greater", "greater_equal"):
            found[index] = True
        if not _is_simple(graph, index):
            found[index] = True
            for arg in line.args:
                if not plumbing[arg] and line.op.name != "where":
                    found[arg] = True
    return found


def _grouped(
    graph: Graph, standing: list[bool], readers: list[set[int]], within: Mapping[int, str]
) -> list[int]:
    head = [-1] * len(graph.lines)
    size: dict[int, int] = {}
    for index in range(len(graph.lines) - 1, -1, -1):
        if index >= graph.inputs and graph.lines[index].op.name == "constant" and index not in graph.outputs:
            continue
        above = {head[r] for r in readers[index]}
        joined = above.pop() if len(above) == 1 else -1
        apart = joined >= 0 and within.get(index) != within.get(joined)
        if standing[index] or joined < 0 or apart or size[joined] >= MOST_LINES:
            joined = index
        head[index] = joined
        size[joined] = size.get(joined, 0) + 1
    return head


def _symbols(graph: Graph, names: dict[int, str], head: list[int], readers: list[set[int]]) -> dict[int, str]:
    inputs = input_symbols([graph.input_name(i) or f"c{i}" for i in range(graph.inputs)])
    symbol = dict(enumerate(inputs))
    wanted: dict[int, str] = {}
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if line.op.name == "constant" and index not in graph.outputs:
            continue
        if index in names:
            wanted[index] = identifier(names[index])
        elif index == graph.outputs[0]:
            wanted[index] = "L" if not getattr(line.spec, "shape", (1,)) else "y"
        elif getattr(getattr(line.spec, "dtype", None), "kind", "f") in "iub":
            wanted[index] = "m" if line.spec.dtype.kind == "b" else "i"
        elif not _is_simple(graph, index):
            wanted[index] = "a"
        elif head[index] == index and any(
            not _is_simple(graph, r) or graph.lines[r].op.name == "where" for r in readers[index]
        ):
            wanted[index] = "z"
        else:
            wanted[index] = "u" if head[index] == index else "v"
    taken = set(inputs)
    _number(symbol, {i: latex for i, latex in wanted.items() if i in names}, taken)  # the user's names come first
    _number(symbol, {i: latex for i, latex in wanted.items() if i not in names}, taken)
    return symbol


def _number(symbol: dict[int, str], wanted: dict[int, str], taken: set[str]) -> None:
    """Give each line its symbol, with a number where several want the same or it is taken."""
    total = Counter(wanted.values())
    count: dict[str, int] = {}
    for index, latex in wanted.items():
        number = count.get(latex, 0)
        while True:
            number += 1
            candidate = latex if total[latex] == 1 and number == 1 else numbered(latex, number)
            if candidate not in taken:
                break
        count[latex] = number
        taken.add(candidate)
        symbol[index] = candidate
