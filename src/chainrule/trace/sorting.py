"""NumPy's sorting, searching and set functions.

Sorting is finding the order, which has no derivative, and taking the elements in it, which is linear.  A partition is
a full sort, which is one of the partitions NumPy may give.  Searching halves the interval log₂ n times, so it needs no
values.  What has a shape that depends on values (``np.unique`` and the sets) needs them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.base.arrays import normalize_axis
from chainrule.base.errors import ShapeError, choose
from chainrule.graph.source import user_source
from chainrule.ops import pointwise as p
from chainrule.ops import reduce as ops
from chainrule.trace.shaping import together
from chainrule.trace.symbol import Symbol, as_symbol
from chainrule.trace.table import implements, refuse


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x = np.atleast_1d(as_symbol(a))
    if axis is None:
        x, axis = np.ravel(x), 0
    return ops.argsort(x, axis=normalize_axis(axis, x.ndim))


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    x = as_symbol(a)
    if axis is None:
        x, axis = np.ravel(x), 0
    if x.ndim == 0:
        raise ShapeError(
            "a scalar can't be sorted",
            expected="at least one axis",
            got=x.shape,
            where=user_source(),
            fix="pass an array with at least one axis",
        )
    return np.take_along_axis(x, argsort(x, axis), axis)


@implements(np.sort_complex)
def sort_complex(a: Any) -> Any:
    x = sort(a)
    return x if x.dtype.kind == "c" else p.cast(x, dtype=np.dtype("c8" if x.dtype == np.float32 else "c16"))


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    return sort(a, axis)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    return argsort(a, axis)


@implements(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    rows = [as_symbol(k) for k in keys]
    if not rows:
        raise ShapeError(
            "need sequence of keys with len > 0 in lexsort",
            expected="1 key or more",
            got="no keys",
            where=user_source(),
            fix="pass at least one key",
        )
    if rows[0].ndim == 0:
        return as_symbol(np.int64(0))
    found = argsort(rows[0], axis)
    for row in rows[1:]:
        found = np.take_along_axis(found, argsort(np.take_along_axis(row, found, axis), axis), axis)
    return found


# ---------------------------------------------------------------------------------------------------------- searching


def _before(a: Any, v: Any) -> Any:
    """``a < v`` in the order of sorting, where NaN comes last."""
    if a.dtype.kind not in "fc":
        return p.less(a, v)
    return p.logical_or(p.less(a, v), p.logical_and(p.isnan(v), p.logical_not(p.isnan(a))))


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    if side not in ("left", "right"):
        raise choose("np.searchsorted's side", side, ("left", "right"), where=user_source())
    row, sought = together([a, v])
    if row.ndim != 1:
        raise ShapeError(
            "np.searchsorted searches a vector",
            expected="1 axis",
            got=row.shape,
            where=user_source(),
            fix="np.ravel the array, or search row by row with cr.vmap",
        )
    if sorter is not None:
        row = row[sorter]
    n = row.shape[0]
    low = as_symbol(np.zeros((), np.int64))
    low = np.broadcast_to(low, sought.shape)
    step = 1 << n.bit_length() >> 1
    while step:  # low counts elements known to lie before; try to move it on by a power of two
        probe = low + step
        reached = row[np.minimum(probe, n) - 1]
        goes = _before(reached, sought) if side == "left" else p.logical_not(_before(sought, reached))
        low = p.where(p.logical_and(p.less_equal(probe, n), goes), probe, low)
        step >>= 1
    return low


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    edges = as_symbol(bins)
    value = np.asarray(edges.value) if edges.has_value else None
    if value is not None and value.size > 1 and value[0] > value[-1]:
        return edges.shape[0] - searchsorted(edges[::-1], x, "left" if right else "right")
    return searchsorted(edges, x, "left" if right else "right")


@implements(np.isin)
def isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, *, kind: Any = None
) -> Any:
    x, y = together([element, test_elements])
    found = np.any(np.equal(x[..., None], np.ravel(y)), axis=-1)
    return np.logical_not(found) if invert else found


# --------------------------------------------------------------------------------------------------------------- sets


def _value(x: Any) -> Any:
    return np.asarray(x.value if isinstance(x, Symbol) else x)


@implements(np.unique)
def unique(
    ar: Any, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None, *, equal_nan: bool = True, sorted: bool = True,
) -> Any:  # fmt: skip
    x = as_symbol(ar)
    _, index, inverse, counts = np.unique(_value(x), True, True, True, axis, equal_nan=equal_nan)
    made = np.take(x, index, axis)
    parts = ((return_index, index), (return_inverse, inverse), (return_counts, counts))
    chosen = tuple(part for wanted, part in parts if wanted)
    return (made, *chosen) if chosen else made


class UniqueAll(NamedTuple):
    """The result of ``np.unique_all``."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCounts(NamedTuple):
    """The result of ``np.unique_counts``."""

    values: Any
    counts: Any


class UniqueInverse(NamedTuple):
    """The result of ``np.unique_inverse``."""

    values: Any
    inverse_indices: Any


@implements(np.unique_all)
def unique_all(x: Any) -> UniqueAll:
    return UniqueAll(*unique(x, True, True, True, equal_nan=False))


@implements(np.unique_counts)
def unique_counts(x: Any) -> UniqueCounts:
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


@implements(np.unique_inverse)
def unique_inverse(x: Any) -> UniqueInverse:
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


@implements(np.unique_values)
def unique_values(x: Any) -> Any:
    return unique(x, equal_nan=False)


@implements(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    return unique(np.append(as_symbol(ar1), as_symbol(ar2)))


@implements(np.intersect1d)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    x = np.ravel(as_symbol(ar1))
    _, first, second = np.intersect1d(_value(x), np.ravel(_value(ar2)), assume_unique, return_indices=True)
    return (x[first], first, second) if return_indices else x[first]


@implements(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    x = np.ravel(as_symbol(ar1)) if assume_unique else unique(ar1)
    return x[~np.isin(_value(x), _value(ar2))]


@implements(np.setxor1d)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    one, other = setdiff1d(ar1, ar2), setdiff1d(as_symbol(ar2), ar1)
    return sort(np.append(one, other))


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    if isinstance(bins, str):
        raise refuse("np.histogram", "bins", bins, "give the number of bins or their edges")
    if np.ndim(bins):
        return bins
    x = as_symbol(a)
    low, high = range if range is not None else (np.min(x), np.max(x)) if x.size else (0.0, 1.0)
    low, high = as_symbol(low) * 1.0, as_symbol(high) * 1.0
    spread = p.equal(low, high)
    return np.linspace(p.where(spread, low - 0.5, low), p.where(spread, high + 0.5, high), int(bins) + 1)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    x = np.ravel(as_symbol(a))
    edges = as_symbol(histogram_bin_edges(x, bins, range))
    n = edges.shape[0] - 1
    place = searchsorted(edges, x, "right") - 1
    place = p.where(p.equal(x, edges[-1]), n - 1, place)
    inside = p.logical_and(p.greater_equal(place, 0), p.less(place, n))
    each = as_symbol(np.ones(x.shape, np.int64)) if weights is None else np.ravel(as_symbol(weights))
    counts = np.zeros_like(each, shape=(n,))
    np.add.at(counts, p.where(inside, place, 0), p.where(inside, each, 0))
    if density:
        return counts / np.diff(edges) / np.sum(counts), edges
    return counts, edges
