"""NumPy's functions that choose, take and put elements, and those that write into their argument.

``np.piecewise`` evaluates every function on the whole array and picks afterwards, so it needs no values; a function
outside its own piece may give NaN there, which the choice keeps out of the result and of the gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axis
from chainrule.base.errors import ShapeError, TraceError
from chainrule.base.errors import choose as unknown
from chainrule.graph.source import user_source
from chainrule.ops import pointwise as p
from chainrule.ops.expr import Expr
from chainrule.trace.reductions import given, truth
from chainrule.trace.shaping import promoted, together
from chainrule.trace.symbol import Symbol, as_symbol
from chainrule.trace.table import implements


def target(a: Any, name: str) -> Symbol:
    """What an in-place function writes to.  Raises TraceError for a plain ndarray, which can't hold a Symbol."""
    if isinstance(a, Symbol):
        return a
    raise TraceError(
        "a traced value is written into a plain ndarray, which can't hold it",
        expected="an array made from a traced one: np.zeros_like(x), np.zeros(n, like=x), x.copy()",
        got=f"{type(a).__name__} of shape {np.shape(a)} as the target of {name}",
        where=user_source(),
        fix="make the target with np.zeros_like(x), or np.array(a, like=x)",
    )


# ----------------------------------------------------------------------------------------------------------- choosing


@implements(np.where)
def where(condition: Any, x: Any = np._NoValue, y: Any = np._NoValue, /) -> Any:
    if x is np._NoValue or (x is None and y is None):
        return np.nonzero(condition)
    scalars = tuple(isinstance(v, (bool, np.bool_)) for v in (x, y))
    if any(scalars):  # op constants of bool are strong: NumPy's promotion for them is that of arrays
        x, y = together([x, y])
    return p.where(truth(condition), _weakly(x), _weakly(y))


def _weakly(v: Any) -> Any:
    return as_symbol(v) if isinstance(v, (list, tuple)) else v


@implements(np.nonzero)
def nonzero(a: Any) -> Any:
    return np.nonzero(as_symbol(a).value)


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    return np.argwhere(as_symbol(a).value)


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    return np.flatnonzero(as_symbol(a).value)


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ShapeError(
            "np.select takes as many choices as conditions",
            expected=f"{len(condlist)} choices, at least one",
            got=len(choicelist),
            where=user_source(),
            fix="pass one choice per condition",
        )
    weak = all(isinstance(v, (int, float, complex)) and not isinstance(v, bool) for v in (*choicelist, default))
    values = together([*choicelist, default]) if weak else promoted([*choicelist, default])
    made = values[-1]
    for condition, value in zip(list(condlist)[::-1], values[-2::-1], strict=True):
        made = where(condition, value, made)
    return made


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    x = as_symbol(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) or np.ndim(condlist) > x.ndim else [condlist]
    if conditions and x.ndim and np.ndim(conditions[0]) == 0:
        conditions = [condlist]
    functions = list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        raise ShapeError(
            "np.piecewise: wrong number of functions",
            expected=f"{len(conditions)} or {len(conditions) + 1} for {len(conditions)} conditions",
            got=len(functions),
            where=user_source(),
            fix="pass one function per condition, and at most one more for the rest",
        )
    made = np.zeros_like(x)
    if len(functions) > len(conditions):
        made = _piece(functions[-1], x, args, kw)
    for condition, function in zip(conditions, functions, strict=False):
        made = p.where(truth(condition), _piece(function, x, args, kw), made)
    return made


def _piece(function: Any, x: Any, args: Any, kw: Any) -> Any:
    value = as_symbol(function(x, *args, **kw) if callable(function) else function)
    return np.broadcast_to(np.astype(value, x.dtype), x.shape)


@implements(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    index = as_symbol(a)
    options = np.broadcast_arrays(*promoted(list(choices)), np.zeros(index.shape))[:-1]
    index = _moded(np.broadcast_to(index, options[0].shape), len(options), mode)
    return take_along_axis(np.stack(options), index[None], 0)[0]


@implements(np.clip)
def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None, **kwargs: Any
) -> Any:
    low = min if a_min is None or a_min is np._NoValue else a_min
    high = max if a_max is None or a_max is np._NoValue else a_max
    x = as_symbol(a)
    made = x
    if low is not None and low is not np._NoValue:
        made = np.maximum(made, _weakly(low))
    if high is not None and high is not np._NoValue:
        made = np.minimum(made, _weakly(high))
    return x.copy() if made is x else made


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    whole = as_symbol(x)
    if whole.dtype.kind == "c":
        parts = [nan_to_num(part, True, nan, posinf, neginf) for part in (np.real(whole), np.imag(whole))]
        made = p.make_complex(*parts)
    elif whole.dtype.kind == "f":
        most = np.finfo(whole.dtype).max
        made = where(np.isnan(whole), nan, whole)
        made = where(np.isposinf(whole), float(most) if posinf is None else posinf, made)
        made = where(np.isneginf(whole), -float(most) if neginf is None else neginf, made)
    else:
        made = whole.copy()
    return made if copy else target(x, "np.nan_to_num")._write(made)


# ------------------------------------------------------------------------------------------------------------- taking


def _moded(index: Any, size: int, mode: str) -> Any:
    """Indices by NumPy's ``mode``: as they are, wrapped around, or clipped to the ends."""
    if mode not in ("raise", "wrap", "clip"):
        raise unknown("mode", mode, ("raise", "wrap", "clip"), where=user_source())
    if mode == "wrap":
        return index % size
    return np.clip(index, 0, size - 1) if mode == "clip" else index


def whole_index(indices: Any) -> Any:
    """Indices as an array or a Symbol."""
    return indices if isinstance(indices, Expr) else np.asarray(indices)


@implements(np.take)
def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    x = as_symbol(a)
    if axis is None:
        x, axis = np.ravel(x), 0
    at = normalize_axis(axis, x.ndim)
    index = _moded(whole_index(indices), x.shape[at], mode)
    if index.size == 0 and not isinstance(index, Expr):
        index = index.astype(np.int64)
    return x[(slice(None),) * at + (index,)].copy()


def _along(x: Any, indices: Any, axis: Any) -> tuple[Any, Any]:
    index = whole_index(indices)
    if axis is None:
        return np.ravel(x), (index,)
    if index.ndim != x.ndim:
        raise ShapeError(
            "the indices and the array must have the same number of axes",
            expected=x.ndim,
            got=index.ndim,
            where=user_source(),
            fix="give the indices as many axes (np.expand_dims), or use x[indices]",
        )
    at = normalize_axis(axis, x.ndim)
    grid = [np.arange(n).reshape(-1, *([1] * (x.ndim - i - 1))) for i, n in enumerate(x.shape)]
    return x, tuple(index if i == at else g for i, g in enumerate(grid))


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    x, key = _along(as_symbol(arr), indices, axis)
    return x[key]


@implements(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    kept = condition.value if isinstance(condition, Symbol) else np.asarray(condition)
    return take(a, np.flatnonzero(kept), axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    return compress(condition, np.ravel(as_symbol(arr)), 0)


# ------------------------------------------------------------------------------------------------------------ writing


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    x = target(dst, "np.copyto")
    value = np.broadcast_to(as_symbol(src), x.shape)
    if given(where):
        value = p.where(truth(where), np.astype(value, x.dtype), x)
    x._write(value, casting)


@implements(np.putmask)
def putmask(a: Any, /, mask: Any, values: Any) -> None:
    x = target(a, "np.putmask")
    repeated = np.reshape(np.resize(np.astype(as_symbol(values), x.dtype), x.size), x.shape)
    x._write(p.where(truth(mask), repeated, x))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    x = target(arr, "np.place")
    chosen = np.ravel(truth(mask))
    values = np.ravel(np.astype(as_symbol(vals), x.dtype))
    turn = np.maximum(np.cumsum(chosen) - 1, 0) % values.size
    x._write(p.where(np.reshape(chosen, x.shape), np.reshape(values[turn], x.shape), x))


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    x = target(a, "np.put")
    index = np.ravel(_moded(whole_index(ind), x.size, mode))
    flat = np.reshape(x, -1).copy()
    flat[index] = np.resize(as_symbol(v), index.size)
    x._write(np.reshape(flat, x.shape))


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    x = target(arr, "np.put_along_axis")
    if axis is None:
        put(x, indices, values)
        return
    x[_along(x, indices, axis)[1]] = values
