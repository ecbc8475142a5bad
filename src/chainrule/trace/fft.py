"""NumPy's ``np.fft``: every transform is cropping or padding to n points, then transforms along one axis after another.

Cotangents of complex values follow the library's convention (the gradient of a real function of x = a + ib is
∂/∂a - i·∂/∂b), so a power spectrum ``np.abs(np.fft.rfft(x))**2`` differentiates.  float32 gives complex64, as in
NumPy 2; integers are taken as float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import complex_dtype, normalize_axis
from chainrule.base.errors import ShapeError, choose
from chainrule.graph.source import user_source
from chainrule.ops import fft as ops
from chainrule.ops import index, pointwise
from chainrule.trace.shaping import floating
from chainrule.trace.symbol import as_symbol
from chainrule.trace.table import implements


def _norm(norm: Any) -> str:
    if norm not in (None, "backward", "ortho", "forward"):
        raise choose("norm", norm, ("backward", "ortho", "forward"), where=user_source())
    return norm or "backward"


def _sized(x: Any, n: int, axis: int) -> Any:
    """``x`` cropped, or padded with zeros, to ``n`` along ``axis``."""
    size = x.shape[axis]
    if n < 1:
        raise ShapeError(
            "a Fourier transform needs at least one point",
            expected="n of 1 or more",
            got=n,
            where=user_source(),
            fix="pass n=1 or more, and no empty axis",
        )
    key = tuple((0, min(n, size), 1) if i == axis else (0, k, 1) for i, k in enumerate(x.shape))
    if n < size:
        return index.index(x, key=key)
    shape = tuple(n if i == axis else k for i, k in enumerate(x.shape))
    return index.unindex(x, shape=shape, key=key) if n > size else x


def _complex(x: Any) -> Any:
    return x if x.dtype.kind == "c" else pointwise.cast(x, dtype=complex_dtype(x.dtype))


def _real(x: Any) -> Any:
    return np.real(x) if x.dtype.kind == "c" else x  # as NumPy casts, the imaginary part is dropped


def _whole(a: Any, n: Any, axis: int, norm: Any, inverse: bool) -> Any:
    x = _complex(floating(a))
    at = normalize_axis(axis, x.ndim)
    return ops.fft(_sized(x, x.shape[at] if n is None else int(n), at), axis=at, inverse=inverse, norm=_norm(norm))


@implements(np.fft.fft)
def fft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    return _whole(a, n, axis, norm, False)


@implements(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    return _whole(a, n, axis, norm, True)


@implements(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    x = _real(floating(a))
    at = normalize_axis(axis, x.ndim)
    return ops.rfft(_sized(x, x.shape[at] if n is None else int(n), at), axis=at, norm=_norm(norm))


@implements(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    x = _complex(floating(a))
    at = normalize_axis(axis, x.ndim)
    points = 2 * (x.shape[at] - 1) if n is None else int(n)
    if points < 1:
        raise ShapeError(
            "a Fourier transform needs at least one point",
            expected="n of 1 or more",
            got=points,
            where=user_source(),
            fix="pass n=1 or more, and a spectrum of 2 values or more",
        )
    return ops.irfft(_sized(x, points // 2 + 1, at), axis=at, n=points, norm=_norm(norm))


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    return irfft(np.conjugate(_complex(floating(a))), n, axis, ops.FORWARD_OF[_norm(norm)])


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    return np.conjugate(rfft(a, n, axis, ops.FORWARD_OF[_norm(norm)]))


# ------------------------------------------------------------------------------------------------------- several axes


def _plan(x: Any, s: Any, axes: Any) -> tuple[list[int | None], list[int]]:
    """The size and the axis of each transform, by NumPy's rules; sizes are None where they are the array's own."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    along = [normalize_axis(a, x.ndim) for a in axes]
    given = [None] * len(along) if s is None else s
    sizes = [None if n is None or n == -1 else int(n) for n in given]
    if len(sizes) != len(along) or not along:
        raise ShapeError(
            "s and axes must be of one length, and name an axis",
            expected=f"{len(along)} sizes",
            got=s,
            where=user_source(),
            fix="pass one size per axis",
        )
    return sizes, along


def _in_turn(a: Any, s: Any, axes: Any, norm: Any, transform: Callable[..., Any]) -> Any:
    x = as_symbol(a)
    for n, axis in reversed(list(zip(*_plan(x, s, axes), strict=True))):
        x = transform(x, n, axis, norm)
    return x


@implements(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    return _in_turn(a, s, axes, norm, fft)


@implements(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    return _in_turn(a, s, axes, norm, ifft)


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    x = as_symbol(a)
    sizes, along = _plan(x, s, axes)
    x = rfft(x, sizes[-1], along[-1], norm)
    for n, axis in reversed(list(zip(sizes[:-1], along[:-1], strict=True))):
        x = fft(x, n, axis, norm)
    return x


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    x = as_symbol(a)
    sizes, along = _plan(x, s, axes)
    for n, axis in zip(sizes[:-1], along[:-1], strict=True):
        x = ifft(x, n, axis, norm)
    return irfft(x, sizes[-1], along[-1], norm)


def _plane(transform: Callable[..., Any]) -> Callable[..., Any]:
    def implementation(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
        return transform(a, s, axes, norm)

    return implementation


implements(np.fft.fft2)(_plane(fftn))
implements(np.fft.ifft2)(_plane(ifftn))
implements(np.fft.rfft2)(_plane(rfftn))
implements(np.fft.irfft2)(_plane(irfftn))

# ------------------------------------------------------------------------------------------------------------- shifts


def _rolled(x: Any, axes: Any, shift: Callable[[int], int]) -> Any:
    x = as_symbol(x)
    given: Sequence[Any] = range(x.ndim) if axes is None else [axes] if isinstance(axes, (int, np.integer)) else axes
    along = [normalize_axis(a, x.ndim) for a in given]
    return np.roll(x, [shift(x.shape[a]) for a in along], along) if along else x.copy()


@implements(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    return _rolled(x, axes, lambda n: n // 2)


@implements(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    return _rolled(x, axes, lambda n: -(n // 2))
