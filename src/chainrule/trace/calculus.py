"""NumPy's differences, integrals, interpolation, convolution, spacings and polynomials.

A convolution is a matrix product with the windows of the longer argument, n·m numbers: meant for short filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import normalize_axes, normalize_axis
from chainrule.base.errors import ShapeError, choose
from chainrule.graph.source import user_source
from chainrule.ops import pointwise as p
from chainrule.trace.joining import cut
from chainrule.trace.shaping import floating, promoted, together
from chainrule.trace.sorting import searchsorted
from chainrule.trace.symbol import Symbol, as_symbol, read_only
from chainrule.trace.table import implements

# -------------------------------------------------------------------------------------------------------- differences


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    x = as_symbol(a)
    if n < 0:
        raise ShapeError(
            "order must be non-negative",
            expected="n ≥ 0",
            got=n,
            where=user_source(),
            fix="pass n=0 or more",
        )
    if x.ndim == 0:
        raise ShapeError(
            "diff requires input that is at least one dimensional",
            expected="1 axis or more",
            got=x.shape,
            where=user_source(),
            fix="pass an array with at least one axis (np.atleast_1d)",
        )
    at = normalize_axis(axis, x.ndim)
    parts = [_border(v, x, at) if v is not x else x for v in (prepend, x, append) if v is not np._NoValue]
    x = np.concatenate(parts, axis=at) if len(parts) > 1 else x
    call = np.not_equal if x.dtype.kind == "b" else np.subtract
    for _ in range(n):
        x = call(cut(x, at, 1, None), cut(x, at, None, -1))
    return x


def _border(value: Any, x: Any, axis: int) -> Any:
    v = as_symbol(value)
    return v if v.ndim else np.broadcast_to(v, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    made = diff(np.ravel(as_symbol(ary)))
    before = [] if to_begin is None else [np.astype(np.ravel(as_symbol(to_begin)), made.dtype)]
    after = [] if to_end is None else [np.astype(np.ravel(as_symbol(to_end)), made.dtype)]
    return np.concatenate([*before, made, *after])


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    x = floating(f)
    axes = normalize_axes(axis, x.ndim)
    order = axes if axis is None else [normalize_axis(i, x.ndim) for i in np.atleast_1d(axis)]
    spacings = list(varargs) if varargs else [1.0]
    if len(spacings) == 1 and np.ndim(spacings[0]) == 0:
        spacings = spacings * len(order)
    if len(spacings) != len(order):
        raise ShapeError(
            "np.gradient: one spacing per axis",
            expected=len(order),
            got=len(spacings),
            where=user_source(),
            fix="pass one spacing for all axes, or one for each",
        )
    if edge_order not in (1, 2):
        raise choose("edge_order", edge_order, (1, 2), where=user_source())
    made = [_gradient_along(x, at, h, edge_order) for at, h in zip(order, spacings, strict=True)]
    return made[0] if len(made) == 1 else tuple(made)


def _gradient_along(x: Any, at: int, h: Any, edge_order: int) -> Any:
    if x.shape[at] < edge_order + 1:
        raise ShapeError(
            "np.gradient needs more elements along the axis",
            expected=f"{edge_order + 1} or more",
            got=x.shape,
            where=user_source(),
            fix="leave the axis out (axis=…), or pass more points",
        )
    x = np.moveaxis(x, at, 0)
    steps = _steps(h, x)
    a, b = steps[:-1], steps[1:]
    inner = -b / (a * (a + b)) * x[:-2] + (b - a) / (a * b) * x[1:-1] + a / (b * (a + b)) * x[2:]
    if np.ndim(h) == 0:
        inner = (x[2:] - x[:-2]) / (2 * steps[:-1])
    if edge_order == 1:
        first, last = (x[1] - x[0]) / steps[0], (x[-1] - x[-2]) / steps[-1]
    else:
        a, b = steps[0], steps[1]
        first = -(2 * a + b) / (a * (a + b)) * x[0] + (a + b) / (a * b) * x[1] - a / (b * (a + b)) * x[2]
        a, b = steps[-2], steps[-1]
        last = b / (a * (a + b)) * x[-3] - (a + b) / (a * b) * x[-2] + (2 * b + a) / (b * (a + b)) * x[-1]
    return np.moveaxis(np.concatenate([first[None], inner, last[None]]), 0, at)


def _steps(h: Any, x: Any) -> Any:
    """The distances between neighbours along the first axis of ``x``, shaped to broadcast with it."""
    n = x.shape[0] - 1
    if np.ndim(h) == 0:
        made = np.broadcast_to(np.astype(as_symbol(h), x.dtype), (n,))
    else:
        coordinates = floating(h)
        if coordinates.shape != (n + 1,):
            raise ShapeError(
                "np.gradient: as many coordinates as elements along the axis",
                expected=(n + 1,),
                got=coordinates.shape,
                where=user_source(),
                fix="pass one coordinate per element",
            )
        made = diff(coordinates)
    return np.reshape(made, (n,) + (1,) * (x.ndim - 1))


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    f = as_symbol(y)
    at = normalize_axis(axis, f.ndim)
    if x is None:
        width = dx
    else:
        points = as_symbol(x)
        width = diff(points, axis=0 if points.ndim == 1 else at)
        if points.ndim == 1:
            width = np.reshape(width, (-1,) + (1,) * (f.ndim - at - 1))
    return np.sum(width * (cut(f, at, 1, None) + cut(f, at, None, -1)) / 2.0, axis=at)


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    x = as_symbol(p)
    at = normalize_axis(axis, x.ndim)
    step = diff(x, axis=at)
    half = period / 2 if step.dtype.kind == "f" or period % 2 else period // 2
    wrapped = np.mod(step + half, period) - half
    wrapped = np.where(np.logical_and(np.equal(wrapped, -half), np.greater(step, 0)), half, wrapped)
    correction = np.where(np.less(np.abs(step), half if discont is None else discont), 0, wrapped - step)
    return np.concatenate([cut(x, at, 0, 1), cut(x, at, 1, None) + np.cumsum(correction, axis=at)], axis=at)


# ------------------------------------------------------------------------------------------ interpolation, convolution


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    at, knots, heights = (floating(v) for v in (x, xp, fp))
    if knots.ndim != 1 or knots.shape != heights.shape or not knots.size:
        raise ShapeError(
            "np.interp: the data points are two vectors of one size, 1 or more",
            expected=knots.shape,
            got=heights.shape,
            where=user_source(),
            fix="pass xp and fp as vectors of one size",
        )
    at, knots = (p.cast(v, dtype=np.dtype(float)) if v.dtype != np.float64 else v for v in (at, knots))
    wide = np.dtype(complex if heights.dtype.kind == "c" else float)
    heights = heights if heights.dtype == wide else p.cast(heights, dtype=wide)
    if period is not None:
        period = abs(period)
        at, knots = at % period, knots % period
        order = np.argsort(knots)
        knots, heights = knots[order], heights[order]
        knots = np.concatenate([knots[-1:] - period, knots, knots[:1] + period])
        heights = np.concatenate([heights[-1:], heights, heights[:1]])
        left = right = None
    n = knots.shape[0]
    low = np.clip(searchsorted(knots, at, "right") - 1, 0, max(n - 2, 0))
    high = np.minimum(low + 1, n - 1)
    gap = knots[high] - knots[low]
    slope = (heights[high] - heights[low]) / p.where(p.equal(gap, 0), 1.0, gap)
    made = heights[low] + slope * (at - knots[low])
    made = p.where(p.greater_equal(at, knots[-1]), heights[-1], made)
    made = p.where(p.greater(at, knots[-1]), heights[-1] if right is None else right, made)
    made = p.where(p.less(at, knots[0]), heights[0] if left is None else left, made)
    return p.where(p.isnan(at), at, made)


_CUTS = ("full", "same", "valid")


def _windows(x: Any, width: int) -> Any:
    """Every window of ``width`` neighbours along the last axis, as rows."""
    return x[..., np.arange(x.shape[-1] - width + 1)[:, None] + np.arange(width)]


def _cut_convolution(a: Any, v: Any, mode: str, name: str) -> Any:
    """The convolution of ``a`` with ``v``, no longer than it."""
    if mode not in _CUTS:
        raise choose(f"{name}'s mode", mode, _CUTS, where=user_source())
    m = v.shape[0]
    if not m:
        raise ShapeError(
            f"{name}: v cannot be empty",
            expected="size 1 or more",
            got=v.shape,
            where=user_source(),
            fix="pass at least one element",
        )
    before = {"full": m - 1, "same": m // 2, "valid": 0}[mode]
    after = {"full": m - 1, "same": m - 1 - m // 2, "valid": 0}[mode]
    return _windows(np.pad(a, (before, after)), m) @ v[::-1]


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    x, y = (np.atleast_1d(s) for s in together([a, v]))
    if y.shape[0] > x.shape[0]:
        x, y = y, x
    return _cut_convolution(x, y, mode, "np.convolve")


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    x, y = together([a, v])
    y = np.conjugate(y)
    if y.shape[0] > x.shape[0]:
        return _cut_convolution(y, x[::-1], mode, "np.correlate")[::-1]
    return _cut_convolution(x, y[::-1], mode, "np.correlate")


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    array = as_symbol(x)
    sizes = [int(n) for n in np.atleast_1d(window_shape)]
    axes = [normalize_axis(int(i), array.ndim) for i in (range(array.ndim) if axis is None else np.atleast_1d(axis))]
    for width, at in zip(sizes, axes, strict=True):
        if width > array.shape[at] or width < 0:
            raise ShapeError(
                "window shape cannot be larger than input array shape",
                expected=f"≤ {array.shape[at]}",
                got=width,
                where=user_source(),
                fix="pass a window that fits into the array",
            )

    def read(base: Any) -> Any:
        made: Any = Symbol(base.builder, base.index)
        for width, at in zip(sizes, axes, strict=True):
            made = np.moveaxis(_windows(np.moveaxis(made, at, -1), width), -2, at)
        return made.copy()

    return read(array)._as_view(array, read, read_only)


# ----------------------------------------------------------------------------------------------------------- spacings


@implements(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0, *, device: Any = None,
) -> Any:  # fmt: skip
    first, last = promoted([start, stop])
    first, last = np.broadcast_arrays(floating(first), floating(last))
    num = int(num)
    parts = num - 1 if endpoint else num
    step = (last - first) / parts if parts > 0 else (last - first) * np.nan
    real = np.dtype(first.dtype.type(0).real.dtype)
    steps = np.arange(num, dtype=real).reshape(-1, *([1] * first.ndim))
    made = first + steps * step if parts > 0 else first + steps * (last - first)
    if endpoint and num > 1:
        made = np.concatenate([made[:-1], last[None]])
    if dtype is not None:
        wanted = np.dtype(dtype)
        made = np.astype(np.floor(made) if wanted.kind in "iu" else made, wanted)
    made = np.moveaxis(made, 0, axis)
    return (made, step) if retstep else made


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    first, last = np.broadcast_arrays(*promoted([start, stop]))
    exponents = linspace(first, last, num, endpoint, axis=axis)
    bases = np.expand_dims(as_symbol(base), axis) if np.ndim(base) else base
    made = np.power(bases, exponents)
    return made if dtype is None else np.astype(made, np.dtype(dtype))


@implements(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    first, last = together([start, stop])
    first, last = np.broadcast_arrays(floating(first), floating(last))
    shares = np.linspace(0.0, 1.0, int(num), endpoint).astype(first.dtype)
    made = first * (last / first) ** shares.reshape(-1, *([1] * first.ndim))
    if num > 0:
        ends = [made[1:-1], last[None]] if endpoint and num > 1 else [made[1:]]
        made = np.concatenate([first[None], *ends])
    made = np.moveaxis(made, 0, axis)
    return made if dtype is None else np.astype(made, np.dtype(dtype))


# -------------------------------------------------------------------------------------------------------- polynomials


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    coefficients, at = together([p, x])
    made = np.zeros_like(at)
    for i in range(coefficients.shape[0]):
        made = made * at + coefficients[i]
    return made


def _padded(a: Any, size: int) -> Any:
    return np.concatenate([np.zeros_like(a, shape=(size - a.shape[0],)), a])


def _poly_sum(call: Any) -> Any:
    def implementation(a1: Any, a2: Any) -> Any:
        x, y = (np.atleast_1d(a) for a in together([a1, a2]))
        size = max(x.shape[0], y.shape[0])
        return call(_padded(x, size), _padded(y, size))

    return implementation


implements(np.polyadd)(_poly_sum(np.add))
implements(np.polysub)(_poly_sum(np.subtract))


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    return convolve(a1, a2)


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    x = as_symbol(p)
    for _ in range(m):
        x = x[:-1] * np.arange(x.shape[0] - 1, 0, -1)
    return x


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    x = as_symbol(p)
    constants: Sequence[Any] = [0.0] * m if k is None else [k] * m if np.ndim(k) == 0 else list(k)
    for i in range(m):
        last = np.reshape(as_symbol(constants[i]), (1,))
        x = np.concatenate([x / np.arange(x.shape[0], 0, -1), last])
    return x


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    zeros = np.atleast_1d(floating(seq_of_zeros))
    if zeros.ndim == 2:
        zeros = np.linalg.eigvals(zeros)
    made = np.ones_like(zeros, shape=(1,))
    for i in range(zeros.shape[0]):
        made = np.concatenate([made, np.zeros_like(made, shape=(1,))]) - np.concatenate(
            [np.zeros_like(made, shape=(1,)), made * zeros[i]]
        )
    return made


@implements(np.roots)
def roots(p: Any) -> Any:
    """The eigenvalues of the companion matrix, always complex; needs values to drop the coefficients that are 0."""
    x: Any = np.atleast_1d(floating(p))
    nonzero = np.flatnonzero(x.value)
    if not nonzero.size:
        return np.zeros_like(x, shape=(0,))
    first, last = int(nonzero[0]), int(nonzero[-1])
    zeros = np.zeros(x.shape[0] - last - 1, np.result_type(x.dtype, np.complex64))
    x = x[first : last + 1]
    if x.shape[0] < 2:
        return as_symbol(zeros)
    below = np.eye(x.shape[0] - 1, k=-1, dtype=x.dtype)[1:]
    companion = np.concatenate([(-x[1:] / x[0])[None], below])
    return np.concatenate([np.linalg.eigvals(companion), zeros])


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> Any:
    rest, divisor = (np.atleast_1d(floating(a)) for a in together([u, v]))
    n = divisor.shape[0]
    found = []
    for i in range(rest.shape[0] - n + 1):
        share = rest[i] / divisor[0]
        found.append(share)
        rest = np.concatenate([rest[:i], rest[i : i + n] - share * divisor, rest[i + n :]])
    quotient = np.stack(found) if found else np.zeros_like(rest, shape=(1,))
    return quotient, (rest[max(rest.shape[0] - n + 1, 0) :] if found and n > 1 else rest[-1:] if found else rest)


@implements(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    from chainrule.trace.table import refuse

    if full or cov:
        raise refuse("np.polyfit", "full" if full else "cov", True, "compute it from the coefficients")
    at, heights = floating(x), floating(y)
    powers = np.vander(at, deg + 1)
    if w is not None:
        weights = floating(w)
        powers = powers * weights[:, None]
        heights = heights * (weights if heights.ndim == 1 else weights[:, None])
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    return (np.linalg.pinv(powers / scale) @ heights) / (scale if heights.ndim == 1 else scale[:, None])


# ---------------------------------------------------------------------------------------------------------- along axes


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    x = as_symbol(arr)
    at = normalize_axis(axis, x.ndim)
    moved = np.moveaxis(x, at, -1)
    lead = moved.shape[:-1]
    rows = [as_symbol(func1d(moved[i], *args, **kwargs)) for i in np.ndindex(*lead)]
    if not rows:
        raise ShapeError(
            "np.apply_along_axis: there is no row to apply the function to",
            expected="no axis of size 0",
            got=x.shape,
            where=user_source(),
            fix="leave empty arrays out",
        )
    made = np.reshape(np.stack(rows), lead + rows[0].shape)
    order = [*range(at), *range(len(lead), made.ndim), *range(at, len(lead))]
    return np.transpose(made, order)


@implements(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    x = as_symbol(a)
    for axis in np.atleast_1d(axes):
        at = normalize_axis(int(axis), x.ndim)
        made = func(x, at)
        x = made if made.ndim == x.ndim else np.expand_dims(made, at)
    return x
