"""Loops: the second representation.  Each cluster becomes a kernel, a small program of nested loops over scalars.

Statements: ``Loop`` over a range; ``Load`` and ``Store`` at an affine place of a buffer; ``Compute`` one op on scalars;
``Start``, ``Update`` and ``Finish`` of an accumulator.  Scalars are named once (SSA).  Buffers are named by the graph
line whose numbers they hold.  Axes that lie one behind the other in every buffer are merged into one loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chainrule.base.arrays import DType, Shape
from chainrule.compile.fuse import REDUCTIONS, Cluster, Fused, literal, strides_over
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


class Lowering:
    """Writes the kernel of one cluster: of a pointwise one here, of others in subclasses."""

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
        self.shifts: dict[int, int] = {}  # axis → where the block that is written begins on it
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
        offset += sum(strides[axis] * start for axis, start in self.shifts.items())
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
        return self.graph.lines[index].op.name in REDUCTIONS

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

    # Kernels

    def run(self) -> Kernel:
        body = self.body()
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

    def body(self) -> list[Any]:
        """The statements of the kernel."""
        dims = merge(self.domain, range(len(self.domain)), self.accesses())
        top, inner, terms = self.nest(dims, "i", True)
        known: dict[Any, Any] = {}
        for index in self.cluster.lines:
            if index in self.fused.stored:
                value = self.compute(index, inner, known, terms, 0)
                self.store(index, value, self.place(0, c_strides(self.domain), terms), inner)
        return top


def lower(fused: Fused, number: int) -> Kernel:
    """The loops of cluster ``number`` (pointwise, row, column or move)."""
    kind = fused.clusters[number].kind
    if kind == "move":
        from chainrule.compile.moves import lower_move

        return lower_move(fused, number)
    if kind in ("row", "column"):
        from chainrule.compile.reductions import lower_reduction

        return lower_reduction(fused, number)
    return Lowering(fused, number).run()
