"""NumPy's ufuncs: which op, or which composition of ops, each one is; and their methods.

``reduce`` and ``accumulate`` go to the array functions they are (np.add.reduce is np.sum); ``outer`` is broadcasting;
``at`` is a scatter that rebinds its target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base.errors import TraceError
from chainrule.graph.source import user_source
from chainrule.ops import pointwise as p
from chainrule.ops.expr import Expr
from chainrule.ops.record import Op
from chainrule.trace.symbol import Symbol, as_symbol
from chainrule.trace.table import ARRAY_FUNCTIONS, UFUNCS, refuse

REDUCTIONS: dict[Any, Any] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_and: np.all, np.logical_or: np.any,
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
            return _at(ufunc, call, *inputs)
        if method == "reduceat":
            return _reduceat(ufunc, *inputs, **options)
        raise refuse(f"the ufunc {ufunc.__name__}", "method", method, "use another form")

    UFUNCS[ufunc] = row


def _call(ufunc: np.ufunc, call: Callable[..., Any], inputs: Any, options: dict[str, Any]) -> Any:
    dtype = options.pop("dtype", None)
    if options.pop("where", True) is not True:
        raise refuse(
            f"the ufunc {ufunc.__name__}", "where", "a mask without out", "use np.where(mask, result, otherwise)"
        )
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
        result = REDUCTIONS[ufunc](x, axis=axis, **options)
    else:
        result = fold(call, x, axis, **options)
    return result if initial is np._NoValue else call(result, initial)


def fold(call: Callable[[Any, Any], Any], x: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    """The reduction by an associative ``call``, halving: log₂ n lines, and the derivative of ``call`` is enough."""
    x = as_symbol(x)
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, (int, np.integer)) else list(axis)
    axes = sorted(a % x.ndim for a in axes)
    for a in axes:
        x = _fold_axis(call, np.moveaxis(x, a, 0), a)
    return x if keepdims else np.squeeze(x, tuple(axes))


def _fold_axis(call: Callable[[Any, Any], Any], x: Any, back: int) -> Any:
    while x.shape[0] > 1:
        half = x.shape[0] // 2
        joined = call(x[:half], x[half : 2 * half])
        x = np.concatenate([joined, x[2 * half :]]) if x.shape[0] % 2 else joined
    return np.moveaxis(x, 0, back)


def _accumulate(ufunc: np.ufunc, call: Any, x: Any, axis: int = 0, dtype: Any = None) -> Any:
    if ufunc in ACCUMULATIONS:
        return ACCUMULATIONS[ufunc](x, axis=axis, dtype=dtype)
    return scan_axis(call, as_symbol(x), axis)


def scan_axis(call: Callable[[Any, Any], Any], x: Any, axis: int = 0) -> Any:
    """The running reduction by an associative ``call`` (Hillis and Steele, 1986): log₂ n lines."""
    x = np.moveaxis(x, axis, 0)
    step = 1
    while step < x.shape[0]:
        x = np.concatenate([x[:step], call(x[:-step], x[step:])])
        step *= 2
    return np.moveaxis(x, 0, axis)


def _at(ufunc: np.ufunc, call: Any, target: Any, key: Any, *values: Any) -> None:
    if not isinstance(target, Symbol):
        raise TraceError(
            f"{ufunc.__name__}.at writes a traced value into a plain ndarray, which can't hold it",
            expected="a target made from a traced array: np.zeros_like(x), np.zeros(n, like=x)",
            got=f"an ndarray of shape {np.shape(target)}",
            where=user_source(),
            fix="make the target with np.zeros_like(x) or np.zeros(n, like=x)",
        )
    from chainrule.trace.indexing import add_at

    if ufunc in (np.add, np.subtract):
        value = values[0] if ufunc is np.add else np.negative(as_symbol(values[0]))
        add_at(target, key, value)
        return
    if ufunc.nin == 1:
        target[key] = call(target[key])
        return
    raise refuse(f"the ufunc {ufunc.__name__}", "method", "at", "only np.add.at and np.subtract.at add up repeats")


def _reduceat(ufunc: np.ufunc, x: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    x = np.moveaxis(as_symbol(x), axis, 0)
    starts = [int(i) for i in indices]
    pieces = []
    for start, stop in zip(starts, [*starts[1:], x.shape[0]], strict=True):
        piece = x[start:stop] if start < stop else x[start : start + 1]
        pieces.append(_reduce(ufunc, UFUNCS[ufunc], piece, axis=0))
    return np.moveaxis(np.stack(pieces), 0, axis)


# The plain rows: ufunc → op.
_DIRECT: list[tuple[Any, Op]] = [
    (np.add, p.add), (np.subtract, p.sub), (np.true_divide, p.div), (np.negative, p.neg),
    (np.power, p.power), (np.float_power, p.power), (np.sqrt, p.sqrt), (np.cbrt, p.cbrt), (np.hypot, p.hypot),
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


def fmod(x: Any, y: Any) -> Any:
    """The remainder with the sign of the dividend."""
    return x - p.trunc(x / y) * y


def divmod_(x: Any, y: Any) -> Any:
    """Quotient and remainder."""
    return p.floor_divide(x, y), p.mod(x, y)


def modf(x: Any) -> Any:
    """Fractional and integral part, both with the sign of ``x``."""
    whole = p.trunc(x)
    return x - whole, whole


def fmax(x: Any, y: Any) -> Any:
    """The larger, ignoring NaN where the other is a number."""
    return p.where(p.isnan(x), y, p.where(p.isnan(y), x, p.maximum(x, y)))


def fmin(x: Any, y: Any) -> Any:
    """The smaller, ignoring NaN where the other is a number."""
    return p.where(p.isnan(x), y, p.where(p.isnan(y), x, p.minimum(x, y)))


def heaviside(x: Any, y: Any) -> Any:
    """0 for negative ``x``, ``y`` at 0, 1 for positive."""
    return p.where(p.less(x, 0), 0.0, p.where(p.equal(x, 0), y, 1.0))


def conjugate(x: Any) -> Any:
    """The complex conjugate; a real array is itself."""
    return p.conj(x) if is_complex(x) else x


def matmul(x: Any, y: Any) -> Any:
    """``x @ y`` with NumPy's rules for vectors."""
    from chainrule.trace.products import matmul as product

    return product(x, y)


def _scaled(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor


def _ldexp(x: Any, exponent: Any) -> Any:
    return x * p.exp2(exponent)


for _ufunc, _op in _DIRECT:
    register(_ufunc, _op)
for _ufunc, _composition in (
    (np.absolute, absolute), (np.fabs, absolute), (np.sign, sign), (np.fmod, fmod), (np.divmod, divmod_),
    (np.modf, modf), (np.fmax, fmax), (np.fmin, fmin), (np.heaviside, heaviside), (np.conjugate, conjugate),
    (np.positive, lambda x: x + 0 if x.dtype.kind == "b" else as_symbol(x).copy()),
    (np.square, lambda x: x**2), (np.reciprocal, lambda x: 1 / x if is_floating(x) else p.floor_divide(1, x)),
    (np.deg2rad, _scaled(np.pi / 180)), (np.radians, _scaled(np.pi / 180)),
    (np.rad2deg, _scaled(180 / np.pi)), (np.degrees, _scaled(180 / np.pi)),
    (np.ldexp, _ldexp), (np.matmul, matmul),
    (np.vecdot, lambda x, y: np.sum(conjugate(x) * y, axis=-1)),
    (np.matvec, lambda x, y: np.squeeze(matmul(x, np.expand_dims(y, -1)), -1)),
    (np.vecmat, lambda x, y: np.squeeze(matmul(np.expand_dims(conjugate(x), -2), y), -2)),
):  # fmt: skip
    register(_ufunc, _composition)
