"""NumPy's reductions, statistics, sorting and searching."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axes, normalize_axis
from chainrule.ops import pointwise, record
from chainrule.ops import reduce as ops
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements


def _started(x: Any, initial: Any, call: Any) -> Any:
    return x if initial is np._NoValue else call(x, initial)


def _masked(x: Any, where: Any, neutral: Any) -> Any:
    return x if where is np._NoValue or where is True else np.where(where, x, neutral)


@implements(np.sum)
def sum(  # noqa: A001 - NumPy's name
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, initial: Any = np._NoValue,
    where: Any = np._NoValue,
) -> Any:  # fmt: skip
    x = _masked(as_symbol(a), where, 0)
    if dtype is not None:
        x = np.astype(x, dtype)
    total = ops.total(x, axes=normalize_axes(axis, x.ndim), keepdims=bool(keepdims) and keepdims is not np._NoValue)
    return _started(total, initial, np.add)


def count(shape: tuple[int, ...], axis: Any) -> int:
    """Number of elements reduced."""
    return math.prod(shape[i] for i in normalize_axes(axis, len(shape)))


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue
) -> Any:
    x = as_symbol(a)
    if dtype is not None:
        x = np.astype(x, dtype)
    if where is not np._NoValue and where is not True:
        kept = np.broadcast_to(where, x.shape)
        return sum(x, axis, keepdims=keepdims, where=kept) / np.sum(kept, axis=normalize_axes(axis, x.ndim), keepdims=keepdims is True)
    return sum(x, axis, keepdims=keepdims) / float(count(x.shape, axis))


def _extreme(op: Any, call: Any) -> Any:
    def implementation(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, initial: Any = np._NoValue,
        where: Any = np._NoValue,
    ) -> Any:  # fmt: skip
        x = as_symbol(a)
        x = _masked(x, where, initial)
        keep = bool(keepdims) and keepdims is not np._NoValue
        return _started(op(x, axes=normalize_axes(axis, x.ndim), keepdims=keep), initial, call)

    return implementation


implements(np.max, np.amax)(_extreme(ops.largest, pointwise.maximum))
implements(np.min, np.amin)(_extreme(ops.smallest, pointwise.minimum))


def _position(op: Any) -> Any:
    def implementation(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        x = as_symbol(a)
        if axis is None:
            flat = op(record.reshape(x, (x.size,)), axis=0)
            return record.reshape(flat, (1,) * x.ndim) if keepdims is True else flat
        at = normalize_axis(axis, x.ndim)
        found = op(x, axis=at)
        return np.expand_dims(found, at) if keepdims is True else found

    return implementation


implements(np.argmax)(_position(ops.argmax))
implements(np.argmin)(_position(ops.argmin))


def _logical(op: Any) -> Any:
    def implementation(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        x = as_symbol(a)
        x = x if x.dtype.kind == "b" else pointwise.not_equal(x, 0)
        x = _masked(x, where, op is ops.all_)
        return op(x, axes=normalize_axes(axis, x.ndim), keepdims=keepdims is True)

    return implementation


implements(np.any)(_logical(ops.any_))
implements(np.all)(_logical(ops.all_))


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x = as_symbol(a)
    if dtype is not None:
        x = np.astype(x, dtype)
    if axis is None:
        x, axis = np.ravel(x), 0
    return ops.cumsum(x, axis=normalize_axis(axis, x.ndim), reverse=False)


@implements(np.where)
def where(condition: Any, x: Any = np._NoValue, y: Any = np._NoValue, /) -> Any:
    if x is np._NoValue:
        return np.nonzero(condition)
    chosen = condition
    if getattr(chosen, "dtype", None) is not None and chosen.dtype.kind != "b":
        chosen = pointwise.not_equal(chosen, 0)
    return pointwise.where(chosen, x, y)


@implements(np.nonzero)
def nonzero(a: Any) -> Any:
    return np.nonzero(a.value)
