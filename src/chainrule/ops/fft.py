"""The discrete Fourier transform along one axis: complex to complex, real to half a spectrum, and back.

All linear, and each other's transposes (without conjugation, as the pairing of cotangents has none): the matrix of the
complex transform is symmetric; the transpose of the real transform is, up to weights, the inverse one and vice versa,
because half a spectrum stands for its mirror image too.  Source: Cooley and Tukey (1965), run by NumPy's pocketfft.

``norm`` is NumPy's: "backward" scales the inverse by 1/n, "forward" the forward transform, "ortho" both by 1/√n.
Sizes are fixed before: cropping and padding to n, several axes and shifts are compositions made in the tracer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec, complex_dtype, real_dtype
from chainrule.base.errors import ShapeError
from chainrule.ops.expr import Expr
from chainrule.ops.pointwise import conj
from chainrule.ops.record import Linear, op

FORWARD_OF = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm under which the inverse transform is scaled as the forward one is under this norm."""


def _check(x: Spec, axis: int, n: int) -> None:
    if n < 1:
        raise ShapeError(
            "a Fourier transform needs at least one point",
            expected="1 or more",
            got=n,
            fix="pass n=1 or more",
        )


def _shifted(attrs: dict[str, Any]) -> dict[str, Any]:
    return {**attrs, "axis": attrs["axis"] + 1}


def _batching(name: str) -> Any:
    return lambda args, batched, size, attrs: op(name)(*args, **_shifted(attrs))


def _fft_rule(x: Spec, axis: int, inverse: bool, norm: str) -> Spec:
    _check(x, axis, x.shape[axis])
    return Spec(x.shape, complex_dtype(x.dtype))


fft: Linear = Linear(
    "fft",
    lambda x, axis, inverse, norm: (np.fft.ifft if inverse else np.fft.fft)(x, axis=axis, norm=norm),
    transpose=lambda ct, position, args, axis, inverse, norm: fft(ct, axis=axis, inverse=inverse, norm=norm),
    shape_rule=_fft_rule,
    batching=_batching("fft"),
    latex=r"\mathcal{F} #0",
    sentence="takes the discrete Fourier transform of complex numbers, or its inverse",
)


def _weighted(x: Expr, n: int, axis: int, middle: float) -> Expr:
    """Half a spectrum with the frequencies that have a mirror image times ``middle``."""
    weights = np.full(n // 2 + 1, middle)
    weights[0] = 1.0
    if n % 2 == 0:
        weights[-1] = 1.0
    shape = [1] * x.ndim
    shape[axis] = len(weights)
    return x * x.builder.constant(weights.reshape(shape).astype(real_dtype(x.dtype)))  # type: ignore[no-any-return]


def _rfft_rule(x: Spec, axis: int, norm: str) -> Spec:
    n = x.shape[axis]
    _check(x, axis, n)
    return Spec((*x.shape[:axis], n // 2 + 1, *x.shape[axis + 1 :]), complex_dtype(x.dtype))


def _rfft_transpose(ct: Expr, position: int, args: Sequence[Expr], axis: int, norm: str) -> Expr:
    n = args[0].shape[axis]
    half = _weighted(conj(ct), n, axis, 0.5)
    result: Expr = irfft(half, axis=axis, n=n, norm=FORWARD_OF[norm])
    return result


rfft: Linear = Linear(
    "rfft",
    lambda x, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    transpose=_rfft_transpose,
    shape_rule=_rfft_rule,
    batching=_batching("rfft"),
    latex=r"\mathcal{F} #0",
    sentence="takes the discrete Fourier transform of real numbers: the half of it that is not a mirror image",
)


def _irfft_rule(x: Spec, axis: int, n: int, norm: str) -> Spec:
    _check(x, axis, n)
    if x.shape[axis] != n // 2 + 1:
        raise ShapeError(
            "half a spectrum of another size",
            expected=f"{n // 2 + 1}, for {n} points",
            got=x.shape[axis],
            fix="pass the spectrum that rfft gives for n points",
        )
    return Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), real_dtype(x.dtype))


def _irfft_transpose(ct: Expr, position: int, args: Sequence[Expr], axis: int, n: int, norm: str) -> Expr:
    result: Expr = conj(_weighted(rfft(ct, axis=axis, norm=FORWARD_OF[norm]), n, axis, 2.0))
    return result


irfft: Linear = Linear(
    "irfft",
    lambda x, axis, n, norm: np.fft.irfft(x, n, axis=axis, norm=norm),
    transpose=_irfft_transpose,
    shape_rule=_irfft_rule,
    batching=_batching("irfft"),
    latex=r"\mathcal{F}^{-1} #0",
    sentence="takes real numbers back from half of their discrete Fourier transform",
)
