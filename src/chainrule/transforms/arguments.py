"""What the public transforms share: arguments flattened and checked, the call traced, the results put in trees again.

``argnums`` and the like are positions, counted from either end.  Error messages name arguments as the function does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import Any, NamedTuple

import numpy as np

from chainrule.base import trees
from chainrule.base.arrays import Spec, is_differentiable
from chainrule.base.errors import DtypeError, NotDifferentiableError, OptionError, ShapeError, TreeError
from chainrule.graph.graph import Graph
from chainrule.graph.source import user_source
from chainrule.trace.tracer import Traced, array_leaf, function_name, leaf_spec, trace_leaves

Function = Callable[..., Any]
_LEAF = object()


class Call(NamedTuple):
    """A traced call: its graph, the concrete inputs (arguments, then captured), and what came of which argument."""

    traced: Traced
    inputs: list[Any]
    counts: tuple[int, ...]
    structures: tuple[Any, ...]
    has_aux: bool

    @property
    def graph(self) -> Graph:
        return self.traced.graph

    @property
    def bare(self) -> bool:
        """Whether the result is one array, not a tree of them."""
        whole = trees.unflatten(self.traced.structure, [_LEAF] * len(self.graph.outputs))
        return whole is _LEAF or (self.has_aux and whole[0] is _LEAF)


def positions(argnums: int | Sequence[int], count: int, what: str) -> tuple[int, ...]:
    """``argnums`` as distinct positions below ``count``.  Raises TreeError, OptionError."""
    wanted = argument_positions(argnums, f"{what}: argnums")
    for i in wanted:
        if not -count <= i < count:
            raise TreeError(
                f"{what}: argnums names an argument that was not given",
                expected=f"-{count} <= argnums < {count}" if count else "at least one positional argument",
                got=argnums,
                where=user_source(),
                fix="pass the argument by position instead of by keyword, or correct argnums",
            )
    found = tuple(i % count for i in wanted)
    if len(set(found)) != len(found):
        raise OptionError(
            f"{what}: argnums names an argument twice", expected="distinct positions", got=argnums,
            where=user_source(), fix="name each argument once",
        )  # fmt: skip
    return found


def argument_positions(argnums: Any, what: str) -> tuple[int, ...]:
    """Positions of arguments as a tuple of ints.  Raises OptionError."""
    given = tuple(argnums) if isinstance(argnums, (tuple, list)) else (argnums,)
    for i in given:
        if isinstance(i, (bool, np.bool_)) or not isinstance(i, (int, np.integer)):
            raise OptionError(f"{what} is not a position", expected="an int, or a tuple of ints", got=repr(argnums),
                              where=user_source(), fix="count arguments from 0")  # fmt: skip
    return tuple(int(i) for i in given)


def trace_call(
    f: Function,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    wanted: Sequence[int],
    what: str,
    *,
    values: bool = True,
    has_aux: bool = False,
    differentiable: bool = True,
) -> Call:
    """Trace ``f`` with Symbols for the leaves of the arguments at ``wanted``; the others are passed as they are."""
    leaves: list[Any] = []
    names: list[str] = []
    counts: list[int] = []
    structures: list[Any] = []
    for i in wanted:
        flat, shape = trees.flatten(args[i])
        label = argument_name(f, i)
        for path, leaf in zip(trees.paths(args[i]), flat, strict=True):
            name = joined_name(label, path)
            array = array_leaf(leaf, f"{what}: argument {name}")
            if differentiable:
                _require_float(array, what, name)
            leaves.append(array)
            names.append(name)
        counts.append(len(flat))
        structures.append(shape)

    def body(symbols: list[Any]) -> Any:
        full = list(args)
        rest = iter(symbols)
        for i, n, shape in zip(wanted, counts, structures, strict=True):
            full[i] = trees.unflatten(shape, [next(rest) for _ in range(n)])
        return f(*full, **kwargs)

    traced = trace_leaves(body, leaves, values=values, names=names, name=function_name(f), has_aux=has_aux)
    return Call(traced, leaves + traced.captured, tuple(counts), tuple(structures), has_aux)


def argument_name(f: Any, position: int) -> str:
    """What the function calls its argument at ``position``."""
    while hasattr(f, "__wrapped__"):
        f = f.__wrapped__
    code = getattr(f, "__code__", None)
    place = position + (getattr(f, "__self__", None) is not None)  # a bound method has its self already
    if code is not None and place < code.co_argcount:
        return str(code.co_varnames[place])
    return f"argument{position}"


def joined_name(name: str, path: str) -> str:
    """The name of a leaf: its argument's, then its path in the tree."""
    if not path:
        return name
    return f"{name}{path}" if path.startswith("[") else f"{name}.{path}"


def _require_float(array: Any, what: str, name: str) -> None:
    dtype = leaf_spec(array).dtype
    if not is_differentiable(dtype):
        raise NotDifferentiableError(
            f"{what} with respect to an argument that is not of float dtype",
            expected=f"{name} of a float or complex dtype",
            got=f"{name} of dtype {dtype}",
            where=user_source(),
            fix="pass it as a float (2.0, not 2; x.astype(float)), or "
            + ("let the function close over it" if what in ("vjp", "jvp") else f"choose other argnums than {name}'s"),
        )


def require_scalar(call: Call, f: Function) -> None:
    """Raise ShapeError or NotDifferentiableError unless ``f``, traced as ``call``, returns one float scalar."""
    name = function_name(f)
    if call.traced.main != 1 or not call.bare:
        raise ShapeError(
            f"grad needs a function with one scalar result, and {name} returns something else",
            expected="one scalar",
            got="nothing, or None" if not call.traced.main else f"a tree of {call.traced.main} arrays",
            where=user_source(),
            fix="return the loss alone, or (loss, others) with has_aux=True",
        )
    spec = call.graph.output_specs[0]
    if spec.shape != ():
        raise ShapeError(
            f"grad needs a scalar result, and {name} returns an array",
            expected="a scalar, shape ()",
            got=f"shape {spec.shape}",
            where=user_source(),
            fix="reduce it (.sum() or .mean()), or use cr.jacobian or cr.vjp",
        )
    if spec.dtype.kind != "f":
        raise NotDifferentiableError(
            f"grad needs a result of float dtype, and {name} returns {spec.dtype}",
            expected="float32 or float64",
            got=spec.dtype,
            where=user_source(),
            fix="return a float; for complex results use cr.vjp, or take the real part or the absolute value",
        )


def snapshot(x: Any) -> Any:
    """An input as it is now, safe from later writes by its owner, through whatever view of it."""
    return x.copy() if isinstance(x, np.ndarray) and (x.flags.writeable or x.base is not None) else x


def like_output(tree: Any, structure: Any, specs: Sequence[Spec], what: str) -> list[Any]:
    """The leaves of a cotangent or tangent, checked against what it belongs to and cast to its dtype.

    Raises TreeError, ShapeError, and DtypeError for a complex one of a real value.
    """
    whose = "the output" if what == "cotangent" else "its primal"
    flat, found = trees.flatten(tree)
    if found != structure:
        raise TreeError(f"the {what} has another structure than {whose}", expected=structure, got=found,
                        where=user_source(), fix=f"pass a tree like {whose}")  # fmt: skip
    leaves = []
    for leaf, spec in zip(flat, specs, strict=True):
        array = array_leaf(leaf, f"the {what}")
        if leaf_spec(array).shape != spec.shape:
            raise ShapeError(
                f"the {what} has another shape than {whose}", expected=spec.shape, got=leaf_spec(array).shape,
                where=user_source(), fix=f"pass a {what} of the shape of {whose}",
            )  # fmt: skip
        if leaf_spec(array).dtype.kind == "c" and spec.dtype.kind == "f":
            raise DtypeError(
                f"the {what} is complex and {whose} is real", expected=spec.dtype, got=leaf_spec(array).dtype,
                where=user_source(), fix="pass its real part",
            )  # fmt: skip
        if leaf_spec(array).dtype != spec.dtype and is_differentiable(spec.dtype):
            array = np.astype(array, spec.dtype)
        leaves.append(array)
    return leaves


def regroup(call: Call, leaves: Sequence[Any], argnums: int | Sequence[int]) -> Any:
    """Leaves back into one tree per differentiated argument; the bare tree where argnums is an int."""
    rest = iter(leaves)
    found = [
        trees.unflatten(shape, [next(rest) for _ in range(n)])
        for n, shape in zip(call.counts, call.structures, strict=True)
    ]
    return found[0] if isinstance(argnums, (int, np.integer)) else tuple(found)


def wrap(wrapper: Function, f: Function) -> Function:
    """``wrapper`` with the name and docstring of ``f``."""
    named: Function = update_wrapper(wrapper, f, updated=())
    return named
