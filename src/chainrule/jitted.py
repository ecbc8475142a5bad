"""``jit``: a function traced once per kind of arguments, then run as a program.

``backend="numpy"`` runs the graph with the evaluator, ``"native"`` compiles it to machine code (``chainrule.compile``);
both compute the same function.  ``CHAINRULE_JIT`` in the environment (``numpy``, ``native``; ``0`` is ``numpy``) says
what is used where no backend is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from operator import attrgetter
from threading import Lock, RLock
from types import MethodType
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import OptionError, TraceError, UnsupportedError, choose
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import Traced, array_leaf, function_name, handed_over, leaf_spec, run, trace_leaves
from chainrule.transforms.arguments import argument_name, argument_positions, joined_name, wrap
from chainrule.transforms.retracing import report

Function = Callable[..., Any]
Program = Callable[[Sequence[Any]], list[Any]]
BACKENDS = ("numpy", "native")

_REPORTS = "CHAINRULE_EXPLAIN_RECOMPILES"
_GUARD = Lock()
_ARRAYS = {np.ndarray}
_PLAIN = frozenset({np.ndarray, *np.sctypeDict.values()})  # arrays, and the scalars that 0-d results are
_SHAPE_AND_DTYPE = attrgetter("shape", "dtype")


class _Ready:
    """What a call needs once its kind is known: the program, and how its results become a tree."""

    __slots__ = ("captured", "program", "scalars", "structure")

    def __init__(self, program: Program, traced: Traced) -> None:
        self.program, self.structure = program, traced.structure
        self.captured = [np.array(a) for a in traced.captured]  # our own: read-only ones would be looked at each time
        self.scalars = [i for i, spec in enumerate(traced.graph.output_specs) if not spec.shape]

    def __call__(self, arrays: list[Any]) -> Any:
        results = self.program(arrays + self.captured if self.captured else arrays)
        for i in self.scalars:
            results[i] = results[i][()]
        return trees.unflatten(self.structure, results)


class Jitted:
    """``f`` traced once per structure, shapes, dtypes and static arguments, then run as a graph.

    Arrays and numbers that ``f`` closes over are read when it is traced and stay as they were then.
    """

    def __init__(
        self,
        f: Function,
        donate_argnums: int | Sequence[int] = (),
        static_argnums: int | Sequence[int] = (),
        backend: str | None = None,
        explain_recompiles: bool = False,
    ) -> None:
        self.f = f
        self.backend = chosen_backend(backend)
        self.donate_argnums = argument_positions(donate_argnums, "jit: donate_argnums")
        self.static_argnums = argument_positions(static_argnums, "jit: static_argnums")
        self.cache: dict[Any, Traced] = {}
        self.programs: dict[tuple[Graph, tuple[int, ...]], Program] = {}
        self.ready: dict[Any, _Ready] = {}
        self._locks: dict[Any, Any] = {}
        self._reports = explain_recompiles or os.environ.get(_REPORTS, "").lower() not in ("", "0", "off")
        wrap(self, f)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """On a class: the method bound to its instance, which is the first argument (a tree, or static)."""
        return self if instance is None else MethodType(self, instance)

    def __deepcopy__(self, memo: Any) -> Jitted:
        return self  # as functions are copied

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.ready and not self.static_argnums:
            if not kwargs and set(map(type, args)) == _ARRAYS:
                flat, shape = list(args), None  # arrays alone: no tree to be taken apart
            else:
                flat, shape = trees.flatten_known((args, kwargs))
            if shape is None or _PLAIN.issuperset(map(type, flat)):
                ready = self.ready.get((shape, tuple(map(_SHAPE_AND_DTYPE, flat))))
                if ready is not None:
                    return ready(flat)
        return self._first_call(args, kwargs)

    def _first_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a kind that was not seen before, or is not of arrays alone: looked at in all detail."""
        fixed = self._static_positions(len(args))
        static = tuple((i, args[i]) for i in sorted(fixed))
        dynamic = tuple(a for i, a in enumerate(args) if i not in fixed)
        flat, shape = trees.flatten((dynamic, kwargs))
        what, fix = f"jit: an argument of {function_name(self.f)}", "name it in static_argnums"
        leaves = [array_leaf(leaf, what, fix) for leaf in flat]
        key = (shape, tuple(map(leaf_spec, leaves)), _hashable(static))
        traced = self.cache.get(key)
        if traced is None:
            # Threads that come with the same key wait for the first one; other keys are traced meanwhile.
            with _GUARD:
                lock = self._locks.setdefault(key, RLock())
            with lock:
                traced = self.cache.get(key) or self._trace(args, fixed, kwargs, leaves, shape)
                # What closes over an enclosing trace's Symbols is only good inside that trace.
                if key not in self.cache and not any(isinstance(v, Expr) for v in traced.captured):
                    self.cache[key] = traced
                    if self._reports:
                        report(self.f, self.cache)
        inputs = [*leaves, *traced.captured]
        if self.backend == "numpy" or any(isinstance(x, Expr) for x in inputs):
            results = run(traced.graph, inputs)  # inlines the graph where Symbols are among the inputs
            return trees.unflatten(traced.structure, handed_over(results, leaves))
        ready = _Ready(self._program(traced.graph, args, fixed), traced)
        if not fixed and all(a is b for a, b in zip(flat, leaves, strict=True)):
            plain = not kwargs and set(map(type, args)) == _ARRAYS
            structure = None if plain else trees.flatten_known((args, kwargs))[1]
            self.ready[structure, tuple(map(_SHAPE_AND_DTYPE, leaves))] = ready
        return ready(leaves)

    def _program(self, graph: Graph, args: Sequence[Any], fixed: set[int]) -> Program:
        """The native program of a graph, in which the leaves of donated arguments may lend their memory."""
        donated = self._donated(args, fixed)
        key = (graph, donated)
        if key not in self.programs:
            self.programs[key] = native_program(graph, donated)
        return self.programs[key]

    def lower(self, args: Sequence[Any]) -> tuple[Traced, list[Any], tuple[int, ...]]:
        """A new trace for these arguments, the arrays among them, and which of those are donated."""
        fixed = self._static_positions(len(args))
        flat, shape = trees.flatten((tuple(a for i, a in enumerate(args) if i not in fixed), {}))
        what, fix = f"an argument of {function_name(self.f)}", "name it in jit's static_argnums"
        leaves = [array_leaf(leaf, what, fix) for leaf in flat]
        return self._trace(args, fixed, {}, leaves, shape), leaves, self._donated(args, fixed)

    def _donated(self, args: Sequence[Any], fixed: set[int]) -> tuple[int, ...]:
        """The positions, among the arrays of a call, of those in donated arguments."""
        given = {i % len(args) for i in self.donate_argnums}
        donated: list[int] = []
        first = 0
        for i, arg in enumerate(args):
            count = 0 if i in fixed else len(trees.leaves(arg))
            donated += range(first, first + count) if i in given else ()
            first += count
        return tuple(donated)

    def _static_positions(self, count: int) -> set[int]:
        """The static positions among ``count`` arguments, and the donated ones looked at."""
        for name, given in (("static_argnums", self.static_argnums), ("donate_argnums", self.donate_argnums)):
            for i in given:
                if not -count <= i < count:
                    raise OptionError(
                        f"jit: {name} names an argument that was not given",
                        expected=f"-{count} <= {name} < {count}" if count else "positional arguments", got=i,
                        where=user_source(), fix=f"pass the argument by position, or correct {name}",
                    )  # fmt: skip
        fixed = {i % count for i in self.static_argnums}
        both = fixed & {i % count for i in self.donate_argnums}
        if both:
            raise OptionError(
                "jit: an argument is both static and donated", expected="donate_argnums of array arguments",
                got=f"argument {min(both)} in both", where=user_source(), fix="take it out of one of them",
            )  # fmt: skip
        return fixed

    def _trace(
        self, args: Sequence[Any], fixed: set[int], kwargs: dict[str, Any], leaves: Sequence[Any], shape: Any
    ) -> Traced:
        def body(symbols: list[Any]) -> Any:
            given, named = trees.unflatten(shape, symbols)
            rest = iter(given)
            return self.f(*(a if i in fixed else next(rest) for i, a in enumerate(args)), **named)

        labelled = [(argument_name(self.f, i), a) for i, a in enumerate(args) if i not in fixed]
        labelled += [(k, kwargs[k]) for k in sorted(kwargs)]
        names = [joined_name(label, path) for label, a in labelled for path in trees.paths(a)]
        return trace_leaves(
            body, [leaf_spec(x) for x in leaves], values=False, names=names, name=function_name(self.f)
        )


def _hashable(static: tuple[tuple[int, Any], ...]) -> tuple[Any, ...]:
    """A key for static arguments, in which 1, 1.0 and True differ."""
    try:
        hash(static)
    except TypeError:
        raise TraceError(
            "jit: a static argument is not hashable",
            expected="numbers, strings, tuples or functions as static arguments",
            got=", ".join(type(value).__name__ for _, value in static),
            where=user_source(),
            fix="pass arrays and trees as ordinary arguments",
        ) from None
    return tuple((i, _typed(value)) for i, value in static)


def _typed(value: Any) -> Any:
    if isinstance(value, tuple):
        return type(value), tuple(map(_typed, value))
    return type(value), value


def chosen_backend(backend: str | None) -> str:
    """The backend asked for, by argument or by environment.  Raises OptionError for one there is not."""
    if backend is not None:
        if backend not in BACKENDS:
            raise choose("backend", backend, BACKENDS, where=user_source())
        return backend
    named = os.environ.get("CHAINRULE_JIT", "numpy").lower()
    named = {"0": "numpy", "off": "numpy", "": "numpy", "1": "native"}.get(named, named)
    if named not in BACKENDS:
        raise choose("CHAINRULE_JIT in the environment", named, BACKENDS)
    return named


def native_program(graph: Graph, donated: Sequence[int] = ()) -> Program:
    """The compiled program of a graph.  Raises UnsupportedError where llvmlite is not installed, or is broken."""
    try:
        from chainrule.run.program import compile_graph
    except (ImportError, OSError) as error:  # OSError: llvmlite is there, but its library does not load
        raise needs_llvmlite(error) from None
    return compile_graph(graph, donated)


def needs_llvmlite(error: Exception) -> UnsupportedError:
    """The error for what compiles, where llvmlite can't be imported because of ``error``."""
    return UnsupportedError(
        "native code needs llvmlite",
        expected="llvmlite, which the extra chainrule[compile] installs",
        got=str(error),
        fix="pip install 'chainrule[compile]', or jit(f, backend='numpy')",
    )
