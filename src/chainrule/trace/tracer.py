"""``trace``: run a function on Symbols and keep the graph of what it did.

Each function is traced into a builder of its own.  Symbols of an enclosing function that it meets become inputs of its
graph ("captured"), so inner transforms compose without levels, and cotangents can't be confused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import NUMERIC, Spec, spec_of
from chainrule.base.collector import young_collections_only
from chainrule.base.errors import ChainruleError, TraceError
from chainrule.graph.builder import ACTIVE, Builder, native, refuse_masked
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import Symbol


class Traced(NamedTuple):
    """A graph, the values captured on the way (its last inputs), and the structure of its outputs.

    The first ``main`` outputs are the function's result; with ``has_aux`` those of the second part follow.
    """

    graph: Graph
    captured: list[Any]
    structure: Any
    main: int


def function_name(f: Any) -> str:
    """How messages call ``f``."""
    return getattr(f, "__name__", type(f).__name__)


def array_leaf(value: Any, what: str, fix: str | None = None) -> Any:
    """A leaf as an array in native byte order, or a Symbol as it is.

    Raises DtypeError for what is not numeric, and for masked arrays and matrices, whose meaning would get lost.
    """
    if isinstance(value, Symbol) or (type(value) is np.ndarray and value.dtype in NUMERIC):
        return value
    refuse_masked(value, what)
    try:
        spec_of(value)
    except ChainruleError as error:
        advice = "pass an array of numbers"
        if isinstance(value, str) and "." in what:
            advice += "; a setting of a dataclass is a field of chainrule.static()"
        raise type(error)(f"{what}: {error.problem}", expected=error.expected, got=error.got,
                          where=user_source(), fix=fix or advice) from None  # fmt: skip
    return native(value)


def leaf_spec(value: Any) -> Spec:
    """The Spec of an array or Symbol."""
    return value.spec if isinstance(value, Expr) else Spec(value.shape, value.dtype)


def trace_leaves(
    f: Callable[[list[Any]], Any],
    inputs: Sequence[Any],
    *,
    values: bool,
    names: Sequence[str] = (),
    name: str = "",
    has_aux: bool = False,
) -> Traced:
    """Trace ``f``, a function of a list of Symbols, to a graph.

    ``inputs`` are arrays or outer Symbols, or bare Specs; with ``values`` the Symbols carry them.  The result of ``f``
    may be any tree of arrays and Symbols; with ``has_aux`` a pair, whose second part is traced along.
    """
    builder = Builder(Symbol, tracing=True, name=name)
    symbols = []
    for position, value in enumerate(inputs):
        spec = value if isinstance(value, Spec) else leaf_spec(value)
        given = None
        if values and not isinstance(value, Spec):
            given = Expr(value.builder, value.index) if isinstance(value, Expr) else value
        symbols.append(builder.input(spec, names[position] if names else "", given))
    token = ACTIVE.set(builder)
    try:
        with young_collections_only():
            result = f(symbols)
        main, aux = _main_and_aux(result, has_aux, name)
        main_leaves, _ = trees.flatten(main)
        _, structure = trees.flatten((main, aux) if has_aux else main)
        leaves = main_leaves + (trees.flatten(aux)[0] if has_aux else [])
        outputs = [output_leaf(leaf, name) for leaf in leaves]
        graph, captured = builder.finish(outputs)
    except (ValueError, TypeError) as error:  # NumPy wraps what __float__ raises in words that say less
        if isinstance(error.__cause__, TraceError) and not isinstance(error, ChainruleError):
            raise error.__cause__ from None
        raise
    finally:
        ACTIVE.reset(token)
        builder.closed = True
    return Traced(graph, captured, structure, len(main_leaves))


def _main_and_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise TraceError(
            f"{name} must return (output, aux) because has_aux=True",
            expected="a pair",
            got=type(result).__name__,
            where=user_source(),
            fix="return a pair, or leave has_aux out",
        )
    return result


def output_leaf(leaf: Any, name: str) -> Any:
    """A leaf of a traced function's result, checked to be numeric."""
    if isinstance(leaf, Symbol):
        return leaf
    what = f"a result of {name or 'the traced function'}"
    return array_leaf(leaf, what, "return arrays and numbers, or trees of them")


def owned(value: Any) -> Any:
    """A result handed to the user: never a view of someone else's memory, never read-only; 0-d becomes a scalar."""
    if isinstance(value, Symbol):
        return value
    array = np.asarray(value)
    if array.ndim == 0:
        return array[()]
    if array.base is not None or not array.flags.writeable:
        return array.copy()
    return array


def handed_over(results: Sequence[Any], given: Sequence[Any] = ()) -> list[Any]:
    """Results for the user, each :func:`owned` and none the same array as another or as one of ``given``."""
    taken = {id(g) for g in given}
    out = []
    for result in results:
        array = owned(result)
        if isinstance(array, np.ndarray):
            if id(array) in taken:
                array = array.copy()
            taken.add(id(array))
        out.append(array)
    return out


def run(graph: Graph, args: Sequence[Any]) -> list[Any]:
    """A graph on concrete arrays (evaluated), or on Symbols among them (inlined into the active trace)."""
    if any(isinstance(a, Expr) for a in args):
        builder = ACTIVE.get()
        if builder is None:
            raise next(a for a in args if isinstance(a, Expr)).builder.leak_error()
        return builder.inline(graph, args)
    return run_plan(graph, list(args))


def embed(graph: Graph, captured: Sequence[Any]) -> Graph:
    """The graph with its last inputs, the captured arrays, held inside it as constants."""
    return embed_small(graph, captured)[0]


def embed_small(graph: Graph, captured: Sequence[Any], most: float = math.inf) -> tuple[Graph, list[Any]]:
    """The same where only arrays of at most ``most`` bytes become constants; and the others, still its last inputs."""
    small = [a.nbytes <= most for a in captured]
    if not any(small):
        return graph, list(captured)
    builder = Builder()
    explicit = graph.inputs - len(captured)
    inputs = [i for i in range(graph.inputs) if i < explicit or not small[i - explicit]]
    names = dict(enumerate(graph.names))
    args: dict[int, Any] = {i: builder.input(graph.input_specs[i], names.get(i, "")) for i in inputs}
    args |= {explicit + k: builder.constant(a) for k, a in enumerate(captured) if small[k]}
    found, _ = builder.finish(builder.inline(graph, [args[i] for i in range(graph.inputs)]))
    return found, [a for a, held in zip(captured, small, strict=True) if not held]
