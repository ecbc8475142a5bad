"""``jit``: a function traced once per kind of arguments, then run as a program.

``backend="native"`` compiles the graph to machine code (``chainrule.compile``), ``"numpy"`` runs it with the evaluator;
both compute the same function.  Where no backend is named, ``CHAINRULE_JIT`` in the environment decides (``native``,
``numpy``; ``0`` is ``numpy``); without it, it is native where llvmlite can be imported.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from operator import attrgetter
from threading import Lock, RLock
from types import MethodType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import OptionError, TraceError, UnsupportedError, choose
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import (
    Traced,
    array_leaf,
    embed_small,
    function_name,
    handed_over,
    leaf_spec,
    run,
    trace_leaves,
)
from chainrule.transforms.arguments import argument_name, argument_positions, joined_name, wrap
from chainrule.transforms.retracing import report

if TYPE_CHECKING:
    from chainrule.run.program import Program

Function = Callable[..., Any]
BACKENDS = ("numpy", "native")

EMBEDDED = 1 << 16
"""Bytes of an array that a function closes over, up to which it is a constant of the compiled program."""

_SWITCH = "CHAINRULE_JIT"
_REPORTS = "CHAINRULE_EXPLAIN_RECOMPILES"
_GUARD = Lock()
_ARRAYS = frozenset({np.ndarray})
_PLAIN = frozenset({np.ndarray, *np.sctypeDict.values()})  # arrays, and the scalars that 0-d results are
_SHAPE_AND_DTYPE = attrgetter("shape", "dtype")


class _Tree(NamedTuple):
    """A tree that was returned: its leaves, and what stands for its structure and types."""

    tree: Any
    leaves: list[Any]
    kind: object


class _Ready:
    """What a call needs once its kind is known: the program, and how its results become a tree.

    Training loops pass in what the call before returned, so the leaves of trees that can't have been changed since are
    remembered in ``returned``, by identity, until the next call; numbers among them as the arrays they came as.
    """

    __slots__ = ("build", "captured", "parts", "returned", "rounds", "scalars")

    def __init__(self, program: Program, traced: Traced, captured: Sequence[Any], returned: dict[int, _Tree],
                 kinds: dict[Any, object]) -> None:  # fmt: skip
        from chainrule.run.rounds import Rounds

        self.captured = [np.array(a) for a in captured]  # our own: read-only ones would be looked at each time
        specs = traced.graph.output_specs
        self.scalars = [i for i, spec in enumerate(specs) if not spec.shape]
        lasting = trees.Lasting([i for i in program.shared if specs[i].shape])
        self.build = trees.builder(traced.structure, lasting)
        self.rounds = Rounds(program, lasting)
        self.returned = returned
        self.parts: list[tuple[int, int, int, object]] = []  # (child of the result, its first and last leaf, its kind)
        outline = trees.unflatten(traced.structure, list(range(len(specs))))
        for position, child in enumerate(outline if type(outline) is tuple else ()):
            leaves, structure = trees.flatten(child)
            if leaves and not isinstance(child, int) and trees.is_frozen(child):
                low, high = leaves[0], leaves[-1] + 1
                kind = kinds.setdefault((structure, specs[low:high]), object())
                self.parts.append((position, low, high, kind))

    def __call__(self, arrays: list[Any], sure: bool) -> Any:
        """The results for these leaves; ``sure``: that all are arrays."""
        results, roots = self.rounds((*arrays, *self.captured), sure)
        leaves = [*results, *roots]
        for i in self.scalars:
            leaves[i] = leaves[i][()]
        tree = self.build(leaves)
        self.returned.clear()
        for position, low, high, kind in self.parts:
            child = tree[position]
            self.returned[id(child)] = _Tree(child, results[low:high], kind)
        return tree


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
        self._asked = backend is not None or bool(os.environ.get(_SWITCH))
        self.donate_argnums = argument_positions(donate_argnums, "jit: donate_argnums")
        self.static_argnums = argument_positions(static_argnums, "jit: static_argnums")
        self.cache: dict[Any, Traced] = {}
        self.programs: dict[tuple[Graph, tuple[int, ...]], Program] = {}
        self.ready: dict[Any, _Ready] = {}
        self._detailed: dict[Any, _Ready] = {}  # for calls that are looked at in all detail, by the key of their trace
        self._returned: dict[int, _Tree] = {}
        self._kinds: dict[Any, object] = {}
        self._locks: dict[Any, Any] = {}
        self._reports = explain_recompiles or os.environ.get(_REPORTS, "").lower() not in ("", "0", "off")
        wrap(self, f)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """On a class: the method bound to its instance, which is the first argument (a tree, or static)."""
        return self if instance is None else MethodType(self, instance)

    def __deepcopy__(self, memo: Any) -> Jitted:
        return self  # as functions are copied

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.ready or self.static_argnums:
            return self._first_call(args, kwargs)
        kind, flat = self._kind(args) if not kwargs else (None, [])
        ready = None if kind is None else self.ready.get(kind)
        if ready is not None:
            return ready(flat, True)
        leaves, shape = trees.flatten_known((args, kwargs))
        if _PLAIN.issuperset(types := set(map(type, leaves))):
            ready = self.ready.get((shape, tuple(map(_SHAPE_AND_DTYPE, leaves))))
        if ready is None:
            return self._first_call(args, kwargs)
        if kind is not None:
            self.ready[kind] = ready
        return ready(leaves, types <= _ARRAYS)

    def _kind(self, args: tuple[Any, ...]) -> tuple[tuple[Any, ...] | None, list[Any]]:
        """A key for arguments that are arrays, None or trees the last call returned, and their leaves; else None."""
        kind: list[Any] = []
        flat: list[Any] = []
        for arg in args:
            if type(arg) is np.ndarray:
                flat.append(arg)
                kind.append(_SHAPE_AND_DTYPE(arg))
                continue
            if arg is None:  # a tree without leaves
                kind.append(None)
                continue
            known = self._returned.get(id(arg))
            if known is None or known.tree is not arg:
                return None, flat
            flat += known.leaves
            kind.append(known.kind)
        return tuple(kind), flat

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
        if self.backend == "native" and not self._asked:
            self.backend = native_or_numpy()
        if self.backend == "numpy" or any(isinstance(x, Expr) for x in inputs):
            results = run(traced.graph, inputs)  # inlines the graph where Symbols are among the inputs
            return trees.unflatten(traced.structure, handed_over(results, leaves))
        ready = self._detailed.get(key)
        if ready is None:
            graph, captured = embed_small(traced.graph, traced.captured, EMBEDDED)
            ready = _Ready(self._program(graph, args, fixed), traced, captured, self._returned, self._kinds)
            self._detailed[key] = ready
        # Steps in a loop are given the scalars that 0-d results are: those may go straight in, as arrays do.
        if not fixed and all(a is b or isinstance(a, np.generic) for a, b in zip(flat, leaves, strict=True)):
            self.ready[trees.flatten_known((args, kwargs))[1], tuple(map(_SHAPE_AND_DTYPE, leaves))] = ready
        return ready(leaves, _ARRAYS.issuperset(map(type, leaves)))

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
    """The backend asked for, by argument or by environment; else native.  Raises OptionError for one there is not."""
    if backend is not None:
        if backend not in BACKENDS:
            raise choose("backend", backend, BACKENDS, where=user_source())
        return backend
    named = os.environ.get(_SWITCH, "").lower()
    named = {"0": "numpy", "off": "numpy", "": "native", "1": "native"}.get(named, named)
    if named not in BACKENDS:
        raise choose(f"{_SWITCH} in the environment", named, BACKENDS)
    return named


@functools.cache
def native_or_numpy() -> str:
    """The backend where none was asked for: native, or numpy with a warning where llvmlite can't be imported."""
    try:
        import chainrule.run.program  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: llvmlite is there, but its library does not load
        warnings.warn(
            f"llvmlite can't be imported ({error}): jit runs functions with NumPy, which is slower. "
            "Install it again (pip install --force-reinstall llvmlite), or set CHAINRULE_JIT=numpy if this is meant.",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
        return "numpy"
    return "native"


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
        expected="llvmlite, which comes with chainrule",
        got=str(error),
        fix="pip install --force-reinstall llvmlite, or jit(f, backend='numpy')",
    )
