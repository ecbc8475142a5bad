"""NumPy's reductions and cumulative forms, composed of a few ops; the ``nan`` versions reduce what is a number.

A product halves its axis until one element is left, so that its derivative is exact where factors are zero; a running
product is the scan of Hillis and Steele (1986).  Does not do: reductions of object arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axes, normalize_axis, reduced_shape
from chainrule.base.errors import OptionError, ShapeError
from chainrule.graph.source import user_source
from chainrule.ops import pointwise, record
from chainrule.ops import reduce as ops
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements
from chainrule.trace.ufuncs import fold, is_complex, scan_axis

_NONE = np._NoValue


def keeps(keepdims: Any) -> bool:
    """Whether reduced axes stay; NumPy hands over a marker where nothing was said."""
    return keepdims is not _NONE and bool(keepdims)


def given(mask: Any) -> bool:
    """Whether ``where=`` selects anything at all."""
    return mask is not _NONE and mask is not True and mask is not None


def _started(x: Any, initial: Any, call: Any) -> Any:
    if initial is _NONE or initial is None:
        return x
    return call(x, _cast(initial, x.dtype))


def _cast(value: Any, dtype: Any) -> Any:
    """A number or Symbol in ``dtype``: NumPy takes ``initial`` so, even where it cuts off."""
    return pointwise.cast(value, dtype=dtype) if isinstance(value, Expr) else np.asarray(value).astype(dtype)[()]


def _masked(x: Any, where: Any, neutral: Any) -> Any:
    return np.where(where, x, neutral) if given(where) else x


def _typed(a: Any, dtype: Any) -> Any:
    x = as_symbol(a)
    return x if dtype is None else np.astype(x, np.dtype(dtype))


def _widened(x: Any) -> Any:
    """``x`` in the dtype NumPy sums and multiplies in: small integers and bools widen."""
    wide = np.add.reduce(np.empty(0, x.dtype)).dtype
    return x if wide == x.dtype else pointwise.cast(x, dtype=wide)


@implements(np.sum)
def sum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NONE,
    where: Any = _NONE,
) -> Any:  # fmt: skip
    x = _masked(_typed(a, dtype), where, 0)
    return _started(ops.total(x, axes=normalize_axes(axis, x.ndim), keepdims=keeps(keepdims)), initial, np.add)


def count(shape: tuple[int, ...], axis: Any) -> int:
    """Number of elements reduced."""
    return math.prod(shape[i] for i in normalize_axes(axis, len(shape)))


def counted(x: Any, axis: Any, where: Any, keepdims: bool) -> Any:
    """How many elements each place of a reduction takes: a number, or an array where a mask selects."""
    if not given(where):
        return float(count(x.shape, axis))
    kept = np.broadcast_to(as_symbol(where), x.shape)
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(float)
    return np.astype(sum(kept, axis, keepdims=keepdims), dtype)


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = _NONE
) -> Any:
    x = _typed(a, dtype)
    return sum(x, axis, keepdims=keeps(keepdims), where=where) / counted(x, axis, where, keeps(keepdims))


@implements(np.var)
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = _NONE, mean: Any = _NONE, correction: Any = _NONE,
) -> Any:  # fmt: skip
    x = _typed(a, dtype)
    if mean is _NONE:
        centre = np.mean(x, axis, keepdims=True, where=where) if given(where) else np.mean(x, axis, keepdims=True)
    else:
        centre = mean
    off = x - centre
    squares = np.real(off * np.conjugate(off)) if is_complex(off) else off * off
    freedom = counted(x, axis, where, keeps(keepdims)) - (ddof if correction is _NONE else correction)
    divisor = max(freedom, 0.0) if isinstance(freedom, float) else np.maximum(freedom, 0)
    return sum(squares, axis, keepdims=keeps(keepdims), where=where) / divisor


def root(x: Any) -> Any:
    """The square root of what is not negative, with derivative 0 at 0: the subgradient of least norm."""
    zero = pointwise.equal(x, 0)
    return pointwise.where(zero, 0.0, pointwise.sqrt(pointwise.where(zero, 1.0, x)))


@implements(np.std)
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = _NONE, mean: Any = _NONE, correction: Any = _NONE,
) -> Any:  # fmt: skip
    return root(var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


@implements(np.prod)
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NONE,
    where: Any = _NONE,
) -> Any:  # fmt: skip
    x = _widened(_masked(_typed(a, dtype), where, 1))
    axes = normalize_axes(axis, x.ndim)
    if any(x.shape[i] == 0 for i in axes):
        made = np.ones_like(x, shape=reduced_shape(x.shape, axes, keeps(keepdims)))
    else:
        made = fold(np.multiply, x, axes, keepdims=keeps(keepdims))
    return _started(made, initial, np.multiply)


def _extreme(op: Any, call: Any, name: str) -> Any:
    def implementation(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NONE, where: Any = _NONE,
    ) -> Any:  # fmt: skip
        x = as_symbol(a)
        if given(where):
            if initial is _NONE:
                raise OptionError(
                    f"{name} with where= has nothing to give where nothing is selected",
                    expected="initial= along with where=", got="no initial", where=user_source(),
                    fix=f"pass initial={'-' if name == 'np.max' else ''}np.inf",
                )  # fmt: skip
            x = _masked(x, where, _cast(initial, x.dtype))
        axes = normalize_axes(axis, x.ndim)
        if initial is not _NONE and any(x.shape[i] == 0 for i in axes):
            return np.full_like(x, _cast(initial, x.dtype), shape=reduced_shape(x.shape, axes, keeps(keepdims)))
        return _started(op(x, axes=axes, keepdims=keeps(keepdims)), initial, call)

    return implementation


implements(np.max, np.amax)(_extreme(ops.largest, pointwise.maximum, "np.max"))
implements(np.min, np.amin)(_extreme(ops.smallest, pointwise.minimum, "np.min"))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    x = as_symbol(a)
    return np.max(x, axis, keepdims=keeps(keepdims)) - np.min(x, axis, keepdims=keeps(keepdims))


def _position(op: Any) -> Any:
    def implementation(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        x = as_symbol(a)
        if axis is None:
            flat = op(record.reshape(x, (x.size,)), axis=0)
            return record.reshape(flat, (1,) * x.ndim) if keeps(keepdims) else flat
        at = normalize_axis(axis, x.ndim)
        found = op(x, axis=at)
        return np.expand_dims(found, at) if keeps(keepdims) else found

    return implementation


implements(np.argmax)(_position(ops.argmax))
implements(np.argmin)(_position(ops.argmin))


def truth(a: Any) -> Any:
    """``a`` as bools: what is not zero."""
    x = as_symbol(a)
    return x if x.dtype.kind == "b" else pointwise.not_equal(x, 0)


def _logical(op: Any) -> Any:
    def implementation(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        x = _masked(truth(a), where, op is ops.all_)
        return op(x, axes=normalize_axes(axis, x.ndim), keepdims=keeps(keepdims))

    return implementation


implements(np.any)(_logical(ops.any_))
implements(np.all)(_logical(ops.all_))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return sum(truth(a), axis, keepdims=keepdims)


# --------------------------------------------------------------------------------------------------------- cumulative


def _flat_if_none(x: Any, axis: Any) -> tuple[Any, int]:
    return (np.ravel(x), 0) if axis is None else (x, normalize_axis(axis, x.ndim))


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x, at = _flat_if_none(_typed(a, dtype), axis)
    return ops.cumsum(np.atleast_1d(x), axis=at, reverse=False)


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x, at = _flat_if_none(_widened(_typed(a, dtype)), axis)
    return scan_axis(np.multiply, np.atleast_1d(x), at)


def _cumulative(name: str, call: Callable[..., Any], neutral: int) -> Any:
    def implementation(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        x = np.atleast_1d(as_symbol(x))
        if axis is None and x.ndim > 1:
            raise ShapeError(
                f"{name} of an array with several axes needs to know which one", expected="axis=",
                got=f"shape {x.shape}", where=user_source(), fix="name the axis",
            )  # fmt: skip
        at = 0 if axis is None else normalize_axis(axis, x.ndim)
        made = call(x, at, dtype)
        if not include_initial:
            return made
        first = np.full_like(made, neutral, shape=(*x.shape[:at], 1, *x.shape[at + 1 :]))
        return np.concatenate([first, made], axis=at)

    return implementation


implements(np.cumulative_sum)(_cumulative("np.cumulative_sum", cumsum, 0))
implements(np.cumulative_prod)(_cumulative("np.cumulative_prod", cumprod, 1))

# ------------------------------------------------------------------------------------------- what is a number, alone


def numbers(a: Any, where: Any, fill: Any) -> tuple[Any, Any]:
    """``a`` with ``fill`` for NaN (which also guards its derivative), and the mask of what is selected and a number."""
    x = as_symbol(a)
    if x.dtype.kind not in "fc":
        return x, where
    kept = pointwise.logical_not(pointwise.isnan(x))
    filled = pointwise.where(kept, x, fill)
    return filled, np.logical_and(kept, where) if given(where) else kept


@implements(np.nansum)
def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NONE,
    where: Any = _NONE,
) -> Any:  # fmt: skip
    return sum(numbers(a, _NONE, 0.0)[0], axis, dtype, None, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NONE,
    where: Any = _NONE,
) -> Any:  # fmt: skip
    return prod(numbers(a, _NONE, 1.0)[0], axis, dtype, None, keepdims, initial, where)


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return cumsum(numbers(a, _NONE, 0.0)[0], axis, dtype)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return cumprod(numbers(a, _NONE, 1.0)[0], axis, dtype)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = _NONE
) -> Any:
    x, kept = numbers(a, where, 0.0)
    return mean(x, axis, dtype, None, keepdims, where=kept)


@implements(np.nanvar)
def nanvar(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = _NONE, mean: Any = _NONE, correction: Any = _NONE,
) -> Any:  # fmt: skip
    x, kept = numbers(a, where, 0.0)
    ddof = ddof if correction is _NONE else correction
    made = var(x, axis, dtype, None, ddof, keepdims, where=kept, mean=mean)
    enough = as_symbol(counted(x, axis, kept, keeps(keepdims)) > ddof)
    return pointwise.where(enough, made, np.nan)


@implements(np.nanstd)
def nanstd(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
    where: Any = _NONE, mean: Any = _NONE, correction: Any = _NONE,
) -> Any:  # fmt: skip
    return root(nanvar(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction))


def _nan_extreme(call: Any, worst: float) -> Any:
    def implementation(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = _NONE, where: Any = _NONE,
    ) -> Any:  # fmt: skip
        x = as_symbol(a)
        options = {"initial": initial} if initial is not _NONE else {}
        if given(where):
            options["where"] = where
        if x.dtype.kind not in "fc":
            return call(x, axis, keepdims=keeps(keepdims), **options)
        filled, kept = numbers(x, where, worst)
        made = call(filled, axis, keepdims=keeps(keepdims), **options)
        if options:
            return made
        return pointwise.where(np.any(kept, axis, keepdims=keeps(keepdims)), made, np.nan)

    return implementation


def _nan_position(call: Any, worst: float) -> Any:
    def implementation(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        x = as_symbol(a)
        return call(numbers(x, _NONE, worst)[0] if x.dtype.kind in "fc" else x, axis, keepdims=keeps(keepdims))

    return implementation


implements(np.nanmax)(_nan_extreme(np.max, -math.inf))
implements(np.nanmin)(_nan_extreme(np.min, math.inf))
implements(np.nanargmax)(_nan_position(np.argmax, -math.inf))
implements(np.nanargmin)(_nan_position(np.argmin, math.inf))
