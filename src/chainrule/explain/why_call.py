"""A function traced for questions about one run: its graph, the concrete inputs, and what they are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import is_differentiable
from chainrule.base.errors import TraceError
from chainrule.graph.builder import same_array
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.ops.expr import Expr
from chainrule.transforms.arguments import argument_name, joined_name, trace_call
from chainrule.transforms.arguments import positions as positions_of


@dataclass(frozen=True)
class Traceable:
    """A traced call: ``wrt`` are the inputs that can be differentiated, ``names`` those of all inputs.

    ``unused`` holds the lines that the function recorded and no result needs, as (lines, their input numbers).
    """

    graph: Graph
    inputs: list[Any]
    wrt: tuple[int, ...]
    names: tuple[str, ...]
    positions: tuple[int, ...]
    recorded: tuple[Any, ...]

    def input_name(self, number: int) -> str:
        """What the caller calls an input of the graph; arrays met on the way have no name of their own."""
        return self.names[number] or "an array the function uses"


def traced(
    f: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], what: str,
    argnums: int | Sequence[int] | None = None,
) -> Traceable:  # fmt: skip
    """Trace ``f`` with Symbols for all arguments that hold floats or random keys; the others are passed as they are.

    ``argnums``: the arguments that gradients are asked of; None for all that hold floats.

    Raises TraceError where an argument is a Symbol of an enclosing trace: the questions are about numbers.
    """
    refuse_symbols(args, kwargs, what)
    wanted = [i for i, a in enumerate(args) if _holds_floats(a)]
    seen: list[Any] = []

    def kept(*given: Any, **named: Any) -> Any:
        seen.extend(leaf.builder for leaf in trees.leaves(given) if isinstance(leaf, Expr))
        return f(*given, **named)

    kept.__wrapped__ = f  # type: ignore[attr-defined]
    kept.__name__ = getattr(f, "__name__", type(f).__name__)
    with np.errstate(all="ignore"):  # of what the function computes from plain arrays while it is traced
        call = trace_call(kept, args, kwargs, wanted, what, differentiable=False)
    graph = call.graph
    explicit = sum(call.counts)
    positions = tuple(p for p, n in zip(wanted, call.counts, strict=True) for _ in range(n))
    asked = set(wanted if argnums is None else positions_of(argnums, len(args), what))
    wrt = tuple(i for i in range(explicit) if positions[i] in asked and is_differentiable(graph.input_specs[i].dtype))
    labels = [name for i in wanted for name in leaf_names(f, i, args[i])]
    names = tuple(
        labels[i] if i < explicit else _outside_name(f, value)
        for i, value in zip(range(graph.inputs), call.inputs, strict=True)
    )
    recorded = tuple(seen[0].lines) if seen else ()
    return Traceable(graph, call.inputs, wrt, names, positions, recorded)


def _is_traced(dtype: Any) -> bool:
    """Floats, and the unsigned integers of random keys: what is drawn from one should be seen to be random."""
    return dtype.kind in "fc" or dtype == np.uint32


def leaf_names(f: Any, position: int, arg: Any) -> list[str]:
    """What the leaves of the argument at ``position`` are called: ``w``, ``model.layers[0].weight``."""
    own = getattr(inspect.unwrap(f) if callable(f) else f, "names", ())  # of a parsed expression
    known = isinstance(own, tuple) and position < len(own)
    label = str(own[position]) if known else argument_name(f, position)
    return [joined_name(label, path) for path in trees.paths(arg)]


def refuse_symbols(args: Sequence[Any], kwargs: dict[str, Any], what: str) -> None:
    """Raise TraceError where an argument is a Symbol: it stands for no number."""
    for leaf in trees.leaves((args, kwargs)):
        if isinstance(leaf, Expr):
            raise TraceError(
                f"{what} inside of a traced function",
                expected="concrete arrays",
                got="a Symbol, which stands for no number here",
                where=user_source(),
                fix=f"call {what} outside of grad, jit and vmap, with the function itself",
            )


def _outside_name(f: Any, value: Any) -> str:
    """What the function calls an array that it closes over or finds among its module's names; "" if nothing."""
    f = inspect.unwrap(f) if callable(f) else f
    code = getattr(f, "__code__", None)
    if code is None:
        return ""
    outside: dict[str, Any] = {n: f.__globals__[n] for n in code.co_names if n in f.__globals__}
    for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
        try:
            outside[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    for name, held in outside.items():
        if isinstance(held, np.ndarray) and held.shape == value.shape and same_array(held, value):
            return name
    return ""


def _holds_floats(tree: Any) -> bool:
    return any(
        isinstance(leaf, (float, complex)) or (hasattr(leaf, "dtype") and _is_traced(np.dtype(leaf.dtype)))
        for leaf in trees.leaves(tree)
    )
