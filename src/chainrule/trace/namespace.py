"""The array-API standard's namespace (2024.12) for Symbols: what ``x.__array_namespace__()`` returns.

NumPy is that namespace already, and hands every function over to Symbols, except those that make an array out of
anything.  These are here: while a function is traced they give Symbols, so that what they make can be written to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import (
    __array_namespace_info__,
    abs,
    acos,
    acosh,
    add,
    all,
    any,
    argmax,
    argmin,
    argsort,
    asin,
    asinh,
    astype,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    bool,
    broadcast_arrays,
    broadcast_to,
    can_cast,
    ceil,
    clip,
    complex64,
    complex128,
    concat,
    conj,
    copysign,
    cos,
    cosh,
    count_nonzero,
    cumulative_prod,
    cumulative_sum,
    diff,
    divide,
    e,
    empty_like,
    equal,
    exp,
    expand_dims,
    expm1,
    fft,
    flip,
    float32,
    float64,
    floor,
    floor_divide,
    full_like,
    greater,
    greater_equal,
    hypot,
    imag,
    inf,
    int8,
    int16,
    int32,
    int64,
    isdtype,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    linalg,
    linspace,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    matmul,
    matrix_transpose,
    max,
    maximum,
    mean,
    meshgrid,
    min,
    minimum,
    moveaxis,
    multiply,
    nan,
    negative,
    newaxis,
    nextafter,
    nonzero,
    not_equal,
    ones_like,
    permute_dims,
    pi,
    positive,
    pow,
    prod,
    real,
    reciprocal,
    remainder,
    repeat,
    reshape,
    result_type,
    roll,
    round,
    searchsorted,
    sign,
    signbit,
    sin,
    sinh,
    sort,
    sqrt,
    square,
    squeeze,
    stack,
    std,
    subtract,
    sum,
    take,
    take_along_axis,
    tan,
    tanh,
    tensordot,
    tile,
    tril,
    triu,
    trunc,
    uint8,
    uint16,
    uint32,
    uint64,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    unstack,
    var,
    vecdot,
    where,
    zeros_like,
)

from chainrule.graph.builder import ACTIVE
from chainrule.ops.expr import Expr
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import ARRAY_FUNCTIONS

__array_api_version__ = "2024.12"


def _made(array: Any) -> Any:
    return array if ACTIVE.get() is None else as_symbol(array).copy()


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
    """``obj``, a Symbol, an array, a number or nested lists of these, as an array; a Symbol while tracing.

    As in the standard, ``copy=True`` always copies, and ``copy=False`` raises ValueError where that is needed.
    """
    if ACTIVE.get() is None:
        return np.asarray(obj, dtype=dtype, copy=copy)
    same = isinstance(obj, Expr) and (dtype is None or np.dtype(dtype) == obj.dtype)
    if same and not copy:
        return obj
    if copy is False:
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    return ARRAY_FUNCTIONS[np.array](obj, dtype)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Any:
    """Evenly spaced numbers from ``start`` up to, not with, ``stop``; from 0 up to ``start`` if it is alone."""
    first, last = (0, start) if stop is None else (start, stop)
    return _made(np.arange(first, last, step, dtype=dtype))


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ``shape`` for writing to; it holds zeros."""
    return _made(np.zeros(shape, dtype=np.float64 if dtype is None else dtype))


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Any:
    """Ones on the ``k``-th diagonal, zeros elsewhere."""
    return _made(np.eye(n_rows, n_cols, k=k, dtype=np.float64 if dtype is None else dtype))


def from_dlpack(x: Any, /, *, device: Any = None, copy: Any = None) -> Any:
    """An array from an object with ``__dlpack__``; a Symbol is itself."""
    return x if isinstance(x, Expr) else _made(np.from_dlpack(x))


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ``shape`` that holds ``fill_value``, which may be a Symbol."""
    if isinstance(fill_value, Expr):
        return np.full_like(fill_value, fill_value, dtype=dtype, shape=shape)
    return _made(np.full(shape, fill_value, dtype=dtype))


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ``shape`` that holds ones."""
    return _made(np.ones(shape, dtype=np.float64 if dtype is None else dtype))


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """An array of ``shape`` that holds zeros."""
    return _made(np.zeros(shape, dtype=np.float64 if dtype is None else dtype))


def finfo(type: Any, /) -> Any:
    """The limits of a float dtype, or of the dtype of an array."""
    return np.finfo(type.dtype if isinstance(type, Expr) else type)


def iinfo(type: Any, /) -> Any:
    """The limits of an integer dtype, or of the dtype of an array."""
    return np.iinfo(type.dtype if isinstance(type, Expr) else type)


__all__ = [
    "__array_api_version__",
    "__array_namespace_info__",
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "asarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "broadcast_arrays",
    "broadcast_to",
    "can_cast",
    "ceil",
    "clip",
    "complex64",
    "complex128",
    "concat",
    "conj",
    "copysign",
    "cos",
    "cosh",
    "count_nonzero",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "divide",
    "e",
    "empty",
    "empty_like",
    "equal",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "fft",
    "finfo",
    "flip",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hypot",
    "iinfo",
    "imag",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "isdtype",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "linalg",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "nan",
    "negative",
    "newaxis",
    "nextafter",
    "nonzero",
    "not_equal",
    "ones",
    "ones_like",
    "permute_dims",
    "pi",
    "positive",
    "pow",
    "prod",
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "result_type",
    "roll",
    "round",
    "searchsorted",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sort",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "tril",
    "triu",
    "trunc",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unstack",
    "var",
    "vecdot",
    "where",
    "zeros",
    "zeros_like",
]
