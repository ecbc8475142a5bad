"""Loops: the second representation.  Each cluster becomes a kernel, a small program of nested loops over scalars.

Statements: ``Loop`` over a range; ``Load`` and ``Store`` at an affine place of a buffer; ``Compute`` one op on scalars;
``Start``, ``Update`` and ``Finish`` of an accumulator.  Scalars are named once (SSA).  Buffers are named by the graph
line whose numbers they hold.  Axes that lie one behind the other in every buffer are merged into one loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import DType, Shape
from chainrule.compile.fuse import Cluster, Fused, literal, strides_over
from chainrule.compile.views import View, c_strides, elements
from chainrule.graph.graph import Graph


class Place(NamedTuple):
    """An affine position in a buffer: ``offset`` elements plus, per loop variable, a stride."""

    offset: int
    terms: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        parts = [f"{s}*{v}" if s != 1 else v for v, s in self.terms]
        return " + ".join(parts + ([str(self.offset)] if self.offset or not parts else []))


class Load(NamedTuple):
    """``name = buffer[place]``."""

    name: str
    buffer: Any
    place: Place
    dtype: DType


class Compute(NamedTuple):
    """``name = op(args)`` in ``dtype`` (of the arguments), giving ``result``; literals are (value,) tuples."""

    name: str
    op: str
    args: tuple[Any, ...]
    dtype: DType
    result: DType


class Store(NamedTuple):
    """``buffer[place] = value``."""

    buffer: Any
    place: Place
    value: Any
    dtype: DType


class Start(NamedTuple):
    """A fresh accumulator."""

    name: str
    dtype: DType
    value: Any


class Update(NamedTuple):
    """``accumulator = op(accumulator, value)``."""

    accumulator: str
    op: str
    value: Any
    dtype: DType


class Finish(NamedTuple):
    """``name`` is what the accumulator holds now."""

    name: str
    accumulator: str
    dtype: DType


@dataclass
class Loop:
    """``for var in range(extent)``.

    The loop that is ``split`` runs over the part it is given; the steps of one that is ``carried`` keep their order.
    """

    var: str
    extent: int
    body: list[Any] = field(default_factory=list)
    split: bool = False
    carried: bool = False


@dataclass
class Kernel:
    """The loops of one cluster.  ``scratch`` names small buffers of its own: name → (elements, dtype)."""

    name: str
    body: list[Any]
    work: int
    scratch: dict[str, tuple[int, DType]] = field(default_factory=dict)
    sources: tuple[Any, ...] = ()

    @property
    def splits(self) -> int:
        """Extent of the outermost loop, over which work may be divided; 1 where there is none."""
        return next((s.extent for s in self.body if isinstance(s, Loop) and s.split), 1)

    def __str__(self) -> str:
        lines = [f"kernel {self.name}:"]
        lines += [f"  scratch {name}[{n}]" for name, (n, _) in self.scratch.items()]
        _print(self.body, 1, lines)
        return "\n".join(lines)


def _shown(value: Any) -> str:
    return str(value[0]) if isinstance(value, tuple) else str(value)


def _print(body: Iterable[Any], depth: int, lines: list[str]) -> None:
    pad = "  " * depth
    for s in body:
        if isinstance(s, Loop):
            lines.append(f"{pad}for {s.var} in {s.extent}{' (split)' if s.split else ''}:")
            _print(s.body, depth + 1, lines)
        elif isinstance(s, Load):
            lines.append(f"{pad}{s.name} = {_buffer(s.buffer)}[{s.place}]")
        elif isinstance(s, Compute):
            lines.append(f"{pad}{s.name} = {s.op} {', '.join(map(_shown, s.args))}")
        elif isinstance(s, Store):
            lines.append(f"{pad}{_buffer(s.buffer)}[{s.place}] = {_shown(s.value)}")
        elif isinstance(s, Start):
            lines.append(f"{pad}{s.name} := {_shown(s.value)}")
        elif isinstance(s, Update):
            lines.append(f"{pad}{s.accumulator} := {s.op} {s.accumulator}, {_shown(s.value)}")
        else:
            lines.append(f"{pad}{s.name} = {s.accumulator}")


def _buffer(buffer: Any) -> str:
    return buffer if isinstance(buffer, str) else f"b{buffer}"


# ------------------------------------------------------------------------------------------------------- merging axes


def merge(shape: Sequence[int], axes: Sequence[int], accesses: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """The ``axes`` merged where every access walks them as one: a list of (extent, the axis whose stride counts)."""
    merged: list[tuple[int, int]] = []
    for axis in axes:
        n = shape[axis]
        if n == 1:
            continue
        if merged and all(a[merged[-1][1]] == a[axis] * n for a in accesses):
            merged[-1] = (merged[-1][0] * n, axis)
        else:
            merged.append((n, axis))
    return merged


CHEAP = frozenset({"add", "sub", "mul", "neg", "where", "cast", "maximum", "minimum", "equal", "less", "greater",
                       "less_equal", "greater_equal", "not_equal", "abs", "chain_mul", "div"})  # fmt: skip
_NEUTRAL = {"sum": 0, "max": -np.inf, "min": np.inf, "any": False, "all": True}
_UPDATES = {"sum": "add", "max": "maximum", "min": "minimum", "any": "logical_or", "all": "logical_and"}
COLUMN_BLOCK = 512  # narrower, and each row of a large matrix is another page; wider, and threads have too few


def _neutral(op: str, dtype: DType) -> Any:
    if op in ("max", "min") and dtype.kind in "iu":
        info = np.iinfo(dtype)
        return info.min if op == "max" else info.max
    return _NEUTRAL[op]


class Lowering:
    """Writes the kernel of one cluster."""

    def __init__(self, fused: Fused, number: int) -> None:
        self.fused = fused
        self.graph: Graph = fused.graph
        self.cluster: Cluster = fused.clusters[number]
        self.number = number
        self.domain: Shape = self.cluster.domain
        self.counter = 0
        self.terms_full: list[tuple[str, int]] = []  # (loop variable, axis of the domain)
        self.rows: dict[int, Any] = {}  # scalars of the current row
        self.phase: dict[int, int] = {}
        self.ready: dict[int, int] = {}  # per row line, the phase before which it is known
        self.shift: tuple[int, int] | None = None  # (axis, start): where a block of columns begins
        self.scratch: dict[str, tuple[int, DType]] = {}

    def fresh(self, prefix: str = "t") -> str:
        self.counter += 1
        return f"{prefix}{self.counter}"

    # Places

    def strides(self, index: int) -> tuple[int, ...]:
        """The strides with which line ``index`` is read over the domain."""
        view = self.view(index)
        return strides_over(view, self.graph.lines[index].spec.shape, self.domain)

    def view(self, index: int) -> View:
        view = self.fused.views[index]
        assert view is not None
        return view

    def row_strides(self, index: int, line: int) -> tuple[int, ...]:
        """The strides over the domain with which row line ``line`` (one value per row) reads its argument ``index``."""
        shape, goal = (self.graph.lines[i].spec.shape for i in (index, line))  # goal: with or without the reduced axes
        strides = strides_over(self.view(index), shape, goal)
        return (*strides[: len(self.cluster.outer_shape)], *(0,) * self.cluster.inner)

    def place(self, offset: int, strides: Sequence[int], terms: Sequence[tuple[Any, ...]]) -> Place:
        found: dict[str, int] = {}
        if self.shift is not None:
            offset += strides[self.shift[0]] * self.shift[1]
        for var, axis, scale in ((t[0], t[1], t[2] if len(t) > 2 else 1) for t in terms):
            step = strides[axis] * scale
            if step:
                found[var] = found.get(var, 0) + step
        return Place(offset, tuple(found.items()))

    def accesses(self, lines: Sequence[int] | None = None) -> list[tuple[int, ...]]:
        """The strides over the domain of everything that the lines (all, unless told) read from or write to memory."""
        found = []
        for index in self.cluster.lines if lines is None else lines:
            row = index in self.cluster.rows and not self._is_reduction(index)
            for a in self.graph.lines[index].args:
                if literal(self.graph, a) is None and self.view(a).root not in self.cluster.full:
                    in_rows = self.view(a).root in self.cluster.rows
                    if not in_rows:
                        found.append(self.row_strides(a, index) if row else self.strides(a))
            if index in self.fused.stored and index in self.cluster.full:
                found.append(c_strides(self.domain))
        if self.cluster.rows and self.cluster.kind == "row":
            found.append((*c_strides(self.cluster.outer_shape), *(0,) * self.cluster.inner))
        return found

    def _is_reduction(self, index: int) -> bool:
        return self.graph.lines[index].op.name in _UPDATES

    # Values

    def value(self, index: int, body: list[Any], known: dict[Any, Any], terms: Any, phase: int = 0) -> Any:
        """The scalar of line ``index`` at the current place, computed, loaded or known."""
        constant = literal(self.graph, index)
        if constant is not None:
            return (constant,)
        view = self.view(index)
        root = view.root
        if root in self.rows and root in self.cluster.rows:
            return self.rows[root]
        if root in self.cluster.full and not (self.phase.get(root, 0) < phase and root in self.fused.stored):
            return self.compute(root, body, known, terms, phase)
        strides = self.strides(index)
        return self.load(root, self.place(view.offset, strides, terms), body, known)

    def load(self, root: int, place: Place, body: list[Any], known: dict[Any, Any]) -> str:
        key = (root, place)
        if key not in known:
            known[key] = self.fresh()
            body.append(Load(known[key], root, place, self.graph.lines[root].spec.dtype))
        found: str = known[key]
        return found

    def compute(self, index: int, body: list[Any], known: dict[Any, Any], terms: Any, phase: int) -> Any:
        if index in known:
            return known[index]
        line = self.graph.lines[index]
        args = tuple(self.value(a, body, known, terms, phase) for a in line.args)
        known[index] = self.emit(index, args, body)
        return known[index]

    def emit(self, index: int, args: tuple[Any, ...], body: list[Any]) -> Any:
        line = self.graph.lines[index]
        name = line.op.name
        if name in ("reshape", "transpose", "broadcast_to", "index", "stop_gradient"):
            return args[0]  # a copy
        source = self.graph.lines[line.args[-1]].spec.dtype
        result = self.fresh()
        body.append(Compute(result, name, args, source, line.spec.dtype))
        return result

    def store(self, index: int, value: Any, place: Place, body: list[Any]) -> None:
        body.append(Store(index, place, value, self.graph.lines[index].spec.dtype))

    # The three shapes of kernel

    def run(self) -> Kernel:
        kind = self.cluster.kind
        body = {"pointwise": self.pointwise, "row": self.row, "column": self.column}[kind]()
        sources = tuple(dict.fromkeys(self.graph.lines[i].source for i in self.cluster.lines))
        work = elements(self.domain) * max(len(self.cluster.lines), 1)
        return Kernel(f"kernel{self.number}", body, work, self.scratch, sources)

    def nest(self, dims: Sequence[tuple[int, int]], prefix: str, split: bool) -> tuple[list[Any], list[Any], Any]:
        """Nested loops for merged axes: (outermost body, innermost body, terms)."""
        top: list[Any] = []
        inner = top
        terms = []
        for position, (extent, axis) in enumerate(dims):
            loop = Loop(f"{prefix}{position}", extent, [], split and position == 0)
            inner.append(loop)
            inner = loop.body
            terms.append((loop.var, axis))
        return top, inner, terms

    def pointwise(self) -> list[Any]:
        dims = merge(self.domain, range(len(self.domain)), self.accesses())
        top, inner, terms = self.nest(dims, "i", True)
        known: dict[Any, Any] = {}
        for index in self.cluster.lines:
            if index in self.fused.stored:
                value = self.compute(index, inner, known, terms, 0)
                self.store(index, value, self.place(0, c_strides(self.domain), terms), inner)
        return top

    def row(self) -> list[Any]:
        rank, count = len(self.domain), self.cluster.inner
        accesses = self.accesses()
        outer = merge(self.domain, range(rank - count), accesses)
        inner = merge(self.domain, range(rank - count, rank), accesses)
        top, body, terms = self.nest(outer, "i", True)
        self._phases()
        ready = self.ready
        phases = max(ready.values(), default=0)
        last = max([phases, *(self.phase[i] for i in self.cluster.full if i in self.fused.stored)])
        self._store_what_is_dear(last)
        row_strides = (*c_strides(self.cluster.outer_shape), *(0,) * count)
        row_place = self.place(0, row_strides, terms)
        row_known: dict[Any, Any] = {}
        for phase in range(last + 1):
            for index in self.cluster.lines:
                if index in self.cluster.rows and not self._is_reduction(index) and ready[index] == phase:
                    line = self.graph.lines[index]
                    args = tuple(self._row_value(a, index, body, row_known, terms) for a in line.args)
                    self.rows[index] = self.emit(index, args, body)
                    if index in self.fused.stored:
                        self.store(index, self.rows[index], row_place, body)
            self._inner_loop(phase, body, inner, terms, row_place)
        return top

    def _row_value(self, index: int, line: int, body: list[Any], known: dict[Any, Any], terms: Any) -> Any:
        constant = literal(self.graph, index)
        if constant is not None:
            return (constant,)
        view = self.view(index)
        if view.root in self.rows:
            return self.rows[view.root]
        return self.load(view.root, self.place(view.offset, self.row_strides(index, line), terms), body, known)

    def _inner_loop(self, phase: int, body: list[Any], dims: Any, terms: Any, row_place: Place) -> None:
        reductions = [i for i in self.cluster.lines if i in self.cluster.rows and self._is_reduction(i)
                      and self._phase_of(self.graph.lines[i].args[0]) == phase]  # fmt: skip
        stores = [i for i in self.cluster.lines if i in self.cluster.full and i in self.fused.stored
                  and self.phase[i] == phase]  # fmt: skip
        if not reductions and not stores:
            return
        accumulators = {}
        for i in reductions:
            line = self.graph.lines[i]
            accumulators[i] = self.fresh("a")
            body.append(Start(accumulators[i], line.spec.dtype, (_neutral(line.op.name, line.spec.dtype),)))
        loops, innermost, inner_terms = self.nest(dims, f"j{phase}_", False)
        target = body if loops is innermost else innermost
        if loops is not innermost:
            body.extend(loops)
        known: dict[Any, Any] = {}
        every = [*terms, *inner_terms]
        for i in self.cluster.lines:
            if i in stores:
                value = self.compute(i, target, known, every, phase)
                self.store(i, value, self.place(0, c_strides(self.domain), every), target)
            elif i in accumulators:
                line = self.graph.lines[i]
                value = self.value(line.args[0], target, known, every, phase)
                target.append(Update(accumulators[i], _UPDATES[line.op.name], value, line.spec.dtype))
        for i, name in accumulators.items():
            line = self.graph.lines[i]
            self.rows[i] = self.fresh()
            body.append(Finish(self.rows[i], name, line.spec.dtype))
            if i in self.fused.stored:
                self.store(i, self.rows[i], row_place, body)

    def _phase_of(self, arg: int) -> int:
        """The phase in which a reduction of ``arg`` runs."""
        root = self.view(arg).root
        return self.ready.get(root, self.phase.get(root, 0))

    def _phases(self) -> None:
        """Fill ``phase`` for the full lines, and ``ready`` for the row lines."""
        ready = self.ready
        for index in self.cluster.lines:
            roots = [self.view(a).root for a in self.graph.lines[index].args if literal(self.graph, a) is None]
            needs = max((ready[r] if r in ready else self.phase.get(r, 0) for r in roots), default=0)
            if index in self.cluster.full:
                self.phase[index] = needs
            elif self._is_reduction(index):
                ready[index] = needs + 1
            else:
                ready[index] = needs

    def _store_what_is_dear(self, last: int) -> None:
        """A value that a later phase needs is kept in memory, unless it is cheaper to compute it again."""
        for phase in range(1, last + 1):
            pending = [i for i in self.cluster.full if i in self.fused.stored and self.phase[i] == phase]
            pending += [self.view(self.graph.lines[i].args[0]).root for i in self.cluster.rows
                        if self._is_reduction(i) and self._phase_of(self.graph.lines[i].args[0]) == phase]  # fmt: skip
            seen: set[int] = set()
            while pending:
                i = pending.pop()
                if i in seen or i not in self.cluster.full:
                    continue
                seen.add(i)
                if self.phase[i] < phase:
                    if i in self.fused.stored:
                        continue
                    if self.graph.lines[i].op.name not in CHEAP:
                        self.fused.stored.add(i)
                        continue
                pending += [self.view(a).root for a in self.graph.lines[i].args if literal(self.graph, a) is None]

    def column(self) -> list[Any]:
        rank, count = len(self.domain), self.cluster.inner
        accesses = self.accesses()
        reduced = merge(self.domain, range(count), accesses)
        kept = merge(self.domain, range(count, rank), [*accesses, c_strides(self.domain)])
        if not kept:
            kept = [(1, rank - 1)]
        *others, (width, axis) = kept
        top, body, terms = self.nest(others, "i", False)
        whole, rest = divmod(width, COLUMN_BLOCK)
        if whole:
            block = Loop("c", whole, [], not others)
            self._column_block(block.body, reduced, [*terms, ("c", axis, COLUMN_BLOCK)], axis, COLUMN_BLOCK, 0)
            body.append(block)
        if rest:
            self._column_block(body, reduced, terms, axis, rest, whole * COLUMN_BLOCK)
        if others and isinstance(top[0], Loop):
            top[0].split = True
        return top

    def _column_block(
        self, body: list[Any], reduced: Any, terms: list[Any], axis: int, width: int, start: int
    ) -> None:
        reductions = [i for i in self.cluster.lines if i in self.cluster.rows]
        names = {}
        for i in reductions:
            dtype = self.graph.lines[i].spec.dtype
            names[i] = self.fresh("s")
            self.scratch[names[i]] = (width, dtype)
            body.append(Loop(var := self.fresh("k"), width, [
                Store(names[i], Place(0, ((var, 1),)), (_neutral(self.graph.lines[i].op.name, dtype),), dtype)
            ]))  # fmt: skip
        loops, inner, more = self.nest(reduced, self.fresh("r"), False)
        column = Loop(self.fresh("k"), width)
        inner.append(column)
        every = [*terms, *more, (column.var, axis)]
        known: dict[Any, Any] = {}
        self.shift = (axis, start)
        for i in self.cluster.lines:
            if i in self.cluster.full and i in self.fused.stored:
                value = self.compute(i, column.body, known, every, 0)
                self.store(i, value, self.place(0, c_strides(self.domain), every), column.body)
            elif i in names:
                line = self.graph.lines[i]
                dtype = line.spec.dtype
                value = self.value(line.args[0], column.body, known, every)
                before, after = self.fresh(), self.fresh()
                here = Place(0, ((column.var, 1),))
                column.body.append(Load(before, names[i], here, dtype))
                column.body.append(Compute(after, _UPDATES[line.op.name], (before, value), dtype, dtype))
                column.body.append(Store(names[i], here, after, dtype))
        body.extend(loops)
        for i in reductions:
            dtype = self.graph.lines[i].spec.dtype
            var, got = self.fresh("k"), self.fresh()
            kept = (*(0,) * self.cluster.inner, *c_strides(self.domain[self.cluster.inner :]))
            out = self.place(0, kept, [*terms, (var, axis)])
            body.append(Loop(var, width, [Load(got, names[i], Place(0, ((var, 1),)), dtype),
                                          Store(i, out, got, dtype)]))  # fmt: skip
        self.shift = None


def lower(fused: Fused, number: int) -> Kernel:
    """The loops of cluster ``number`` (pointwise, row, column or move)."""
    if fused.clusters[number].kind == "move":
        from chainrule.compile.moves import lower_move

        return lower_move(fused, number)
    return Lowering(fused, number).run()
