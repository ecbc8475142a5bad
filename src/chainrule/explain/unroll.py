"""Loops unrolled, branches taken, checkpoints opened: a graph in which all that runs stands line by line.

What happens between the time steps of a recurrent network is inside the body of its loop.  ``flat`` writes every step
out, for what looks for layers; ``opened`` writes what a person reads: the steps of a short loop, of a longer one the
first and the last around a loop of the others, of a ``cond`` the branch that is taken at the values given.  The lines
keep the user's source lines.

Does not do: rules of the user (``custom_vjp``) and ``while_loop`` stay one line each; a graph that would become too
long keeps its loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph, Line, live_lines
from chainrule.ops.expr import CATALOGUE, Expr

MOST_LINES = 100_000
LONGEST = 20
"""Steps of a loop that are all told; of a longer one the first and the last are."""
MOST_TOLD = 2_000
"""Lines that one loop may be told in."""

_TURN = "tsr"  # how the turns of a loop, of a loop in a loop, … are counted


class Opened(NamedTuple):
    """A graph without loops and branches where that is possible; ``within``: per line of it the turn or the branch it
    is from, as ``t = 2 of 5``; ``branches``: whether branches were taken, which other values may not take."""

    graph: Graph
    within: Mapping[int, str]
    branches: bool


def flat(graph: Graph) -> Graph:
    """``graph`` without ``scan`` and ``call`` lines; itself where it has none, or would become too long."""
    if not _holds(graph, ("scan", "call")) or _length(graph) > MOST_LINES:
        return graph
    return _Writer(None, None).opened(graph).graph


def opened(graph: Graph, inputs: Sequence[Any]) -> Opened:
    """``graph`` as a person reads it, at the values ``inputs``; itself where there is nothing to open."""
    if not _holds(graph, ("scan", "call", "cond")) or _length(graph, LONGEST) > MOST_LINES:
        return Opened(graph, {}, False)
    return _Writer(LONGEST, inputs).opened(graph)


def _holds(graph: Graph, names: Sequence[str]) -> bool:
    return any(line.op.name in names for line in graph.lines)


def _length(graph: Graph, longest: int | None = None) -> int:
    """How many lines the unrolled graph has, at the most."""
    total = len(graph)
    for line in graph.lines:
        attrs = dict(line.attrs)
        if line.op.name == "scan":
            turns = attrs["length"] if longest is None else min(attrs["length"], longest)
            total += turns * (_length(attrs["body"], longest) + graph.inputs)
        elif line.op.name == "call":
            total += _length(attrs["graph"], longest)
        elif line.op.name == "cond" and longest is not None:
            total += max(_length(attrs["if_true"], longest), _length(attrs["if_false"], longest))
        if total > MOST_LINES:  # deep nests grow quickly: no need to know by how much it is too long
            return total
    return total


class _Writer:
    """Writes graphs into one builder, what they hold written out.  Recursion is as deep as they nest.

    ``longest``: the turns of a loop that are all written (None: of any).  ``values``: those of the inputs, by which
    branches are taken (None: they stay closed).
    """

    def __init__(self, longest: int | None, values: Sequence[Any] | None) -> None:
        self.builder = Builder()
        self.longest = longest
        self.known = None if values is None else [np.asarray(value)[()] for value in values]
        self.within: dict[int, str] = {}
        self.place: list[str] = []
        self.depth = 0
        self.branches = False

    def opened(self, graph: Graph) -> Opened:
        inputs = [self.builder.input(spec, graph.input_name(i)) for i, spec in enumerate(graph.input_specs)]
        outputs = self.written(graph, inputs)
        live = live_lines(self.builder.lines, [o.index for o in outputs])
        kept = [i for i, alive in enumerate(live) if alive or i < graph.inputs]  # as ``finish`` keeps them
        within = {new: self.within[i] for new, i in enumerate(kept) if i in self.within}
        return Opened(self.builder.finish(outputs)[0], within, self.branches)

    def written(self, graph: Graph, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of ``graph`` on ``inputs``, its lines written to the builder."""
        values: list[Any] = list(inputs)
        for line in graph.lines[graph.inputs :]:
            before = len(self.builder.lines)
            values.append(self._line(line, [values[a] for a in line.args]))
            if self.place:
                for index in range(before, len(self.builder.lines)):
                    self.within.setdefault(index, ", ".join(self.place))
        return [values[i] for i in graph.outputs]

    def _line(self, line: Line, args: list[Any]) -> Any:
        attrs = dict(line.attrs)
        if line.op.name == "item":
            return args[0][attrs["position"]]
        if line.op.name == "call":
            return tuple(self.written(attrs["graph"], args))
        if line.op.name == "scan" and self._is_told(attrs):
            return self._turns(line, args)
        if line.op.name == "cond" and self.known is not None:
            taken = bool(self._value(args[0].index))
            self.branches = True
            with _Within(self, f"condition {str(taken).lower()}"):
                return tuple(self.written(attrs["if_true" if taken else "if_false"], args[1:]))
        indices = tuple([a.index for a in args])
        return self.builder.wrap(self.builder.append(line.op, indices, line.attrs, line.spec, line.source))

    def _is_told(self, attrs: Mapping[str, Any]) -> bool:
        if self.longest is None or not attrs["length"]:
            return bool(attrs["length"])
        turns = attrs["length"] if attrs["length"] <= self.longest else 2
        return int(turns) * _length(attrs["body"], self.longest) <= MOST_TOLD

    def _value(self, index: int) -> Any:
        """The value of a line of the builder; all lines before it are computed, each once."""
        assert self.known is not None
        with np.errstate(all="ignore"):
            for line in self.builder.lines[len(self.known) : index + 1]:
                self.known.append(line.op.run(*[self.known[a] for a in line.args], **dict(line.attrs)))
        return self.known[index]

    def _turns(self, line: Line, args: list[Any]) -> tuple[Any, ...]:
        """The outputs of a ``scan`` line: its body written for its turns, the stacked outputs joined again."""
        attrs = dict(line.attrs)
        consts, carries, length = attrs["consts"], attrs["carries"], attrs["length"]
        fixed, carry, walked = args[:consts], args[consts : consts + carries], args[consts + carries :]
        spans = [(step, step + 1) for step in range(length)]
        if self.longest is not None and length > self.longest:
            spans = [(0, 1), (1, length - 1), (length - 1, length)]
        parts: dict[int, Sequence[Expr]] = {}  # by the first turn of a span, its stacked outputs
        letter = _TURN[min(self.depth, len(_TURN) - 1)]
        self.builder.follow(line.source)
        for low, high in reversed(spans) if attrs["reverse"] else spans:
            turns = f"{low + 1}" if high == low + 1 else f"{low + 1} … {high}"
            self.depth += 1
            with _Within(self, f"{letter} = {turns} of {length}"):
                if high == low + 1:
                    rows = [self._noted(CATALOGUE["index"], w, key=(low, *_all(w.shape[1:]))) for w in walked]
                    out = self.written(attrs["body"], [*fixed, *carry, *rows])
                else:
                    key = ((low, high, 1),)
                    rows = [self._noted(CATALOGUE["index"], w, key=(*key, *_all(w.shape[1:]))) for w in walked]
                    out = self._noted(line.op, *fixed, *carry, *rows, **(attrs | {"length": high - low}))
            self.depth -= 1
            carry, parts[low] = out[:carries], out[carries:]
        rows_of = [parts[low] if high > low + 1 else [_row(o) for o in parts[low]] for low, high in spans]
        columns = zip(*rows_of, strict=True)
        return (*carry, *(c[0] if len(c) == 1 else CATALOGUE["concatenate"](*c, axis=0) for c in columns))

    def _noted(self, op: Any, *args: Any, **attrs: Any) -> Any:
        """``op`` applied, its lines noted as being from here."""
        before = len(self.builder.lines)
        out = op(*args, **attrs)
        for index in range(before, len(self.builder.lines)):
            self.within.setdefault(index, ", ".join(self.place))
        return out


class _Within:
    """While it is entered, lines are from ``place``."""

    def __init__(self, writer: _Writer, place: str) -> None:
        self.writer, self.place = writer, place

    def __enter__(self) -> None:
        self.writer.place.append(self.place)

    def __exit__(self, *error: object) -> None:
        self.writer.place.pop()


def _row(value: Expr) -> Any:
    return CATALOGUE["reshape"](value, shape=(1, *value.shape))


def _all(shape: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    return tuple((0, size, 1) for size in shape)
