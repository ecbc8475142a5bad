"""The table of NumPy functions the tests of this folder run through: adding a function is adding a row.

A row is a name, a function of arrays, and the arrays (float64); the function is plain NumPy code.  ``smooth=False``
for results that have no derivative, ``values=True`` for functions that need the values of Symbols (and so have no
vmap), ``order`` the order of derivatives to check, ``float32=False`` where NumPy itself leaves float32.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One row; ``id`` names it in the test report."""

    name: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    smooth: bool = True
    values: bool = False
    order: int = 2
    float32: bool = True
    rtol: float = 1e-12

    @property
    def id(self) -> str:
        """The name, with a number where a name has several rows."""
        return self.name


ROWS: list[Row] = []
_rng = np.random.default_rng(zlib.crc32(b"numpy"))


def row(name: str, call: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Enter a row."""
    ROWS.append(Row(name, call, args, **options))


def n(*shape: int) -> Any:
    """Normal numbers."""
    return _rng.normal(size=shape)


def u(*shape: int, low: float = 0.5, high: float = 2.0) -> Any:
    """Numbers between ``low`` and ``high``."""
    return _rng.uniform(low, high, size=shape)


V, M, T = n(5), n(3, 4), n(2, 3, 4)
ONE, EMPTY, SCALAR = n(1), np.zeros((0, 3)), np.array(0.7)
LIST = [1.0, 2.0, 3.0, 4.0]
MASK = np.array([[True, False, True, True], [False, True, False, True], [True, True, False, False]])
NANS = np.where(MASK, M, np.nan)

# ------------------------------------------------------------------------------------------------- shapes and axes
row("reshape", lambda x: np.reshape(x, (4, -1)), M)
row("reshape order F", lambda x: np.reshape(x, (2, 6), order="F"), M)
row("ravel", lambda x: np.ravel(x), M)
row("ravel F", lambda x: x.ravel("F"), M)
row("flatten", lambda x: x.flatten(), T)
row("transpose", lambda x: np.transpose(x, (2, 0, 1)), T)
row("permute_dims", lambda x: np.permute_dims(x, (1, 0, 2)), T)
row("matrix_transpose", lambda x: np.matrix_transpose(x), T)
row("swapaxes", lambda x: np.swapaxes(x, 0, -1), T)
row("moveaxis", lambda x: np.moveaxis(x, (0, 1), (-1, 0)), T)
row("rollaxis", lambda x: np.rollaxis(x, 2, 0), T)
row("expand_dims", lambda x: np.expand_dims(x, (0, 2)), M)
row("squeeze", lambda x: np.squeeze(x[None, :, None]), M)
row("broadcast_to", lambda x: np.broadcast_to(x, (2, 3, 4)), M)
row("broadcast_arrays", lambda x, y: np.broadcast_arrays(x, y), M, n(4))
row("atleast", lambda x: (np.atleast_1d(x), np.atleast_2d(x), np.atleast_3d(x)), V)
row("atleast 0-d", lambda x: (np.atleast_1d(x), np.atleast_2d(x), np.atleast_3d(x)), SCALAR)
row("astype", lambda x: np.astype(x, np.float64) * 2, M)
row("copy", lambda x: np.copy(x), M)
row("flip", lambda x: (np.flip(x), np.flip(x, 1), np.flip(x, (0, 2))), T)
row("fliplr flipud", lambda x: (np.fliplr(x), np.flipud(x)), M)
row("rot90", lambda x: [np.rot90(x, k) for k in range(-1, 4)], M)
row("rot90 axes", lambda x: np.rot90(x, 1, (1, 2)), T)
row("roll", lambda x: (np.roll(x, 2), np.roll(x, -1, 0), np.roll(x, (1, 7), (0, 1)), np.roll(x, 3, 1)), M)
row("tile", lambda x: (np.tile(x, 2), np.tile(x, (2, 1, 3)), np.tile(x, (2, 2))), M)
row("repeat", lambda x: (np.repeat(x, 2), np.repeat(x, 3, 1), np.repeat(x, [0, 2, 1], 0)), M)
row("resize", lambda x: (np.resize(x, (5, 4)), np.resize(x, 3)), M)

# --------------------------------------------------------------------------------------------- joining and splitting
row("concatenate", lambda x, y: np.concatenate([x, y], axis=1), M, n(3, 2))
row("concatenate None", lambda x, y: np.concatenate([x, y], axis=None), M, V)
row("concatenate with arrays", lambda x: np.concatenate([x, np.ones((1, 4))]), M)
row("concat", lambda x, y: np.concat((x, y)), M, M)
row("stack", lambda x, y: np.stack([x, y], axis=1), M, n(3, 4))
row("hstack vstack dstack", lambda x, y: (np.hstack([x, y]), np.vstack([x, y]), np.dstack([x, y])), M, n(3, 4))
row("hstack of vectors", lambda x, y: (np.hstack([x, y]), np.vstack([x, x]), np.dstack([x, x])), V, n(2))
row("column_stack", lambda x, y: np.column_stack([x, y]), n(3), M)
row("block", lambda x, y: np.block([[x, np.zeros((3, 1))], [y, np.ones((1, 2))]]), M, n(1, 3))
row("block flat", lambda x, y: np.block([x, y]), V, n(2))
row("append", lambda x, y: (np.append(x, y), np.append(x, y, axis=0)), M, n(1, 4))
row("insert", lambda x, y: (np.insert(x, 1, y, axis=1), np.insert(x, [0, 2], 5.0)), M, n(3))
row("insert many", lambda x, y: (np.insert(x, [1, 3, 1], y), np.insert(x, slice(0, 3), y)), V, n(3))
row("insert rows", lambda x, y: (np.insert(x, [1], y, axis=0), np.insert(x, -1, y, axis=0)), M, n(4))
row("delete", lambda x: (np.delete(x, 1, 0), np.delete(x, [0, 3]), np.delete(x, slice(0, 2), 1)), M)
row("split", lambda x: (*np.split(x, 2, 1), *np.split(x, [1, 3], 1)), M)
row("array_split", lambda x: (*np.array_split(x, 3), *np.array_split(x, 7)), V)
row("hsplit vsplit dsplit", lambda x: (*np.hsplit(x, 3), *np.vsplit(x, 2), *np.dsplit(x, [1])), T)
row("hsplit vector", lambda x: np.hsplit(x, [2]), V)
row("unstack", lambda x: np.unstack(x, axis=1), M)
row("trim_zeros", lambda x: np.trim_zeros(x * np.array([0.0, 1, 1, 0, 0])), V, values=True)
for _mode in ("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "minimum", "mean"):
    row(f"pad {_mode}", lambda x, mode=_mode: np.pad(x, ((1, 2), (2, 0)), mode=mode), M)
row("pad median", lambda x: np.pad(x, 2, mode="median", stat_length=3), V)
row("pad constants", lambda x: np.pad(x, ((1, 2), (0, 1)), constant_values=((1, 2), (3, 4))), M)
row("pad ramp", lambda x: np.pad(x, ((1, 2), (2, 3)), mode="linear_ramp", end_values=((1, 2), (3, 4))), M)
row("pad far", lambda x: [np.pad(x, 9, mode=m) for m in ("reflect", "symmetric", "wrap", "edge")], n(3))
row("pad odd", lambda x: [np.pad(x, 2, mode=m, reflect_type="odd") for m in ("reflect", "symmetric")], V)
row("pad dict", lambda x: np.pad(x, {-1: (1, 2)}), M)

# ---------------------------------------------------------------------------------------------------------- matrices
row("diag", lambda x: (np.diag(x), np.diag(x, 2), np.diag(x, -1)), V)
row("diag of matrix", lambda x: (np.diag(x), np.diag(x, 2), np.diag(x, -1), np.diag(x, 9)), M)
row("diagflat", lambda x: np.diagflat(x, 1), n(2, 2))
row("diagonal", lambda x: (np.diagonal(x), np.diagonal(x, 1, 1, 2), np.linalg.diagonal(x)), T)
row("trace", lambda x: (np.trace(x), np.trace(x, 1, 2, 1), np.linalg.trace(x)), T)
row("tril triu", lambda x: (np.tril(x), np.triu(x), np.tril(x, -1), np.triu(x, 2), np.tril(x[0])), T)
row("tril_indices_from", lambda x: x[np.tril_indices_from(x)], M)
row("triu_indices_from", lambda x: x[np.triu_indices_from(x, 1)], M)
row("diag_indices_from", lambda x: x[np.diag_indices_from(x)], n(3, 3))
row("meshgrid", lambda x, y: (*np.meshgrid(x, y), *np.meshgrid(x, y, indexing="ij", sparse=True)), V, n(3))
row("meshgrid of one and three", lambda x, y: (*np.meshgrid(x), *np.meshgrid(x, y, x)), n(2), n(3))
row("vander", lambda x: (np.vander(x), np.vander(x, 3, increasing=True)), n(3))
row("cross", lambda x, y: (np.cross(x, y), np.linalg.cross(x, y)), n(2, 3), n(3))
row("cross axes", lambda x, y: np.cross(x, y, axisa=0, axisb=1, axisc=0), n(3, 2), n(2, 3))
row("ix_", lambda x: x[np.ix_([0, 2], [1, 3])], M)

# ---------------------------------------------------------------------------------------------- reductions, statistics
for _name in ("sum", "mean", "prod", "max", "min", "var", "std", "ptp", "nansum", "nanmean", "nanvar", "nanstd",
              "nanmax", "nanmin", "nanprod", "median", "nanmedian"):  # fmt: skip
    _f = getattr(np, _name)
    row(_name, lambda x, f=_f: (f(x), f(x, axis=1), f(x, axis=(0, 2)), f(x, 0, keepdims=True)), T)
    row(f"{_name} of one", lambda x, f=_f: (f(x), f(x, axis=0, keepdims=True)), np.array([[1.5]]))
    if _name.startswith("nan"):
        row(f"{_name} with NaN", lambda x, f=_f: f(np.where(MASK, x, np.nan), axis=1), M)
for _name in ("sum", "mean", "prod", "var", "std", "nansum", "nanmean", "nanvar"):
    row(f"{_name} where", lambda x, f=_name: getattr(np, f)(x, axis=1, where=MASK), M)
for _name in ("max", "min"):
    row(f"{_name} where", lambda x, f=_name: getattr(np, f)(x, axis=1, where=MASK, initial=0.3), M)
row("empty reductions", lambda x: (np.sum(x, 0), np.prod(x, 0), np.sum(x), np.cumsum(x, 0), np.max(x, 0, initial=2.0)),
    EMPTY)  # fmt: skip
row("sum initial", lambda x: (np.sum(x, initial=2.0), np.prod(x, 1, initial=3.0), np.max(x, 0, initial=0.0)), M)
row("prod with zeros", lambda x: (np.prod(x * np.array([1.0, 0, 1, 1]), 1), np.prod(x)), M)
row("var ddof", lambda x: (np.var(x, (0, 2), ddof=1), np.std(x, 1, correction=1), np.var(x, 1, mean=1.0)), T)
row("amax amin", lambda x: (np.amax(x, 1), np.amin(x)), M)
row("argmax argmin", lambda x: (np.argmax(x), np.argmin(x, 1), np.argmax(x, 0, keepdims=True)), M, smooth=False)
row("nanargmax", lambda x: (np.nanargmax(x, 1), np.nanargmin(x)), M, smooth=False)
row("any all", lambda x: (np.any(x > 0, 1), np.all(x > 0), np.any(x)), M, smooth=False)
row("count_nonzero", lambda x: (np.count_nonzero(x > 0, 1), np.count_nonzero(x)), M, smooth=False)
row("cumsum cumprod", lambda x: (np.cumsum(x), np.cumsum(x, 1), np.cumprod(x, 0), np.cumprod(x[0])), M)
row("cumprod with zeros", lambda x: np.cumprod(x * np.array([1.0, 0, 1, 1]), 1), M)
row("nancumsum", lambda x: (np.nancumsum(np.where(MASK, x, np.nan), 1), np.nancumprod(x, 0)), M)
row("cumulative_sum", lambda x: (np.cumulative_sum(x, axis=1), np.cumulative_sum(x, axis=0, include_initial=True)), M)
row("cumulative_prod", lambda x: np.cumulative_prod(x, include_initial=True), V)
row("average", lambda x, w: (np.average(x), np.average(x, 0), np.average(x, 1, w), np.average(x, weights=x * x)),
    M, u(4))  # fmt: skip
row("average returned", lambda x, w: np.average(x, axis=1, weights=w, returned=True), M, u(4))
for _method in (
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
):
    row(f"quantile {_method}", lambda x, m=_method: np.quantile(x, [0.0, 0.13, 0.5, 0.77, 1.0], axis=1, method=m), M)
row("quantile scalar", lambda x: (np.quantile(x, 0.3), np.percentile(x, 30, axis=0, keepdims=True)), T)
row("quantile axes", lambda x: np.quantile(x, [[0.1, 0.2]], axis=(0, 2)), T)
row("quantile traced q", lambda x, q: np.quantile(x, q), V, np.array([0.3, 0.62]))
row("nanquantile", lambda x: np.nanquantile(np.where(MASK, x, np.nan), [0.2, 0.9], axis=1), M)
row("nanpercentile", lambda x: np.nanpercentile(np.where(MASK, x, np.nan), 40), M)
row("median with NaN", lambda x: np.isnan(np.median(np.where(MASK, x, np.nan), axis=0)), M, smooth=False)
row("cov", lambda x: (np.cov(x), np.cov(x, rowvar=False), np.cov(x, bias=True), np.cov(x[0], x[1])), M)
row("cov weights", lambda x, w: np.cov(x, aweights=w, fweights=[1, 2, 1, 3]), M, u(4))
row("cov of vector", lambda x: (np.cov(x), np.corrcoef(x)), V)
row("corrcoef", lambda x: (np.corrcoef(x), np.corrcoef(x[0], x[1])), M)
row("bincount", lambda w: np.bincount([0, 2, 1, 2, 5], w, minlength=7), V, float32=False)
row("histogram", lambda x: np.histogram(x, 4, (-2.0, 2.0))[0], M, smooth=False)
row("histogram weights", lambda w: np.histogram(np.linspace(0, 1, 5), 3, weights=w)[0], V, float32=False)
row(
    "histogram density",
    lambda w: np.histogram(np.arange(5), [0, 1, 3, 9], weights=w, density=True),
    u(5),
    float32=False,
)
row("histogram edges", lambda x: np.histogram_bin_edges(x, 5), V)

# ------------------------------------------------------------------------------------------------ sorting, searching
row("sort", lambda x: (np.sort(x), np.sort(x, 0), np.sort(x, None)), M)
row("argsort", lambda x: (np.argsort(x), np.argsort(x, 0), np.argsort(x, None)), M, smooth=False)
row("partition", lambda x: np.partition(x, 2)[..., 2], M)
row("lexsort", lambda x: np.lexsort((x[0], np.round(x[1]))), M, smooth=False)
row("searchsorted", lambda x, v: (np.searchsorted(np.sort(x), v), np.searchsorted(np.sort(x), v, "right")), V, M,
    smooth=False)  # fmt: skip
row("searchsorted with a sorter", lambda x, v: np.searchsorted(x, v, sorter=np.argsort(x)), V, M, smooth=False)
row("digitize", lambda x: (np.digitize(x, [-1.0, 0.0, 1.0]), np.digitize(x, [1.0, 0.0], right=True)), M, smooth=False)
row("isin", lambda x: (np.isin(np.round(x), [0, 1]), np.isin(np.round(x), [0, 1], invert=True)), M, smooth=False)
row("unique", lambda x: np.unique(np.array([1.0, 0, 1, 1, 0]) * x[0] + 1), V, values=True)
row("unique parts", lambda x: np.unique(np.round(x), True, True, True)[1:], M, smooth=False, values=True)
row("unique axis", lambda x: np.unique(x[[0, 1, 0]], axis=0), M, values=True)
row("sets", lambda x: (np.union1d(x, x[:2]), np.intersect1d(x, x[1:]), np.setdiff1d(x, x[:2]), np.setxor1d(x, x[:2])),
    V, values=True)  # fmt: skip
row("unique_*", lambda x: (*np.unique_all(x), *np.unique_counts(x), *np.unique_inverse(x), np.unique_values(x)), V,
    values=True)  # fmt: skip

# ----------------------------------------------------------------------------------------------- choosing, taking
row("where", lambda x, y: (np.where(MASK, x, y), np.where(x > 0, x, 0.0), np.where(MASK, 1.0, y)), M, n(4))
row("where one argument", lambda x: np.where(x > 0), M, smooth=False, values=True)
row("nonzero", lambda x: (np.nonzero(x > 0), np.flatnonzero(x > 0), np.argwhere(x > 0)), M, smooth=False, values=True)
row("select", lambda x: np.select([x > 1, x > 0], [x**2, -x], 7.0), M)
row("select mixed", lambda x: np.select([x > 1, np.array(True)], [x**2, np.ones(4)]), M)
row("piecewise", lambda x: np.piecewise(x, [x < -0.5, x > 0.5], [np.sin, lambda t: t**2, 3.0]), M)
row("piecewise two", lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda t: -t, np.sqrt]), M)
row("choose", lambda x, y: np.choose([[0, 1, 1, 0]], [x, y]), M, n(4))
row("choose modes", lambda x, y: [np.choose([0, 5, -1, 0], [x, y], mode=m) for m in ("wrap", "clip")],
    n(4), n(4))  # fmt: skip
row("clip", lambda x: (np.clip(x, -0.5, 0.7), np.clip(x, None, 0.2), np.clip(x, min=0.0), x.clip(0, 1)), M)
row("clip traced", lambda x, lo: np.clip(x, lo, lo + 1), M, n(4))
row("nan_to_num", lambda x: (np.nan_to_num(np.where(MASK, x, np.nan)), np.nan_to_num(x / np.zeros(4), nan=1.0)), M,
    rtol=1e-6)  # fmt: skip
row("take", lambda x: (np.take(x, [0, 2, 2, -1]), np.take(x, [[1], [0]], axis=1), np.take(x, 2, 0)), M)
row("take modes", lambda x: (np.take(x, [9, -9], mode="wrap"), np.take(x, [9, -9], mode="clip")), V)
row("take_along_axis", lambda x: np.take_along_axis(x, np.array([[1, 0], [2, 2], [3, -1]]), 1), M)
row("take_along_axis broadcast", lambda x: np.take_along_axis(x, np.array([[1]]), 0), M)
row("take_along_axis traced", lambda x: np.take_along_axis(x, np.argsort(x, 0), 0), M)
row("compress extract", lambda x: (np.compress([True, False, True], x, 0), np.extract(MASK, x)), M)

# ------------------------------------------------------------------------------ differences, interpolation, polynomials
row("diff", lambda x: (np.diff(x), np.diff(x, 2, 0), np.diff(x, prepend=0.0), np.diff(x, append=x[:, :1])), M)
row("ediff1d", lambda x: np.ediff1d(x, to_begin=[1.0], to_end=[2.0, 3.0]), M)
row("gradient", lambda x: (np.gradient(x, axis=0), *np.gradient(x), np.gradient(x, 0.3, axis=1, edge_order=2)), M)
row("gradient uneven", lambda x, t: np.gradient(x, np.cumsum(t), axis=1), M, u(4))
row("gradient uneven 2", lambda x, t: np.gradient(x, np.cumsum(t), axis=1, edge_order=2), M, u(4))
row(
    "trapezoid", lambda x, t: (np.trapezoid(x), np.trapezoid(x, np.cumsum(t)), np.trapezoid(x, dx=0.2, axis=0)), M, u(4)
)
row("unwrap", lambda x: (np.unwrap(3 * x), np.unwrap(x, axis=0, period=1.0)), M)
row("interp", lambda x, t, y: np.interp(x, np.cumsum(t), y), u(7, low=0, high=7), u(5), n(5), float32=False)
row("interp ends", lambda x, y: np.interp(x, [0.0, 1.0, 2.5], y, left=-1.0, right=9.0), n(7) * 2, n(3), float32=False)
row("interp period", lambda x, y: np.interp(x, [0.3, 1.0, 2.5], y, period=3.0), n(7) * 5, n(3), float32=False)
row("convolve", lambda x, y: [np.convolve(x, y, m) for m in ("full", "same", "valid")], V, n(3))
row("convolve even", lambda x, y: [np.convolve(y, x, m) for m in ("full", "same", "valid")], V, n(4))
row("correlate", lambda x, y: [np.correlate(x, y, m) for m in ("full", "same", "valid")], V, n(3))
row("correlate long", lambda x, y: [np.correlate(y, x, m) for m in ("full", "same", "valid")], V, n(4))
row("sliding_window_view", lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3)), M)
row("linspace", lambda a, b: (np.linspace(a, b, 4), np.linspace(a, b, 3, endpoint=False, axis=1)), n(2), n(2))
row(
    "linspace one", lambda a: (np.linspace(a, 2, 1), np.linspace(0, a, 0), np.linspace(0.0, a, 5, retstep=True)), SCALAR
)
row("logspace", lambda a: (np.logspace(a, 1.0, 4), np.logspace(0, a, 3, base=2.0)), SCALAR)
row("geomspace", lambda a: (np.geomspace(a, 8.0, 4), np.geomspace(2.0, a, 3, endpoint=False)), SCALAR)
row("polyval", lambda p, x: np.polyval(p, x), n(4), M)
row("polynomials", lambda p, q: (np.polyadd(p, q), np.polysub(p, q), np.polymul(p, q), np.polyder(p), np.polyint(p, 2)),
    n(4), n(2))  # fmt: skip
row("poly", lambda x: np.poly(x), n(3))
row("roots", lambda p: np.sort(np.real(np.roots(np.poly(p)))), np.array([0.4, -1.3, 2.2]), values=True, rtol=1e-9)
row("polydiv", lambda p, q: (np.polydiv(p, q)[0], np.polydiv(p, q)[1][-1:]), n(5), u(2))
row("apply_along_axis", lambda x: np.apply_along_axis(lambda r: np.cumsum(r) * r[0], 1, x), M)
row("apply_along_axis to scalar", lambda x: np.apply_along_axis(np.sum, 0, x), T)
row("apply_over_axes", lambda x: np.apply_over_axes(np.sum, x, [0, 2]), T)

# --------------------------------------------------------------------------------------------------- element by element
row("sinc", lambda x: np.sinc(x), np.array([0.0, 1e-9, 0.2, -0.4, 0.5, 1.3, -3.1]), rtol=1e-11)
row("i0", np.i0, M, rtol=1e-10)
row("angle", lambda x: (np.angle(x), np.angle(x + 1j * np.sin(x), deg=True)), M, order=1)
row("round", lambda x: (np.round(x), np.round(x, 1), np.around(100 * x, -1), np.fix(x), x.round(2)), M)
row("real_if_close", lambda x: np.real_if_close(x + 0j), V, values=True)
row("real imag conj", lambda x: (np.real(x), np.imag(x), np.conj(x), (x * 1j).imag), V)
row(
    "isclose",
    lambda x: (np.isclose(x, x + 1e-9), np.isclose(x, np.inf), np.isreal(x), np.iscomplex(x)),
    V,
    smooth=False,
)
row("isposinf", lambda x: (np.isposinf(x / 0.0), np.isneginf(x / np.zeros(5))), V, smooth=False)
row("closeness", lambda x: (np.allclose(x, x), np.array_equal(x, x + 1), np.array_equiv(x, x[None])), V, smooth=False,
    values=True)  # fmt: skip
row("facts", lambda x: (np.shape(x), np.ndim(x), np.size(x), np.iscomplexobj(x), np.isscalar(x)), M, smooth=False)
row("zeros_like", lambda x: (np.zeros_like(x), np.ones_like(x), np.full_like(x, 3), np.zeros(2, like=x)), M)
row("methods", lambda x: (x.sum(), x.mean(1), x.std(0, ddof=1), x.var(), x.max(1), x.min(), x.prod(0), x.cumsum(1),
                          x.cumprod(), x.round(1), x.clip(0, 1), x.conj(), x.real, x.imag), M)  # fmt: skip
row("methods that arrange", lambda x: (x.T, x.mT, x.reshape(4, 3), x.reshape((2, -1)), x.ravel(), x.flatten("F"),
                                       x.swapaxes(0, 1), x[None].squeeze(0), x.transpose(1, 0), x.diagonal(1),
                                       x.repeat(2, 0), x.take([1, 0], 1), x.compress([True, False, True], 0),
                                       x.copy(), x.trace(), x.astype(float), x.dot(x.T), x @ x.T), M)  # fmt: skip
row("methods about order", lambda x: (x.argmax(1), x.argmin(), x.argsort(0), x.any(), x.all(1), (x > 0).nonzero(),
                                      np.array([-1.0, 0.0, 1.0], like=x).searchsorted(x)), M, smooth=False, values=True)
row("operators", lambda x: (x + 1, 2 - x, x * x, x / 3, 1 / (x * x + 1), (x * x + 1) ** 0.5, 2**x, -x, +x, abs(x),
                            x // 0.7, x % 0.7, divmod(x, 0.7)[1], x + LIST, LIST - x), M)  # fmt: skip
row("comparisons", lambda x: (x < 0, x <= x, x > 1, x >= 0, x == x, x != 0, ~(x > 0), (x > 0) & (x < 1),
                              (x > 0) ^ True),
    M, smooth=False)  # fmt: skip
row("array of symbols", lambda x: np.array([x[0], [1.0, 2.0, x[1, 1], x[2, 0]]], like=x), M)
row("unravel", lambda x: (np.unravel_index(np.argmax(x), (3, 4)),
                          np.ravel_multi_index((np.argmin(x, 1), [0, 1, 2]), (4, 3))),
    M, smooth=False)  # fmt: skip

# -------------------------------------------------------------------------------------------------------------- ufuncs
for _name in (
    "sqrt",
    "cbrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "square",
    "reciprocal",
    "negative",
    "positive",
    "absolute",
    "fabs",
    "sign",
    "deg2rad",
    "rad2deg",
    "degrees",
    "radians",
    "floor",
    "ceil",
    "rint",
    "trunc",
    "conjugate",
):
    row(_name, getattr(np, _name), u(3, low=0.3, high=1.4))
for _name in ("arcsin", "arccos", "arctanh"):
    row(_name, getattr(np, _name), u(3, low=-0.8, high=0.8))
row("arccosh", np.arccosh, u(3, low=1.3, high=3))
for _name in ("add", "subtract", "multiply", "divide", "power", "maximum", "minimum", "fmax", "fmin", "hypot",
              "arctan2",
              "logaddexp", "logaddexp2", "copysign", "remainder", "fmod", "heaviside"):  # fmt: skip
    row(_name, getattr(np, _name), u(3, 1), u(4))
row("float_power", np.float_power, u(3), u(3), float32=False)
row("nextafter", np.nextafter, V, V + 1, rtol=1e-9)
row("divmod modf frexp", lambda x: (*np.divmod(x, 0.7), *np.modf(x), *np.frexp(x)), u(5))
row(
    "fmod signs",
    lambda x, y: np.fmod(x, y),
    np.array([2.5, -2.5, 2.5, -2.5, 0.0]),
    np.array([1.1, 1.1, -1.1, -1.1, 1.0]),
)
row("ldexp", lambda x: (np.ldexp(x, 3), np.ldexp(x, np.arange(5))), V)
row("spacing", np.spacing, V)
row("signbit", lambda x: (np.signbit(x), np.isfinite(x), np.isnan(x), np.isinf(x), x > 0, x == x), V, smooth=False)
row("floor_divide", lambda x: x // 0.3, M)
row("matmul", lambda x, y: (x @ y, np.matvec(y.T, y[:, 0]), np.vecmat(y[:, 0], y), np.vecdot(y, y)), M, n(4, 3))
for _ufunc in (np.add, np.multiply, np.maximum, np.logaddexp, np.hypot, np.subtract, np.divide):
    row(f"{_ufunc.__name__}.reduce", lambda x, f=_ufunc: (f.reduce(x), f.reduce(x, axis=1, keepdims=True)), u(3, 5))
    row(f"{_ufunc.__name__}.accumulate", lambda x, f=_ufunc: (f.accumulate(x), f.accumulate(x, axis=1)), u(3, 5))
    row(f"{_ufunc.__name__}.outer", lambda x, y, f=_ufunc: f.outer(x, y), u(2), u(2, 2))
    row(f"{_ufunc.__name__}.reduceat", lambda x, f=_ufunc: f.reduceat(x, [0, 3, 1, 4]), u(5))
