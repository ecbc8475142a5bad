"""NumPy's functions that arrange numbers: shapes, axes, joining, splitting, padding, making arrays like others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axes, normalize_axis
from chainrule.base.errors import ShapeError
from chainrule.graph.source import user_source
from chainrule.ops import pointwise, record
from chainrule.ops import shape as ops
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import Symbol, as_symbol, read_only
from chainrule.trace.table import implements, refuse

# ------------------------------------------------------------------------------------------------- shape and axes


def full_shape(shape: Any, size: int) -> tuple[int, ...]:
    """``shape`` with its -1 filled in for ``size`` elements.  Raises ShapeError where that can't be."""
    wanted = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    known = math.prod(n for n in wanted if n != -1)
    if wanted.count(-1) == 1 and known and size % known == 0:
        return tuple(size // known if n == -1 else n for n in wanted)
    if -1 in wanted or known != size:
        raise ShapeError(
            "the sizes before and after reshaping differ",
            expected=f"a shape of {size} elements",
            got=wanted,
            where=user_source(),
            fix="pass sizes whose product is the number of elements; one of them may be -1",
        )
    return wanted


def _same_numbers(x: Symbol, shape: tuple[int, ...], writable: bool) -> Any:
    """``x`` in another shape as a view of it; ``writable`` where NumPy always makes a view."""
    old = x.shape
    write = (lambda base, new: record.reshape(new, old)) if writable else None
    return ops.reshape(x, shape=shape)._as_view(x, lambda base: ops.reshape(base, shape=shape), write)


@implements(np.reshape)
def reshape(x: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    x = as_symbol(x)
    if order == "F":
        reverse = full_shape(shape, x.size)[::-1]
        return np.transpose(reshape(np.transpose(x), reverse))
    if order not in ("C", "K", "A"):
        raise refuse("np.reshape", "order", order, "use order='C' or 'F'")
    made = _same_numbers(x, full_shape(shape, x.size), False)
    return made.copy() if copy else made


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    return reshape(a, (-1,), order)


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    x = as_symbol(a)
    order = tuple(range(x.ndim))[::-1] if axes is None else tuple(normalize_axis(i, x.ndim) for i in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ShapeError(
            "not an order of the axes",
            expected=f"the {x.ndim} axes, each once",
            got=axes,
            fix="name each axis once",
        )
    back = tuple(int(i) for i in np.argsort(order))
    return ops.transpose(x, axes=order)._as_view(
        x, lambda base: ops.transpose(base, axes=order), lambda base, new: ops.transpose(new, axes=back)
    )


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    return np.swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    x = as_symbol(a)
    order = list(range(x.ndim))
    i, j = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    x = as_symbol(a)
    sources = [normalize_axis(i, x.ndim) for i in np.atleast_1d(source)]
    goals = [normalize_axis(i, x.ndim) for i in np.atleast_1d(destination)]
    order = [i for i in range(x.ndim) if i not in sources]
    for goal, origin in sorted(zip(goals, sources, strict=True)):
        order.insert(goal, origin)
    return transpose(x, order)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    x = as_symbol(a)
    origin = normalize_axis(axis, x.ndim)
    goal = start + x.ndim if start < 0 else start
    return moveaxis(x, origin, goal - 1 if origin < goal else goal)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    x = as_symbol(a)
    added = normalize_axes(axis, x.ndim + (1 if isinstance(axis, (int, np.integer)) else len(axis)))
    rest = iter(x.shape)
    return _same_numbers(x, tuple(1 if i in added else next(rest) for i in range(x.ndim + len(added))), True)


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    x = as_symbol(a)
    gone = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else normalize_axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise ShapeError(
            "only axes of size 1 can be dropped",
            expected="size 1",
            got=f"{x.shape}, axis={axis}",
            fix="name axes of size 1, or index the others (x[:, 0])",
        )
    return _same_numbers(x, tuple(n for i, n in enumerate(x.shape) if i not in gone), True)


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    x = as_symbol(array)
    wanted = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(int(n) for n in shape)
    made: Any = record.broadcast_to(x, wanted)
    if made is x or not made.ndim:
        return x
    return made._as_view(x, lambda base: record.broadcast_to(base, wanted), read_only)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    symbols = [as_symbol(a) for a in args]
    shape = np.broadcast_shapes(*[s.shape for s in symbols])
    return tuple(broadcast_to(s, shape) for s in symbols)


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    made = tuple(expand_dims(a, 0) if np.ndim(a) == 0 else as_symbol(a) for a in arys)
    return made[0] if len(made) == 1 else made


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    made = tuple(as_symbol(a) if np.ndim(a) >= 2 else expand_dims(atleast_1d(a), 0) for a in arys)
    return made[0] if len(made) == 1 else made


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    def one(a: Any) -> Any:
        x = as_symbol(a)
        if x.ndim >= 3:
            return x
        return expand_dims(x, -1) if x.ndim == 2 else expand_dims(atleast_1d(x), (0, 2))

    made = tuple(one(a) for a in arys)
    return made[0] if len(made) == 1 else made


# --------------------------------------------------------------------------------------------- facts, without a line


@implements(np.shape)
def shape(a: Any) -> Any:
    return as_symbol(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    return int(as_symbol(a).ndim)


@implements(np.size)
def size(a: Any, axis: Any = None) -> int:
    x = as_symbol(a)
    return int(math.prod(x.shape[i] for i in normalize_axes(axis, x.ndim)))


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    return bool(x.dtype.kind == "c")


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    return bool(x.dtype.kind != "c")


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> Any:
    return np.result_type(*[a.dtype if isinstance(a, Expr) else a for a in arrays_and_dtypes])


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return bool(np.can_cast(from_.dtype if isinstance(from_, Expr) else from_, to, casting))


@implements(np.min_scalar_type)
def min_scalar_type(a: Any) -> Any:
    return a.dtype


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    return np.common_type(*[np.empty(0, a.dtype) for a in arrays])


@implements(np.isscalar)
def isscalar(element: Any) -> bool:
    return False


@implements(np.may_share_memory, np.shares_memory)
def shares_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    return a is b


# ------------------------------------------------------------------------------------------------------------ dtypes


@implements(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    x = as_symbol(x)
    wanted = np.dtype(dtype)
    if wanted == x.dtype:
        return x.copy() if copy else x
    return pointwise.cast(x, dtype=wanted)


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    x = as_symbol(a)
    return Symbol(x.builder, x.index)


@implements(np.real)
def real(val: Any) -> Any:
    x = as_symbol(val)
    if x.dtype.kind != "c":
        return x
    return _part(x, pointwise.real, lambda base, new: pointwise.make_complex(new, pointwise.imag(base)))


@implements(np.imag)
def imag(val: Any) -> Any:
    x = as_symbol(val)
    if x.dtype.kind != "c":
        return np.zeros_like(x)
    return _part(x, pointwise.imag, lambda base, new: pointwise.make_complex(pointwise.real(base), new))


def _part(x: Any, read: Any, write: Any) -> Any:
    """A part of a complex array: a view of it, unless it has no axes, which makes it a scalar."""
    made = read(x)
    return made._as_view(x, read, write) if made.ndim else made


# --------------------------------------------------------------------------------------------------- arrays like others


@implements(np.zeros_like, np.empty_like)
def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    return full_like(a, 0, dtype, shape=shape)


@implements(np.ones_like)
def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any) -> Any:
    return full_like(a, 1, dtype, shape=shape)


@implements(np.full_like)
def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    a = as_symbol(a)
    goal = a.shape if shape is None else (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(shape)
    wanted = a.dtype if dtype is None else np.dtype(dtype)
    value = fill_value if isinstance(fill_value, Expr) else as_symbol(np.asarray(fill_value, wanted))
    if value.dtype != wanted:
        value = pointwise.cast(value, dtype=wanted)
    return broadcast_to(value, goal).copy()


def _made_like(make: Any) -> Any:
    def implementation(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("like", None)
        return as_symbol(make(*args, **kwargs))

    return implementation


for _make in (
    np.zeros, np.ones, np.empty, np.eye, np.identity, np.arange, np.tri, np.fromiter, np.frombuffer,
    np.loadtxt, np.fromfunction,
):  # fmt: skip
    implements(_make)(_made_like(_make))


@implements(np.full)
def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", *, device: Any = None, like: Any = None
) -> Any:
    value = as_symbol(fill_value)
    return full_like(value, value, dtype, shape=shape)


@implements(np.asarray, np.asanyarray)
def asarray(a: Any, dtype: Any = None, order: Any = None, *, like: Any = None, copy: Any = None, **_: Any) -> Any:
    same = isinstance(a, Expr) and (dtype is None or np.dtype(dtype) == a.dtype)
    return a if same and not copy else array(a, dtype)


@implements(np.array, np.ascontiguousarray, np.asfortranarray)
def array(object: Any, dtype: Any = None, *, like: Any = None, copy: Any = True, **_: Any) -> Any:
    if isinstance(object, (list, tuple)):
        made = np.stack([array(o) for o in object]) if object else as_symbol(np.array(object, dtype))
    else:
        same = isinstance(object, Expr) and (dtype is None or np.dtype(dtype) == object.dtype)
        if same and not copy:
            return object
        made = as_symbol(object).copy()
    return made if dtype is None else astype(made, dtype)


# ------------------------------------------------------------------------------------------------------------ joining


def floating(a: Any) -> Any:
    """``a`` as a Symbol of a float or complex dtype; integers and bools become float64."""
    x = as_symbol(a)
    return x if x.dtype.kind in "fc" else pointwise.cast(x, dtype=np.dtype(np.float64))


def together(arrays: Sequence[Any], dtype: Any = None) -> list[Any]:
    """Arrays as Symbols of one dtype."""
    symbols = [as_symbol(a) for a in arrays]
    if not symbols:
        raise ShapeError(
            "no arrays to join",
            expected="at least one array",
            got="none",
            where=user_source(),
            fix="pass at least one array",
        )
    wanted = np.result_type(*[s.dtype for s in symbols]) if dtype is None else np.dtype(dtype)
    return [s if s.dtype == wanted else pointwise.cast(s, dtype=wanted) for s in symbols]


def promoted(values: Sequence[Any]) -> list[Any]:
    """Values as Symbols of the dtype NumPy promotes them to, Python's numbers being weak."""
    values = [as_symbol(v) if isinstance(v, (list, tuple)) else v for v in values]
    return together(values, np.result_type(*[v.dtype if isinstance(v, Expr) else v for v in values]))


@implements(np.concatenate)
def concatenate(arrays: Any, /, axis: Any = 0, *, dtype: Any = None, casting: Any = None) -> Any:
    parts = together(arrays, dtype)
    if axis is None:
        parts, axis = [ravel(part) for part in parts], 0
    if parts[0].ndim == 0:
        raise ShapeError(
            "arrays without axes can't be concatenated", expected="at least one axis", got="a 0-d array",
            where=user_source(), fix="np.stack joins scalars",
        )  # fmt: skip
    return ops.concatenate(*parts, axis=normalize_axis(axis, parts[0].ndim))


@implements(np.stack)
def stack(arrays: Any, axis: int = 0, *, dtype: Any = None, casting: Any = None) -> Any:
    parts = together(list(arrays), dtype)
    if len({part.shape for part in parts}) > 1:
        raise ShapeError(
            "arrays to stack differ in shape",
            expected=parts[0].shape,
            got=next(part.shape for part in parts if part.shape != parts[0].shape),
            where=user_source(),
            fix="make their shapes equal (np.broadcast_to, np.reshape), or use np.concatenate",
        )
    axis = normalize_axis(axis, parts[0].ndim + 1)
    return ops.concatenate(*[expand_dims(part, axis) for part in parts], axis=axis)
