"""NumPy's ufuncs: which op, or which composition of ops, each one is; and their methods.

``reduce`` and ``accumulate`` go to the array functions they are (np.add.reduce is np.sum); ``outer`` is broadcasting;
``at`` is a scatter that rebinds its target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axes, resolve
from chainrule.base.errors import ShapeError, UnsupportedError
from chainrule.graph.source import user_source
from chainrule.ops import integers
from chainrule.ops import pointwise as p
from chainrule.ops.expr import Expr
from chainrule.ops.record import Op
from chainrule.trace.symbol import Symbol, as_symbol
from chainrule.trace.table import ARRAY_FUNCTIONS, UFUNCS, refuse

REDUCTIONS: dict[Any, Any] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_and: np.all, np.logical_or: np.any,
}  # fmt: skip
_ASSOCIATIVE = {
    np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2, np.hypot, np.gcd,
    np.lcm, np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor,
}  # fmt: skip
ACCUMULATIONS: dict[Any, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}


def is_complex(x: Any) -> bool:
    """Whether ``x``, a Symbol, an array or a scalar, is complex."""
    return bool(np.iscomplexobj(x)) if not isinstance(x, Expr) else x.dtype.kind == "c"


def is_floating(x: Any) -> bool:
    """Whether ``x`` is of a float or complex dtype."""
    return (x.dtype if isinstance(x, Expr) else np.asarray(x).dtype).kind in "fc"


def register(ufunc: np.ufunc, call: Callable[..., Any]) -> None:
    """Enter ``ufunc`` with ``call`` as its meaning, and its methods with it."""

    def row(method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__":
            return _call(ufunc, call, inputs, options)
        if method == "reduce":
            return _reduce(ufunc, call, *inputs, **options)
        if method == "accumulate":
            return _accumulate(ufunc, call, *inputs, **options)
        if method == "outer":
            a, b = as_symbol(inputs[0]), as_symbol(inputs[1])
            return _call(ufunc, call, (a.reshape(a.shape + (1,) * b.ndim), b), options)
        if method == "at":
            return at(ufunc, call, *inputs)
        if method == "reduceat":
            return _reduceat(ufunc, call, *inputs, **options)
        raise refuse(f"the ufunc {ufunc.__name__}", "method", method, "use another form")

    UFUNCS[ufunc] = row


def _call(ufunc: np.ufunc, call: Callable[..., Any], inputs: Any, options: dict[str, Any]) -> Any:
    dtype = options.pop("dtype", None)
    if options.pop("where", True) is not True:  # with out=, the Symbol being written to keeps its own numbers elsewhere
        raise UnsupportedError(
            f"the ufunc {ufunc.__name__} is traced, but not with where= and no out=: it leaves places without a number",
            expected="out= along with where=", got="where= alone", where=user_source(),
            fix="use np.where(mask, result, otherwise)",
        )  # fmt: skip
    for name in ("casting", "order", "subok"):
        options.pop(name, None)
    if options:
        name, value = next(iter(options.items()))
        raise refuse(f"the ufunc {ufunc.__name__}", name, value, "leave the option out")
    if dtype is not None:
        inputs = tuple(ARRAY_FUNCTIONS[np.astype](as_symbol(x), dtype) for x in inputs)
    inputs = tuple(as_symbol(x) if isinstance(x, (list, tuple)) else x for x in inputs)
    return call(*inputs)


def _reduce(ufunc: np.ufunc, call: Any, x: Any, axis: Any = 0, **options: Any) -> Any:
    initial = options.pop("initial", np._NoValue)
    options = {k: v for k, v in options.items() if v is not None and v is not np._NoValue}
    if ufunc in REDUCTIONS:
        whole = {} if initial is np._NoValue else {"initial": initial}
        return REDUCTIONS[ufunc](x, axis=axis, **whole, **options)
    if options.pop("where", True) is not True:
        raise refuse(f"the ufunc {ufunc.__name__}", "where", "a mask in reduce", "use np.where before reducing")
    x = as_symbol(x)
    if "dtype" in options:
        x = ARRAY_FUNCTIONS[np.astype](x, options.pop("dtype"))
    result = fold(call, x, axis, ordered=ufunc not in _ASSOCIATIVE, **options)
    return result if initial is np._NoValue else call(initial, result)


def fold(
    call: Callable[[Any, Any], Any], x: Any, axis: Any = 0, keepdims: bool = False, ordered: bool = False
) -> Any:
    """The reduction by ``call``, whose own derivative is enough.

    An associative one halves its axis, in log₂ n lines; an ``ordered`` one goes from the start, in n.
    """
    x = as_symbol(x)
    axes = normalize_axes(axis, x.ndim)
    for a in axes:
        if x.shape[a] == 0:
            raise ShapeError(
                "a reduction of no elements that has no identity",
                expected="size 1 or more",
                got=x.shape,
                where=user_source(),
                fix="leave empty arrays out, or pass initial=…",
            )
        x = _fold_axis(call, np.moveaxis(x, a, 0), a, ordered)
    return x.copy() if keepdims else np.squeeze(x, axes).copy()


def _fold_axis(call: Callable[[Any, Any], Any], x: Any, back: int, ordered: bool) -> Any:
    if ordered:
        made = x[0]
        for i in range(1, x.shape[0]):
            made = call(made, x[i])
        return np.moveaxis(made[None], 0, back)
    while x.shape[0] > 1:
        half = x.shape[0] // 2
        joined = call(x[:half], x[half : 2 * half])
        x = np.concatenate([joined, x[2 * half :]]) if x.shape[0] % 2 else joined
    return np.moveaxis(x, 0, back)


def _accumulate(ufunc: np.ufunc, call: Any, x: Any, axis: int = 0, dtype: Any = None) -> Any:
    if ufunc in ACCUMULATIONS:
        return ACCUMULATIONS[ufunc](x, axis=axis, dtype=dtype)
    x = as_symbol(x) if dtype is None else ARRAY_FUNCTIONS[np.astype](as_symbol(x), dtype)
    if ufunc in _ASSOCIATIVE:
        return scan_axis(call, x, axis)
    x = np.moveaxis(x, axis, 0)
    found = list(x[:1])
    for i in range(1, x.shape[0]):
        found.append(call(found[-1], x[i]))
    return np.moveaxis(np.stack(found), 0, axis) if found else x.copy()


def scan_axis(call: Callable[[Any, Any], Any], x: Any, axis: int = 0) -> Any:
    """The running reduction by an associative ``call`` (Hillis and Steele, 1986): log₂ n lines."""
    x = np.moveaxis(x, axis, 0)
    step = 1
    while step < x.shape[0]:
        x = np.concatenate([x[:step], call(x[:-step], x[step:])])
        step *= 2
    return np.moveaxis(x, 0, axis)


def at(ufunc: np.ufunc, call: Any, target: Any, key: Any, *values: Any) -> None:
    """``ufunc.at(target, key, *values)``: repeated places are met one after the other, as in NumPy."""
    from chainrule.trace.indexing import add_at
    from chainrule.trace.selecting import target as writable

    x = writable(target, f"{ufunc.__name__}.at")
    if ufunc in (np.add, np.subtract):
        add_at(x, key, values[0] if ufunc is np.add else np.negative(as_symbol(values[0])))
        return
    if _is_basic(key):
        x[key] = call(x[key], *values)
        return
    # Rounds in each of which every place is met once.
    places = np.reshape(np.arange(x.size), x.shape)[_concrete(key)]
    given = [np.broadcast_to(as_symbol(v), places.shape) for v in values]
    flat = np.reshape(x, -1).copy()
    for chosen in _rounds(np.ravel(places)):
        where = np.ravel(places)[chosen]
        flat[where] = call(flat[where], *[np.ravel(v)[chosen] for v in given])
    x._write(np.reshape(flat, x.shape))


def _is_basic(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(q is None or q is Ellipsis or isinstance(q, (int, np.integer, slice)) for q in parts)


def _concrete(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(_concrete(q) for q in key)
    return key.value if isinstance(key, Symbol) else key


def _rounds(places: Any) -> list[Any]:
    """Positions of ``places`` grouped so that the first group meets each place once, the second once more, …"""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.searchsorted(ordered, ordered, "left")
    rank = np.empty(len(places), np.int64)
    rank[order] = np.arange(len(places)) - first
    return [np.flatnonzero(rank == i) for i in range(int(rank.max(initial=-1)) + 1)]


def _reduceat(ufunc: np.ufunc, call: Any, x: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    x = np.moveaxis(as_symbol(x) if dtype is None else np.astype(as_symbol(x), np.dtype(dtype)), axis, 0)
    starts = [int(i) for i in indices]
    pieces = []
    for start, stop in zip(starts, [*starts[1:], x.shape[0]], strict=True):
        piece = x[start:stop] if start < stop else x[start : start + 1]
        pieces.append(_reduce(ufunc, call, piece, axis=0))
    return np.moveaxis(np.stack(pieces), 0, axis)


# The plain rows: ufunc → op.
_DIRECT: list[tuple[Any, Op]] = [
    (np.add, p.add), (np.subtract, p.sub), (np.true_divide, p.div), (np.negative, p.neg),
    (np.power, p.power), (np.sqrt, p.sqrt), (np.cbrt, p.cbrt), (np.hypot, p.hypot),
    (np.exp, p.exp), (np.exp2, p.exp2), (np.expm1, p.expm1), (np.log, p.log), (np.log2, p.log2),
    (np.log10, p.log10), (np.log1p, p.log1p), (np.logaddexp, p.logaddexp), (np.logaddexp2, p.logaddexp2),
    (np.sin, p.sin), (np.cos, p.cos), (np.tan, p.tan), (np.arcsin, p.arcsin), (np.arccos, p.arccos),
    (np.arctan, p.arctan), (np.arctan2, p.arctan2), (np.sinh, p.sinh), (np.cosh, p.cosh), (np.tanh, p.tanh),
    (np.arcsinh, p.arcsinh), (np.arccosh, p.arccosh), (np.arctanh, p.arctanh),
    (np.floor, p.floor), (np.ceil, p.ceil), (np.rint, p.rint), (np.trunc, p.trunc),
    (np.maximum, p.maximum), (np.minimum, p.minimum), (np.remainder, p.mod), (np.floor_divide, p.floor_divide),
    (np.copysign, p.copysign), (np.nextafter, p.nextafter), (np.multiply, p.mul),
    (np.equal, p.equal), (np.not_equal, p.not_equal), (np.less, p.less), (np.less_equal, p.less_equal),
    (np.greater, p.greater), (np.greater_equal, p.greater_equal), (np.logical_and, p.logical_and),
    (np.logical_or, p.logical_or), (np.logical_xor, p.logical_xor), (np.logical_not, p.logical_not),
    (np.bitwise_and, p.bitwise_and), (np.bitwise_or, p.bitwise_or), (np.bitwise_xor, p.bitwise_xor),
    (np.invert, p.invert), (np.left_shift, p.left_shift), (np.right_shift, p.right_shift),
    (np.spacing, integers.spacing), (np.gcd, integers.gcd), (np.lcm, integers.lcm),
    (np.bitwise_count, integers.bitwise_count),
    (np.isfinite, p.isfinite), (np.isnan, p.isnan), (np.isinf, p.isinf), (np.signbit, p.signbit),
]  # fmt: skip


def absolute(x: Any) -> Any:
    """|x|; for complex numbers the length of (real, imaginary), whose derivative at 0 is taken as 0."""
    return p.hypot(p.real(x), p.imag(x)) if is_complex(x) else p.absolute(x)


def sign(x: Any) -> Any:
    """The sign; for complex numbers x/|x|, as NumPy 2 has it, and 0 at 0."""
    if not is_complex(x):
        return p.sign(x)
    length = absolute(x)
    return p.where(p.equal(length, 0), 0.0, x / p.where(p.equal(length, 0), 1.0, length))


def inexact(x: Any) -> Any:
    """``x`` in the dtype NumPy's float-only functions compute in: float64 for all but the smallest integers."""
    if isinstance(x, (int, float, complex)) and not isinstance(x, bool):
        return float(x) if isinstance(x, int) else x
    x = as_symbol(x)
    return x if x.dtype.kind in "fc" else p.cast(x, dtype=resolve(np.sqrt, (x.dtype,))[1])


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as Symbols of the dtype NumPy computes in; Python numbers are weak."""
    dtype = np.result_type(*[v.dtype if isinstance(v, Expr) else v for v in (x, y)])
    return _as_dtype(x, dtype), _as_dtype(y, dtype)


def _as_dtype(x: Any, dtype: Any) -> Any:
    x = as_symbol(x)
    return x if x.dtype == dtype else p.cast(x, dtype=dtype)


def fmod(x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend."""
    x, y = (_as_int8(v) for v in _pair(x, y))
    size = p.absolute(y)
    return p.where(p.less(x, 0), -p.mod(-x, size), p.mod(x, size))


def divmod_(x: Any, y: Any) -> Any:
    """Quotient and remainder."""
    return p.floor_divide(x, y), p.mod(x, y)


def modf(x: Any) -> Any:
    """Fractional and integral part, both with the sign of ``x``."""
    x = inexact(x)
    whole = p.trunc(x)
    return p.where(p.isinf(x), 0.0, x - whole), whole


def fmax(x: Any, y: Any) -> Any:
    """The larger, ignoring NaN where the other is a number."""
    x, y = _pair(x, y)
    return p.where(p.isnan(x), y, p.where(p.isnan(y), x, p.maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    """The smaller, ignoring NaN where the other is a number."""
    x, y = _pair(x, y)
    return p.where(p.isnan(x), y, p.where(p.isnan(y), x, p.minimum(x, y)))


def heaviside(x: Any, y: Any) -> Any:
    """0 for negative ``x``, ``y`` at 0, 1 for positive, NaN for NaN."""
    x, y = _pair(inexact(x), inexact(y))
    step = p.where(p.less(x, 0), p.cast(0.0, dtype=x.dtype), p.where(p.equal(x, 0), y, p.cast(1.0, dtype=x.dtype)))
    return p.where(p.isnan(x), x, step)


def conjugate(x: Any) -> Any:
    """The complex conjugate; a real array is copied."""
    return p.conj(x) if is_complex(x) else as_symbol(x).copy() if x.dtype.kind != "b" else _as_int8(x)


def _as_int8(x: Any) -> Any:
    """``x`` with bools as int8, in which NumPy does their arithmetic."""
    x = as_symbol(x)
    return p.cast(x, dtype=np.dtype(np.int8)) if x.dtype.kind == "b" else x


def float_power(x: Any, y: Any) -> Any:
    """The power in float64 or complex128, whatever the dtypes."""
    wide = np.dtype(complex if is_complex(x) or is_complex(y) else float)
    return p.power(_as_dtype(x, wide), _as_dtype(y, wide))


def ldexp(x: Any, exponent: Any) -> Any:
    """``x`` times 2 to the power of ``exponent``."""
    x, exponent = inexact(as_symbol(x)), as_symbol(exponent)
    return x * p.exp2(p.cast(exponent, dtype=x.dtype))


def frexp(x: Any) -> Any:
    """Mantissa, of size 0.5 up to 1, and the exponent of 2."""
    x = inexact(as_symbol(x))
    power = integers.exponent(x)
    half = p.cast(power, dtype=x.dtype) * -0.5  # in two steps, so that neither under- nor overflows
    first = p.floor(half)
    return x * p.exp2(first) * p.exp2(p.cast(-power, dtype=x.dtype) - first), power


def matmul(x: Any, y: Any) -> Any:
    """``x @ y`` with NumPy's rules for vectors."""
    from chainrule.trace.products import matmul as product

    return product(x, y)


def _scaled(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor


for _ufunc, _op in _DIRECT:
    register(_ufunc, _op)
for _ufunc, _composition in (
    (np.absolute, absolute), (np.fabs, lambda x: absolute(inexact(x))), (np.sign, sign), (np.fmod, fmod),
    (np.divmod, divmod_), (np.modf, modf), (np.fmax, fmax), (np.fmin, fmin), (np.heaviside, heaviside),
    (np.conjugate, conjugate),
    (np.positive, lambda x: x + 0 if x.dtype.kind == "b" else as_symbol(x).copy()),
    (np.square, lambda x: _as_int8(x) ** 2),
    (np.reciprocal, lambda x: 1 / x if is_floating(x) else p.floor_divide(1, _as_int8(x))),
    (np.deg2rad, _scaled(np.pi / 180)), (np.radians, _scaled(np.pi / 180)),
    (np.rad2deg, _scaled(180 / np.pi)), (np.degrees, _scaled(180 / np.pi)),
    (np.ldexp, ldexp), (np.frexp, frexp), (np.float_power, float_power), (np.matmul, matmul),
    (np.vecdot, lambda x, y: np.squeeze(
        matmul(np.expand_dims(conjugate(x), -2), np.expand_dims(y, -1)), (-2, -1))),
    (np.matvec, lambda x, y: np.squeeze(matmul(x, np.expand_dims(y, -1)), -1)),
    (np.vecmat, lambda x, y: np.squeeze(matmul(np.expand_dims(conjugate(x), -2), y), -2)),
):  # fmt: skip
    register(_ufunc, _composition)
