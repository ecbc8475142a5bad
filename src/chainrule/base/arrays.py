"""Shapes, dtypes and broadcasting: the small facts every other folder asks for.

``Spec`` is the type of a line of a graph: a shape and a dtype.  Python's int, float and complex are weak
(NEP 50): they take the dtype of the array they meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from chainrule.base.errors import DtypeError, ShapeError

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
DType = np.dtype[Any]

BOOL = np.dtype(np.bool_)
INT = np.dtype(np.int64)

_SHORT = {
    "bool": "bool", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16",
    "uint32": "u32", "uint64": "u64", "float16": "f16", "float32": "f32", "float64": "f64", "complex64": "c64",
    "complex128": "c128",
}  # fmt: skip
_LONG = {short: np.dtype(name) for name, short in _SHORT.items()}
_SHORT_OF = {dtype: short for short, dtype in _LONG.items()}  # dtype.name is slow
NUMERIC = frozenset(_LONG.values())


class Spec(NamedTuple):
    """Shape and dtype of an array; prints as ``f64[3,2]``."""

    shape: Shape
    dtype: DType

    def __str__(self) -> str:
        return f"{short_dtype(self.dtype)}[{','.join(map(str, self.shape))}]"


def short_dtype(dtype: DType) -> str:
    """``f64`` for float64, ``i32`` for int32, …"""
    return _SHORT_OF.get(dtype) or dtype.name


def long_dtype(short: str) -> DType:
    """The dtype that :func:`short_dtype` prints as ``short``.  Raises DtypeError for other words."""
    try:
        return _LONG[short]
    except KeyError:
        raise DtypeError(
            "unknown dtype",
            expected=", ".join(_LONG),
            got=short,
            fix="write one of the short names listed",
        ) from None


def spec_of(value: Any) -> Spec:
    """The Spec of an array or a NumPy or Python scalar.  Raises DtypeError for what is not numeric."""
    array = np.asarray(value)
    if array.dtype not in NUMERIC and array.dtype.newbyteorder("=") not in NUMERIC:
        raise DtypeError(
            "not a numeric array",
            expected="an array or scalar of bool, integer, float or complex dtype",
            got=f"{type(value).__name__} of dtype {array.dtype}",
            fix="pass an array of numbers",
        )
    return Spec(array.shape, array.dtype)


def is_differentiable(dtype: DType) -> bool:
    """Whether derivatives exist for values of ``dtype``: float and complex, not bool or integer."""
    return dtype.kind in "fc"


def real_dtype(dtype: DType) -> DType:
    """float32 for complex64, float64 for complex128, other dtypes unchanged."""
    return _LONG["f32" if dtype.itemsize == 8 else "f64"] if dtype.kind == "c" else dtype


def complex_dtype(dtype: DType) -> DType:
    """complex64 for float32, complex128 for everything else real, complex dtypes unchanged."""
    return dtype if dtype.kind == "c" else _LONG["c64" if dtype.name == "float32" else "c128"]


def broadcast(*shapes: Shape) -> Shape:
    """The broadcast shape, by NumPy's rule.  Raises ShapeError, which reads like the rule."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(
            "shapes do not broadcast together",
            expected="sizes that are equal, or 1, in every axis counted from the last",
            got=" and ".join(str(s) for s in shapes),
            fix="reshape one of them, or give it axes of size 1 (x[:, None]), so that the sizes line up",
        ) from None


def normalize_axis(axis: int, ndim: int) -> int:
    """``axis`` counted from 0.  Raises ShapeError when out of range."""
    axis = int(axis)
    if not -ndim <= axis < ndim:
        raise ShapeError(
            "axis out of range",
            expected=f"-{ndim} <= axis < {ndim}",
            got=axis,
            fix="count axes from 0, or from -1 backwards",
        )
    return axis % ndim


def normalize_axes(axis: int | Iterable[int] | None, ndim: int) -> tuple[int, ...]:
    """The axes of a reduction as sorted, distinct, non-negative ints; ``None`` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, Iterable) else (axis,)
    found = tuple(sorted(normalize_axis(a, ndim) for a in axes))
    if len(set(found)) != len(found):
        raise ShapeError("an axis is named twice", expected="distinct axes", got=axis, fix="name each axis once")
    return found


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """The shape left after reducing ``axes``."""
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


@lru_cache(maxsize=4096)
def resolve(ufunc: np.ufunc, kinds: tuple[Any, ...]) -> tuple[tuple[DType, ...], DType]:
    """The loop NumPy would run: the dtypes its inputs are cast to, and its output's (the first, of several).

    ``kinds`` holds dtypes, or Python's int, float and complex, which are weak.
    """
    try:
        dtypes = ufunc.resolve_dtypes((*kinds, *([None] * ufunc.nout)))
    except TypeError:
        named = ", ".join(k.__name__ if isinstance(k, type) else str(k) for k in kinds)
        raise DtypeError(
            f"{ufunc.__name__} is not defined for these dtypes",
            expected="dtypes that NumPy defines it for",
            got=named,
            fix="convert the arguments with .astype",
        ) from None
    return dtypes[: ufunc.nin], dtypes[ufunc.nin]
