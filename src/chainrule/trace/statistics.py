"""NumPy's statistics: averages, order statistics, covariance and counting.

A quantile is a fixed mixture of two sorted elements; which two, and in what mixture, NumPy itself says when it is asked
for the quantile of ``arange(n)``.  That gives all thirteen methods of Hyndman and Fan (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import INT, normalize_axes, normalize_axis, real_dtype
from chainrule.base.errors import ShapeError, TraceError
from chainrule.graph.source import user_source
from chainrule.ops import pointwise as p
from chainrule.ops.expr import Expr
from chainrule.ops.structure import stop_gradient
from chainrule.trace.reductions import keeps, numbers
from chainrule.trace.shaping import floating, together
from chainrule.trace.symbol import Symbol, as_symbol
from chainrule.trace.table import implements, refuse


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False) -> Any:
    x = floating(a)
    keep = keeps(keepdims)
    if weights is None:
        made = np.mean(x, axis, keepdims=keep)
        total = np.full_like(made, x.size / max(made.size, 1))
        return (made, total) if returned else made
    w = as_symbol(weights)
    if w.shape != x.shape:
        axes = axis if isinstance(axis, Sequence) else [axis]
        places = [] if axis is None else [normalize_axis(i, x.ndim) for i in axes]
        if axis is None or w.shape != tuple(x.shape[i] for i in places):
            raise ShapeError(
                "np.average: the weights do not fit",
                expected=f"shape {x.shape}, or the sizes along axis={axis}",
                got=w.shape,
                where=user_source(),
                fix="pass weights of the array's shape, or a vector and the axis it belongs to",
            )
        w = np.transpose(w, np.argsort(places))
        w = np.reshape(w, tuple(n if i in places else 1 for i, n in enumerate(x.shape)))
    total = np.astype(np.sum(np.broadcast_to(w, x.shape), axis, keepdims=keep), np.result_type(x.dtype, w.dtype))
    made = np.sum(x * w, axis, keepdims=keep) / total
    return (made, np.broadcast_to(total, made.shape)) if returned else made


# -------------------------------------------------------------------------------------------------- order statistics


def _joined_axes(x: Any, axis: Any) -> tuple[Any, Any]:
    """``x`` with the axes to reduce joined into the last one, and the shape with them kept at size 1."""
    axes = normalize_axes(axis, x.ndim)
    kept = [i for i in range(x.ndim) if i not in axes]
    moved = np.transpose(x, (*kept, *axes))
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    count = int(np.prod([x.shape[i] for i in axes], dtype=np.int64))
    return np.reshape(moved, (*(x.shape[i] for i in kept), count)), shape


def _positions(n: int, q: Any, method: str) -> Any:
    """Where quantile ``q`` of ``n`` sorted elements lies between 0 and n-1."""
    if not isinstance(q, Expr):
        try:
            return np.quantile(np.arange(float(n)), q, method=method)  # type: ignore[call-overload]
        except ValueError as error:
            raise ShapeError(
                f"np.quantile: {error}",
                expected="q between 0 and 1",
                got=f"q={q!r}, method={method!r}",
                where=user_source(),
                fix="correct q or method",
            ) from None
    if method != "linear":
        raise refuse("np.quantile with a traced q", "method", method, "use method='linear'")
    return p.cast(q, dtype=np.dtype(float)) * float(n - 1)


_DISCRETE = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")


def _mixture(ordered: Any, position: Any, axis: int, dtype: Any) -> Any:
    """Between neighbours of the sorted elements: the mixture at each of the (flat) positions, along ``axis``.

    The share of each neighbour is computed in ``dtype``.
    """
    low = np.astype(np.floor(position), INT)
    high = np.minimum(low + 1, ordered.shape[axis] - 1)
    return _between(np.take(ordered, low, axis), np.take(ordered, high, axis), position, dtype)


def _between(below: Any, above: Any, position: Any, dtype: Any) -> Any:
    """The neighbours' mixture; a neighbour without a share does not matter, even where it is infinite."""
    share = np.astype(as_symbol(position - np.floor(position)), dtype)
    return below + p.where(p.equal(share, 0), 0.0, (above - below) * share)


@implements(np.quantile)
def quantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    if weights is not None:
        raise refuse("np.quantile", "weights", "an array", "repeat elements instead, or use np.average")
    x = as_symbol(a) if method in _DISCRETE else floating(a)
    flat, shape = _joined_axes(x, axis)
    n = flat.shape[-1]
    if n == 0:
        raise ShapeError(
            "the quantile of no elements",
            expected="size 1 or more",
            got=x.shape,
            where=user_source(),
            fix="leave empty arrays out",
        )
    ordered = np.sort(flat, axis=-1)
    dtype = _share_dtype(x, q, method)
    q = q if isinstance(q, Expr) else np.asarray(q)
    position = _positions(n, np.ravel(q), method)
    if method in _DISCRETE:
        made = np.take(ordered, np.rint(position).astype(np.int64), -1)
    else:
        made = _mixture(ordered, position, -1, dtype)
    if x.dtype.kind in "fc":
        made = p.where(p.isnan(ordered[..., -1:]), np.nan, made)
    return _arranged(made, q, flat, shape, keepdims)


def _share_dtype(x: Any, q: Any, method: str) -> Any:
    """The dtype of the mixture: Python's numbers as ``q`` do not widen that of ``x``."""
    real = real_dtype(x.dtype)
    if isinstance(q, (int, float)):
        return real
    return np.result_type(real, q.dtype if isinstance(q, Expr) else np.asarray(q).dtype)


def _arranged(made: Any, q: Any, flat: Any, shape: Any, keepdims: Any) -> Any:
    """The quantiles, found along the last axis, in front, as NumPy has them."""
    front = np.moveaxis(made, -1, 0)
    return np.reshape(front, (*q.shape, *(shape if keeps(keepdims) else flat.shape[:-1])))


def _hundredths(q: Any) -> Any:
    return q / 100 if isinstance(q, Expr) else np.true_divide(q, 100)


@implements(np.percentile)
def percentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    return quantile(a, _hundredths(q), axis, method=method, keepdims=keepdims, weights=weights)


@implements(np.median)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Any:
    x = floating(a)
    if x.size == 0:
        return np.mean(x, axis, keepdims=keeps(keepdims))
    return quantile(x, 0.5, axis, keepdims=keepdims)


@implements(np.nanquantile)
def nanquantile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    if weights is not None:
        raise refuse("np.nanquantile", "weights", "an array", "repeat elements instead, or use np.average")
    if method != "linear":
        raise refuse("np.nanquantile", "method", method, "use method='linear'")
    x = floating(a)
    flat, shape = _joined_axes(x, axis)
    filled, kept = numbers(flat, True, np.inf)
    ordered = np.sort(filled, axis=-1)
    many = np.sum(kept, axis=-1, keepdims=True)
    dtype = _share_dtype(x, q, method)
    q = q if isinstance(q, Expr) else np.asarray(q)
    position = np.ravel(q) * np.maximum(many - 1, 0)
    low = np.astype(np.floor(position), INT)
    high = np.minimum(low + 1, np.maximum(many - 1, 0))
    below, above = np.take_along_axis(ordered, low, -1), np.take_along_axis(ordered, high, -1)
    made = _between(below, above, position, dtype)
    made = p.where(p.equal(many, 0), np.nan, made)
    return _arranged(made, q, flat, shape, keepdims)


@implements(np.nanpercentile)
def nanpercentile(
    a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, method: str = "linear",
    keepdims: Any = False, *, weights: Any = None,
) -> Any:  # fmt: skip
    return nanquantile(a, _hundredths(q), axis, method=method, keepdims=keepdims, weights=weights)


@implements(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: Any = False
) -> Any:
    return nanquantile(a, 0.5, axis, keepdims=keepdims)


# --------------------------------------------------------------------------------------------------------- covariance


def _double(a: Any) -> Any:
    """``a`` in float64 or complex128, in which NumPy computes covariances."""
    x = as_symbol(a)
    return np.astype(x, np.dtype(complex if x.dtype.kind == "c" else float))


@implements(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    x = _double(m) if dtype is None else np.astype(as_symbol(m), np.dtype(dtype))
    if x.ndim > 2:
        raise ShapeError(
            "m has more than 2 dimensions",
            expected="a vector or a matrix",
            got=x.shape,
            where=user_source(),
            fix="reshape it to variables × observations",
        )
    x = np.atleast_2d(x)
    if not rowvar and np.ndim(m) != 1:
        x = x.T
    if y is not None:
        other = np.atleast_2d(_double(y))
        if not rowvar and np.ndim(y) != 1:
            other = other.T
        x = np.concatenate([x, other], axis=0)
    less = (0 if bias else 1) if ddof is None else ddof
    weights = None
    if fweights is not None:
        weights = _double(fweights)
    if aweights is not None:
        weights = _double(aweights) if weights is None else weights * aweights
    if weights is None:
        centred = x - np.mean(x, axis=1, keepdims=True)
        return np.squeeze(centred @ np.conjugate(centred.T) / float(max(x.shape[1] - less, 0)))
    total = np.sum(weights)
    centred = x - np.sum(x * weights, axis=1, keepdims=True) / total
    if less == 0:
        freedom = total
    elif aweights is None:
        freedom = total - less
    else:
        freedom = total - less * np.sum(weights * aweights) / total
    return np.squeeze((centred * weights) @ np.conjugate(centred.T) / freedom)


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    covariance = cov(x, y, rowvar, dtype=dtype)
    if covariance.ndim == 0:
        return covariance / covariance
    deviation = np.sqrt(np.real(np.diagonal(covariance)))
    made = covariance / deviation[:, None] / deviation[None, :]
    return made if made.dtype.kind == "c" else _within_one(made)


def _within_one(made: Any) -> Any:
    """Rounding may leave the range of a correlation: clipped as in NumPy, with the derivative of what it was."""
    return made / stop_gradient(np.clip(np.abs(made), 1.0, None))


# ----------------------------------------------------------------------------------------------------------- counting


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    value = np.asarray(x.value) if isinstance(x, Symbol) else np.asarray(x)
    if value.ndim != 1 or (value.size and value.dtype.kind not in "iub"):
        raise TraceError(
            "np.bincount counts a vector of integers",
            expected="a vector of integers ≥ 0",
            got=f"shape {value.shape}, {value.dtype}",
            where=user_source(),
            fix="np.ravel it and make it integer: .astype(int)",
        )
    size = max(int(minlength), int(value.max()) + 1 if value.size else 0)
    if weights is None:
        return np.bincount(value, minlength=minlength)
    (w,) = together([weights])
    w = p.cast(w, dtype=np.dtype(float)) if w.dtype != np.float64 else w
    made = np.zeros_like(w, shape=(size,))
    np.add.at(made, value, w)
    return made
