"""Builds a graph line by line.

The builder hash-conses: the same op on the same lines with the same attributes is the same line, so common
subexpressions never appear and ``x*x`` is one line that uses ``x`` twice.  Arrays met on the way become inputs
("captured"), copied so that a later in-place write by the user can't change what was computed; scalars become
constants.  Values are computed on demand, in order, each once.

Does not simplify what the user wrote; lines that no output needs are dropped by :meth:`Builder.finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec, spec_of
from chainrule.base.errors import ChainruleError, DtypeError, LeakedSymbolError, TraceError
from chainrule.graph.graph import Constant, Graph, Line, Source, live_lines
from chainrule.graph.source import user_source
from chainrule.ops.expr import CATALOGUE, Expr
from chainrule.ops.record import Op, differentiable_output

ACTIVE: ContextVar[Builder | None] = ContextVar("chainrule_active_builder", default=None)
"""The builder of the function being traced in this thread; inner functions trace into builders of their own."""

FINISHED: list[Callable[[Graph], None]] = []
"""What looks at every graph that is finished; the checker, where it is turned on (:mod:`chainrule.graph.check`)."""

_WEAK = (int, float, complex)
_SCALARS = (bool, int, float, complex, np.generic)


class Builder:
    """Lines under construction.

    ``handle`` makes the user-facing object for a line: Symbol while tracing, Expr in transforms.  ``tracing`` builders
    note the user's source line and record into whatever builder is active; the others write where they are told.
    ``follow`` sets the source and ``of`` that the next lines get.
    """

    def __init__(self, handle: Callable[[Any, int], Expr] = Expr, tracing: bool = False, name: str = "") -> None:
        self.handle = handle
        self.tracing = tracing
        self.name = name
        self.lines: list[Line] = []
        self.table: dict[Any, int] = {}
        self.explicit: list[int] = []
        self.captured: list[tuple[int, Any]] = []
        self.given: dict[int, Any] = {}
        self.values: dict[int, Any] = {}
        self.names: dict[int, str] = {}
        self.kept_alive: list[Any] = []
        self.closed = False
        self.source: Source | None = None
        self.of: tuple[int, int] | None = None

    def active(self) -> Builder:
        """The builder that a new line goes to."""
        if not self.tracing:
            return self
        return ACTIVE.get() or self

    def leak_error(self) -> LeakedSymbolError:
        """The error for using a Symbol of this builder outside its function."""
        return leaked(self)

    def follow(self, source: Source | None, of: tuple[int, int] | None = None) -> None:
        """Give the lines that come this source, and this ``of``."""
        self.source = source
        self.of = of

    # Lines

    def append(
        self,
        op: Op,
        args: tuple[int, ...],
        attrs: tuple[tuple[str, Any], ...],
        spec: Any,
        source: Source | None = None,
        of: tuple[int, int] | None = None,
    ) -> int:
        """The index of this line, which is new only if there is none like it."""
        key = (op, args, attrs)
        found = self.table.get(key)
        if found is not None:
            return found
        index = len(self.lines)
        self.lines.append(Line(op, args, attrs, spec, source, of))
        self.table[key] = index
        return index

    def _location(self) -> Source | None:
        return user_source() if self.tracing else self.source

    def emit(self, op: Op, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """Record ``op`` on Exprs, arrays and scalars; returns the handle of its output (a tuple of several)."""
        if self.closed:
            raise leaked(self)
        try:
            if op.broadcasts:
                indices, spec = self._broadcasting(op, args)
            else:
                indices = tuple([self.line_of(a) for a in args])
                spec = op.infer([self.lines[i].spec for i in indices], attrs)
        except ChainruleError as error:
            raise located(error, op.name, self._location()) from None
        packed = tuple(sorted(attrs.items())) if attrs else ()
        key = (op, indices, packed)
        index = self.table.get(key)
        if index is None:
            index = len(self.lines)
            self.lines.append(Line(op, indices, packed, spec, self._location(), self.of))
            self.table[key] = index
        return self.handle(self, index) if type(spec) is Spec else self.wrap(index)

    def wrap(self, index: int) -> Any:
        """The handle of a line; for a line with several outputs, a tuple of handles of its items."""
        spec = self.lines[index].spec
        if isinstance(spec, Spec):
            return self.handle(self, index)
        line = self.lines[index]
        item = CATALOGUE["item"]
        return tuple(
            self.handle(self, self.append(item, (index,), (("position", i),), part, line.source, line.of))
            for i, part in enumerate(spec)
        )

    def _broadcasting(self, op: Op, args: Sequence[Any]) -> tuple[tuple[int, ...], Spec]:
        """The argument lines and the output's Spec of a ufunc, with scalars made constants and dtypes made to agree."""
        lines = self.lines
        first = args[0]
        if isinstance(first, Expr) and first.builder is self:  # most often: all are lines of this graph, of one type
            indices = [first.index]
            spec = lines[indices[0]].spec
            for a in args[1:]:
                if not (isinstance(a, Expr) and a.builder is self):
                    break
                index = a.index
                other = lines[index].spec
                if other is not spec and other != spec:
                    break
                indices.append(index)
            else:
                out = _of_one_type(op, spec.dtype, len(args))
                if out is not None:
                    return tuple(indices), spec if out is spec.dtype else Spec(spec.shape, out)
        kinds: list[Any] = []
        found: list[Any] = []
        common: Spec | None = None  # the one Spec of all arguments that are lines, as long as there is one
        alike = True
        for a in args:
            if isinstance(a, Expr):
                index = a.index if a.builder is self else self.capture(a)
            elif type(a) in _WEAK:
                found.append(None)
                kinds.append(type(a))
                continue
            else:
                index = self.line_of(a)
            found.append(index)
            spec = lines[index].spec
            kinds.append(spec.dtype)
            if common is None:
                common = spec
            elif spec is not common and spec != common:
                alike = False
        into, out = op.loop(kinds)
        for position, index in enumerate(found):
            if index is None:
                found[position] = self._scalar_line(args[position], into[position])
            elif kinds[position] is not into[position] and kinds[position] != into[position]:
                found[position] = self._cast(index, into[position])
        if not alike:
            return tuple(found), op.infer([lines[i].spec for i in found], {})
        if common is None:
            return tuple(found), Spec((), out)
        return tuple(found), common if common.dtype == out else Spec(common.shape, out)

    def _scalar_line(self, value: Any, dtype: Any) -> int:
        """The constant line of a Python scalar; asking again for one is quick."""
        if not value:  # 0.0 and -0.0 are one key but two numbers
            return self.constant_line(np.asarray(value, dtype))
        key = (type(value), value, dtype)
        index = self.table.get(key)
        if index is None:
            index = self.table[key] = self.constant_line(np.asarray(value, dtype))
        return index

    def _cast(self, index: int, dtype: Any) -> int:
        spec = Spec(self.lines[index].spec.shape, dtype)
        return self.append(CATALOGUE["cast"], (index,), (("dtype", dtype),), spec, self._location(), self.of)

    def line_of(self, value: Any) -> int:
        """The line of an Expr, an array or a scalar, captured or made a constant as needed."""
        if isinstance(value, Expr):
            return value.index if value.builder is self else self.capture(value)
        if isinstance(value, _SCALARS) or (isinstance(value, np.ndarray) and value.ndim == 0):
            return self.constant_line(np.asarray(value))
        return self.capture_array(value)

    def constant_line(self, array: Any) -> int:
        """The line of a constant held in the graph itself."""
        attrs = (("value", Constant(array)),)
        return self.append(CATALOGUE["constant"], (), attrs, Spec(array.shape, array.dtype), None, self.of)

    def constant(self, array: Any) -> Expr:
        """The handle of a constant held in the graph itself."""
        return self.handle(self, self.constant_line(np.asarray(array)))

    # Inputs

    def input(self, spec: Spec, name: str = "", given: Any = None) -> Expr:
        """A new input; ``given`` is its value: an array, or a handle of an outer builder's line, or None."""
        index = self._new_input(spec, name, given)
        self.explicit.append(index)
        return self.handle(self, index)

    def placeholder(self, spec: Spec) -> Expr:
        """A line that stands for a value no output will need: :meth:`finish` drops it."""
        return self.handle(self, self._new_input(spec, "", None))

    def _new_input(self, spec: Spec, name: str, given: Any) -> int:
        index = len(self.lines)
        self.lines.append(Line(CATALOGUE["input"], (), (), spec))
        if name:
            self.names[index] = name
        if given is not None:
            self.given[index] = given
        return index

    def capture(self, outer: Expr) -> int:
        """The input that stands for a line of an enclosing function's graph."""
        if outer.builder.closed:
            raise leaked(outer.builder)
        if not self.tracing:
            raise TraceError(
                "an Expr of another graph reached a transform",
                expected="values of the function that is being transformed",
                got=repr(outer),
                fix="pass it to the transform as an argument",
            )
        outer_index = outer.index
        key = ("captured", id(outer.builder), outer_index)
        index = self.table.get(key)
        if index is None:
            frozen = Expr(outer.builder, outer_index)
            index = self._new_input(outer.spec, outer.builder.names.get(outer_index, ""), frozen)
            self.captured.append((index, frozen))
            self.table[key] = index
            self.kept_alive.append(outer.builder)
        return index

    def capture_array(self, value: Any) -> int:
        """The input that stands for a concrete array met on the way."""
        refuse_masked(value, "an array the function uses")
        array = native(value)
        key = ("array", id(value))
        index = self.table.get(key)
        if index is not None and same_array(self.values[index], array):
            return index
        spec = spec_of(array)
        copy = np.array(array)
        copy.flags.writeable = False
        index = self._new_input(spec, "", copy)
        self.values[index] = copy
        self.captured.append((index, copy))
        self.table[key] = index
        self.kept_alive.append(value)
        return index

    # Values

    def value(self, index: int) -> Any:
        """The concrete value of a line.  Raises KeyError(index of an input) where an input has none."""
        values = self.values
        if index in values:
            return values[index]
        needed = {index}
        stack = [index]
        while stack:
            for arg in self.lines[stack.pop()].args:
                if arg not in values and arg not in needed:
                    needed.add(arg)
                    stack.append(arg)
        with np.errstate(all="ignore"):
            for i in sorted(needed):
                line = self.lines[i]
                if line.op.name == "input":
                    values[i] = self._given_value(i)
                else:
                    values[i] = line.op.run(*[values[a] for a in line.args], **dict(line.attrs))
        return values[index]

    def _given_value(self, index: int) -> Any:
        given = self.given.get(index)
        if given is None:
            raise KeyError(index)
        return given.builder.value(given.index) if isinstance(given, Expr) else given

    def carries_gradient(self, index: int) -> bool:
        """Whether a derivative reaches this line from an input, here or in an enclosing function."""
        seen: set[int] = set()
        stack = [index]
        while stack:
            i = stack.pop()
            line = self.lines[i]
            if i in seen or not differentiable_output(line.spec):
                continue
            seen.add(i)
            if line.op.name == "input":
                given = self.given.get(i)
                if isinstance(given, Expr):
                    if given.builder.carries_gradient(given.index):
                        return True
                elif i in self.explicit:
                    return True
            attrs = dict(line.attrs)
            stack.extend(
                a
                for position, a in enumerate(line.args)
                if line.op.name == "item" or line.op.undifferentiable(position, attrs) is None
            )
        return False

    # The result

    def finish(self, outputs: Sequence[Any]) -> tuple[Graph, list[Any]]:
        """The graph of ``outputs`` (handles, arrays or scalars) and the captured values that go behind its inputs."""
        indices = [self.line_of(o) for o in outputs]
        live = live_lines(self.lines, indices)
        captured = [(i, value) for i, value in self.captured if live[i]]
        order = self.explicit + [i for i, _ in captured]
        names = tuple([self.names.get(i, "") for i in order])
        if order == list(range(len(order))) and all(live[len(order) :]):  # nothing to drop or to move
            graph = Graph(tuple(self.lines), len(order), tuple(indices), names)
        else:
            graph = self._renumbered(order, live, indices, names)
        for look in FINISHED:
            look(graph)
        return graph, [value for _, value in captured]

    def _renumbered(self, order: list[int], live: list[bool], outputs: list[int], names: tuple[str, ...]) -> Graph:
        new = {old: position for position, old in enumerate(order)}
        lines = [self.lines[i] for i in order]
        for i, (op, args, attrs, spec, source, of) in enumerate(self.lines):
            if live[i] and i not in new:
                new[i] = len(lines)
                lines.append(Line(op, tuple([new[a] for a in args]), attrs, spec, source, moved(of, new)))
        return Graph(tuple(lines), len(order), tuple([new[i] for i in outputs]), names)

    def inline(self, graph: Graph, args: Sequence[Any], sources: bool = True) -> list[Any]:
        """Copy the lines of ``graph``, with ``args`` for its inputs; returns the handles of its outputs."""
        return [self.wrap(i) for i in self.inline_lines(graph, args, sources)]

    def inline_lines(self, graph: Graph, args: Sequence[Any], sources: bool = True) -> list[int]:
        """The line indices of the outputs of ``graph`` copied in here."""
        new = [self.line_of(a) for a in args]
        if len(new) != graph.inputs:
            raise TraceError(
                "wrong number of inputs for a graph",
                expected=graph.inputs,
                got=len(new),
                fix="pass one argument per input of the graph",
            )
        for line in graph.lines[graph.inputs :]:
            source = line.source if sources else self.source
            of = self.of if line.of is None else moved(line.of, new)
            new.append(self.append(line.op, tuple([new[a] for a in line.args]), line.attrs, line.spec, source, of))
        return [new[i] for i in graph.outputs]


def moved(of: tuple[int, int] | None, new: Mapping[int, int] | Sequence[int]) -> tuple[int, int] | None:
    """``of`` after the lines were renumbered by ``new``; None where the forward line is gone."""
    if of is None or (isinstance(new, Mapping) and of[0] not in new):
        return None
    return new[of[0]], of[1]


def restamped(of: tuple[int, int] | None, new: Sequence[Any]) -> tuple[int, int] | None:
    """``of`` in the graph that a transform writes; ``new`` holds, per old line, its Expr there or several."""
    if of is None:
        return None
    return stamp(new[of[0]], of[1])


def stamp(handle: Any, argument: int) -> tuple[int, int] | None:
    """``of`` for the line of ``handle`` (an Expr, or the several of one line) and the position of its argument.

    None where the transform wrote another op in the line's place, one without an argument at this position.
    """
    while isinstance(handle, (tuple, list)):
        handle = handle[0]
    builder, index = handle.builder, handle.index
    line = builder.lines[index]
    if line.op.name == "item":
        index = line.args[0]
        line = builder.lines[index]
    return (index, argument) if argument < max(len(line.args), 1) and line.op.name != "input" else None


@lru_cache(maxsize=4096)
def _of_one_type(op: Op, dtype: Any, count: int) -> Any:
    """The output's dtype of a ufunc on ``count`` arguments of ``dtype``; None where they have to be cast first."""
    into, out = op.loop([dtype] * count)
    return out if all(goal == dtype for goal in into) else None


def leaked(builder: Builder) -> LeakedSymbolError:
    """The error for a Symbol used after its function returned."""
    return LeakedSymbolError(
        "a Symbol was used after the function that made it returned",
        expected="Symbols used only while the traced function runs",
        got=f"a Symbol of the finished trace of {builder.name or 'a function'}",
        where=user_source(),
        fix="return the value from the function (has_aux=True carries extra results) instead of storing it outside",
    )


def located(error: ChainruleError, name: str, source: Source | None) -> ChainruleError:
    """The same error, naming the op or NumPy function and the user's line, unless it has a line already."""
    if error.where is not None:
        return error
    return type(error)(
        f"{name}: {error.problem}",
        expected=error.expected,
        got=error.got,
        where=source,
        fix=error.fix,
    )


def refuse_masked(value: Any, what: str) -> None:
    """Raise DtypeError for a masked array or a matrix: as plain arrays they would mean something else."""
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):
        masked = isinstance(value, np.ma.MaskedArray)
        raise DtypeError(
            f"{what}: a {'masked array' if masked else 'np.matrix'} is not a plain array",
            expected="a numpy.ndarray",
            got=type(value).__name__,
            where=user_source(),
            fix="pass x.data and the mask apart, and choose with np.where" if masked else "pass np.asarray(x)",
        )


def native(value: Any) -> Any:
    """``value`` as an array in the machine's byte order; its subclass, mask and metadata do not survive."""
    array = np.asarray(value)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def same_array(a: Any, b: Any) -> bool:
    """Whether two arrays hold the same bits' worth of values (NaN equals NaN)."""
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
