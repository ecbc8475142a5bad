"""np.fft where the table of rows does not reach: JAX's convention for complex cotangents, dtypes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import OptionError, ShapeError

rng = np.random.default_rng(8)
REAL = rng.normal(size=(3, 6))
COMPLEX = REAL + 1j * rng.normal(size=(3, 6))


@pytest.mark.parametrize(("n", "norm"), [(None, "ortho"), (5, "backward"), (9, "forward")])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_gradients_equal_jax(name: str, n: int | None, norm: str) -> None:
    jax = pytest.importorskip("jax")
    x = REAL if name in ("rfft", "ihfft") else COMPLEX

    def loss(np: Any, v: Any) -> Any:
        y = getattr(np.fft, name)(v, n=n, axis=1, norm=norm)
        return np.sum(np.sin(np.real(y)) + np.abs(y) ** 2 + np.imag(y) * np.arange(y.shape[1]))

    found = cr.grad(lambda v: loss(np, v))(x)
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        expected = jax.jit(jax.grad(lambda v: loss(jax.numpy, v)))(x)
        np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-10, atol=1e-11)


def test_gradient_of_a_power_spectrum_is_twice_the_energy() -> None:
    gradient = cr.grad(lambda x: np.sum(np.abs(np.fft.fft(x, norm="ortho")) ** 2))(REAL)
    np.testing.assert_allclose(gradient, 2 * REAL, rtol=1e-12)  # Parseval
    conjugated = cr.grad(lambda z: np.sum(np.abs(np.fft.fft(z, norm="ortho")) ** 2))(COMPLEX)
    np.testing.assert_allclose(conjugated, 2 * np.conj(COMPLEX), rtol=1e-12)  # ∂/∂a - i·∂/∂b


@pytest.mark.parametrize("f", [np.fft.fft, np.fft.ifft, np.fft.irfft, np.fft.hfft, np.fft.fft2, np.fft.irfftn])
def test_single_precision_stays(f: Callable[..., Any]) -> None:
    for dtype in (np.float32, np.complex64, np.int32, np.float64):
        x = np.ones((4, 4), dtype)
        assert cr.jit(f)(x).dtype == f(x).dtype


def test_imaginary_parts_that_the_inverse_ignores_have_gradient_zero() -> None:
    gradient = cr.grad(lambda z: np.sum(np.fft.irfft(z) ** 2))(COMPLEX)
    np.testing.assert_allclose(gradient[:, 0].imag, 0, atol=1e-14)
    np.testing.assert_allclose(gradient[:, -1].imag, 0, atol=1e-14)


def test_frequencies_are_plain_numbers() -> None:
    x = REAL[0]
    expected = np.fft.irfft(np.fft.rfft(x) * 2j * np.pi * np.fft.rfftfreq(6), 6)
    np.testing.assert_allclose(cr.jit(lambda v: np.fft.irfft(np.fft.rfft(v) * 2j * np.pi * np.fft.rfftfreq(6), 6))(x),
                               expected, atol=1e-14)  # fmt: skip


@pytest.mark.parametrize("f", [np.fft.fft, np.fft.rfft, np.fft.irfft])
def test_refusals(f: Callable[..., Any]) -> None:
    with pytest.raises(ShapeError) as refused:
        cr.jit(lambda x: f(x, 0))(REAL)
    assert "a Fourier transform needs at least one point\n  expected: n of 1 or more" in str(refused.value)
    assert "test_fft.py" in str(refused.value)
    with pytest.raises(OptionError, match="unknown value for norm\n  expected: one of: backward, ortho, forward"):
        cr.jit(lambda x: f(x, norm="unit"))(REAL)
    with pytest.raises(ShapeError):
        cr.jit(lambda x: f(x, axis=2))(REAL)
    with pytest.raises(ShapeError, match="s and axes must be of one length"):
        cr.jit(lambda x: np.fft.fftn(x, s=(2, 2), axes=(0,)))(REAL)
