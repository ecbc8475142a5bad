"""NumPy's functions about diagonals, triangles and grids of coordinates, and the cross product."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axis
from chainrule.base.errors import ShapeError
from chainrule.graph.source import user_source
from chainrule.ops import index as ops
from chainrule.ops import record
from chainrule.trace.joining import flip
from chainrule.trace.shaping import together
from chainrule.trace.symbol import as_symbol, read_only
from chainrule.trace.table import implements

# ---------------------------------------------------------------------------------------------------------- diagonals


def _diagonal_places(rows: int, columns: int, offset: int) -> tuple[Any, Any]:
    start = (max(-offset, 0), max(offset, 0))
    n = max(min(rows - start[0], columns - start[1]), 0)
    return np.arange(n) + start[0], np.arange(n) + start[1]


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    x = as_symbol(a)
    if x.ndim < 2:
        raise ShapeError(
            "diag requires an array of at least two dimensions",
            expected="2 axes or more",
            got=x.shape,
            where=user_source(),
            fix="use np.diag for vectors, or reshape",
        )
    first, second = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    if first == second:
        raise ShapeError(
            "a diagonal lies in a plane",
            expected="two different axes",
            got=axis1,
            where=user_source(),
            fix="pass two different axes",
        )
    rows, columns = _diagonal_places(x.shape[first], x.shape[second], offset)
    rest = [i for i in range(x.ndim) if i not in (first, second)]
    order = (first, second, *rest)

    def read(base: Any) -> Any:
        taken = ops.gather(record.transpose(base, order), rows, columns)
        return record.move_axis(taken, 0, taken.ndim - 1)

    return read(x)._as_view(x, read, read_only)


@implements(np.linalg.diagonal)
def matrix_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return diagonal(x, offset, -2, -1)


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    x = as_symbol(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ShapeError(
            "Input must be 1- or 2-d.",
            expected="a vector or a matrix",
            got=x.shape,
            where=user_source(),
            fix="reshape it, or use np.diagonal for stacks of matrices",
        )
    n = x.shape[0] + abs(k)
    made = np.zeros_like(x, shape=(n, n))
    made[_diagonal_places(n, n, k)] = x
    return made


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    return diag(np.ravel(as_symbol(v)), k)


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    return np.sum(diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@implements(np.linalg.trace)
def matrix_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return trace(x, offset, -2, -1, dtype)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    from chainrule.trace.selecting import target

    x = target(a, "np.fill_diagonal")
    flags = np.zeros(x.shape, bool)
    np.fill_diagonal(flags, True, wrap)
    places = np.nonzero(flags)
    value = np.ravel(as_symbol(val))
    x[places] = np.resize(value, places[0].shape) if value.size > 1 else value


# ---------------------------------------------------------------------------------------------------------- triangles


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    x = as_symbol(m)
    return np.where(_below(x, k), x, np.zeros_like(x, shape=()))


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    x = as_symbol(m)
    return np.where(_below(x, k - 1), np.zeros_like(x, shape=()), x)


def _below(x: Any, k: int) -> Any:
    """Where the last two axes of ``x`` lie on or below its ``k``-th diagonal."""
    if x.ndim == 0:
        raise ShapeError(
            "a triangle needs an axis",
            expected="1 axis or more",
            got=x.shape,
            where=user_source(),
            fix="pass an array with at least one axis",
        )
    rows, columns = x.shape[-2:] if x.ndim > 1 else x.shape * 2
    return np.tri(rows, columns, k=k, dtype=bool)


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> Any:
    return np.tril_indices(arr.shape[-2], k=k, m=arr.shape[-1])


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> Any:
    return np.triu_indices(arr.shape[-2], k=k, m=arr.shape[-1])


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> Any:
    return np.diag_indices_from(np.broadcast_to(np.zeros(()), arr.shape))


# -------------------------------------------------------------------------------------------------------------- grids


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    from chainrule.base.errors import choose

    if indexing not in ("xy", "ij"):
        raise choose("np.meshgrid's indexing", indexing, ("xy", "ij"), where=user_source())
    n = len(xi)
    made = [np.reshape(as_symbol(x), (1,) * i + (-1,) + (1,) * (n - 1 - i)) for i, x in enumerate(xi)]
    if indexing == "xy" and n > 1:
        made = [np.swapaxes(x, 0, 1) for x in made]
    if not sparse:
        made = list(np.broadcast_arrays(*made))
    return tuple(x.copy() for x in made) if copy else tuple(made)


@implements(np.ix_)
def ix_(*args: Any) -> Any:
    made = []
    for i, sequence in enumerate(args):
        x = as_symbol(sequence)
        if x.ndim != 1:
            raise ShapeError(
                "Cross index must be 1 dimensional",
                expected="vectors",
                got=x.shape,
                where=user_source(),
                fix="pass vectors (np.ravel)",
            )
        if x.dtype.kind == "b":
            x = as_symbol(np.nonzero(x.value)[0])
        made.append(np.reshape(x, (1,) * i + (x.size,) + (1,) * (len(args) - i - 1)))
    return tuple(made)


@implements(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    x = as_symbol(x)
    if x.ndim != 1:
        raise ShapeError(
            "x must be a one-dimensional array or sequence.",
            expected="a vector",
            got=x.shape,
            where=user_source(),
            fix="np.ravel(x)",
        )
    n = x.shape[0] if N is None else N
    made = x[:, None] ** np.arange(n)
    return made if increasing else flip(made, 1)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    rows = list(multi_index)
    modes = [mode] * len(rows) if isinstance(mode, str) else list(mode)
    sizes = [int(d) for d in np.atleast_1d(dims)]
    total: Any = 0
    pairs = list(zip(rows, sizes, modes, strict=True))
    for index, size, how in pairs if order == "C" else pairs[::-1]:
        index = as_symbol(index)
        index = index % size if how == "wrap" else np.clip(index, 0, size - 1) if how == "clip" else index
        total = total * size + index
    return total


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    rest = as_symbol(indices)
    sizes = [int(d) for d in np.atleast_1d(shape)]
    found = []
    for size in sizes[::-1] if order == "C" else sizes:
        found.append(rest % size)
        rest = rest // size
    return tuple(found[::-1] if order == "C" else found)


# ------------------------------------------------------------------------------------------------------ cross product


@implements(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = together([a, b])
    for name, v, i in (("first", x, axisa), ("second", y, axisb)):
        if v.ndim == 0 or v.shape[normalize_axis(i, v.ndim)] != 3:
            raise ShapeError(
                f"the cross product's {name} argument does not hold vectors of 3 numbers",
                expected=f"size 3 along axis {i}", got=v.shape, where=user_source(),
                fix="for vectors in the plane write x[..., 0] * y[..., 1] - x[..., 1] * y[..., 0]",
            )  # fmt: skip
    x, y = np.moveaxis(x, axisa, -1), np.moveaxis(y, axisb, -1)
    onward, back = np.array([1, 2, 0]), np.array([2, 0, 1])
    made = x[..., onward] * y[..., back] - x[..., back] * y[..., onward]
    return np.moveaxis(made, -1, axisc)


@implements(np.linalg.cross)
def vector_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return cross(x1, x2, axis=axis)
