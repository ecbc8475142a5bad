"""``jit``: a function traced once per kind of arguments, then run as a program.

``backend="numpy"`` runs the graph with the evaluator, ``"native"`` compiles it to machine code (``chainrule.compile``);
both compute the same function.  ``CHAINRULE_JIT`` in the environment (``numpy``, ``native``; ``0`` is ``numpy``) says
what is used where no backend is named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Lock, RLock
from types import MethodType
from typing import Any

from chainrule.base import trees
from chainrule.base.errors import OptionError, TraceError, UnsupportedError, choose
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.trace.tracer import Traced, array_leaf, function_name, handed_over, leaf_spec, run, trace_leaves
from chainrule.transforms.arguments import argument_name, argument_positions, joined_name, wrap

Function = Callable[..., Any]
BACKENDS = ("numpy", "native")

_GUARD = Lock()


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
    ) -> None:
        self.f = f
        self.backend = chosen_backend(backend)
        self.donate_argnums = argument_positions(donate_argnums, "jit: donate_argnums")
        self.static_argnums = argument_positions(static_argnums, "jit: static_argnums")
        self.cache: dict[Any, Traced] = {}
        self.programs: dict[Graph, Callable[[Sequence[Any]], list[Any]]] = {}
        self._locks: dict[Any, Any] = {}
        wrap(self, f)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """On a class: the method bound to its instance, which is the first argument (a tree, or static)."""
        return self if instance is None else MethodType(self, instance)

    def __deepcopy__(self, memo: Any) -> Jitted:
        return self  # as functions are copied

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
                if not any(isinstance(v, Expr) for v in traced.captured):
                    self.cache[key] = traced
        results = self._run(traced.graph, [*leaves, *traced.captured])
        return trees.unflatten(traced.structure, handed_over(results, leaves))

    def _run(self, graph: Graph, inputs: list[Any]) -> list[Any]:
        """Inline the graph where Symbols are among the inputs; otherwise run its program."""
        if self.backend == "numpy" or any(isinstance(x, Expr) for x in inputs):
            return run(graph, inputs)
        program = self.programs.get(graph)
        if program is None:
            program = self.programs[graph] = native_program(graph)
        return program(inputs)

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


def native_program(graph: Graph) -> Callable[[Sequence[Any]], list[Any]]:
    """The compiled program of a graph.  Raises UnsupportedError where llvmlite is not installed."""
    try:
        from chainrule.run.program import compile_graph
    except ImportError as error:
        raise UnsupportedError(
            "native code needs llvmlite",
            expected="llvmlite, which the extra chainrule[compile] installs",
            got=str(error),
            fix="pip install 'chainrule[compile]', or jit(f, backend='numpy')",
        ) from None
    return compile_graph(graph)
