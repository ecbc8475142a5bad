"""Complex arithmetic: values as NumPy's, derivatives in both modes, and JAX's convention for cotangents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr

RNG = np.random.default_rng(3)
Z = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
W = RNG.normal(size=(4,)) + 1j * RNG.normal(size=(4,))

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "arithmetic": lambda z, w: (z + w, z - 2j, z * w, z / w, -z, 1 / z),
    "powers": lambda z, w: (z**2, z**3, z**-1, z**0.5, np.square(z), np.reciprocal(z), w**z),
    "exponentials": lambda z, w: (np.exp(z), np.log(z), np.sqrt(z), np.expm1(z), np.log1p(z), np.log2(z), np.log10(z)),
    "circular": lambda z, w: (np.sin(z), np.cos(z), np.tan(z), np.sinh(z), np.cosh(z), np.tanh(z)),
    "inverse circular": lambda z, w: (np.arctan(z / 3), np.arcsin(z / 3), np.arcsinh(z / 3), np.arctanh(z / 3)),
    "parts": lambda z, w: (np.real(z), np.imag(z), np.conj(z), z.real * z.imag, np.abs(z), np.angle(z), abs(w)),
    "sign": lambda z, w: (np.sign(z), z / np.abs(z)),
    "reductions": lambda z, w: (np.sum(z, 0), np.mean(z), np.prod(z, 1), np.cumsum(z), np.cumprod(w), np.var(z, 1)),
    "deviation": lambda z, w: (np.std(z), np.cov(z), np.average(z, 1, np.abs(w))),
    "products": lambda z, w: (z @ w, z @ z.conj().T, np.vecdot(z, w)),
    "arrangements": lambda z, w: (np.concatenate([z, w[None]]), z[1:, ::-1], z[[0, 2]], np.roll(z, 1), np.pad(w, 2)),
    "choices": lambda z, w: (np.where(z.real > 0, z, w), np.sort(w), np.diff(z), np.tril(z), np.diag(w)),
    "mixed with floats": lambda z, w: (z + np.ones(4), np.arange(4.0) * z, np.stack([w, np.zeros(4)])),
    "in place": lambda z, w: _in_place(z, w),
    "made of parts": lambda z, w: np.real(z) + 1j * np.abs(w),
    "power spectrum": lambda z, w: np.abs(np.fft.fft(z)) ** 2,
}


def _in_place(z: Any, w: Any) -> Any:
    out = np.zeros_like(z)
    out[0] = w
    out[1:] += z[1:] * 1j
    return out


each = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)


def parts(tree: Any) -> list[Any]:
    return list(tree) if isinstance(tree, tuple) else [tree]


@each
@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_values(f: Callable[..., Any], dtype: Any) -> None:
    z, w = Z.astype(dtype), W.astype(dtype)
    for found, expected in zip(parts(cr.jit(f)(z, w)), parts(f(z, w)), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-12 if dtype == np.complex128 else 2e-4)


@each
def test_derivatives(f: Callable[..., Any]) -> None:
    cr.check_grads(f, (Z, W))


@each
def test_vmap(f: Callable[..., Any]) -> None:
    found = parts(cr.vmap(f)(np.stack([Z, 2 * Z]), np.stack([W, W[::-1]])))
    one_by_one = zip(parts(f(Z, W)), parts(f(2 * Z, W[::-1])), strict=True)
    for batch, pair in zip(found, one_by_one, strict=True):
        np.testing.assert_allclose(batch, np.stack(pair), rtol=1e-12)


def test_the_gradient_of_a_real_function_is_the_conjugate_of_the_direction_of_ascent() -> None:
    # With z = a + ib: ∂/∂a - i·∂/∂b, as JAX has it; |z|² gives 2·conj(z).
    np.testing.assert_allclose(cr.grad(lambda z: np.sum(np.abs(z) ** 2))(Z), 2 * Z.conj())
    np.testing.assert_allclose(cr.grad(lambda z: np.sum(z.real * 3 + z.imag * 5))(Z), np.full(Z.shape, 3 - 5j))


def test_a_real_argument_gets_a_real_gradient() -> None:
    x = np.array([1.0, 2.0])
    found = cr.grad(lambda x: np.sum(np.abs(x * (3 + 4j)) ** 2))(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 50 * x)


def test_absolute_value_at_zero_has_derivative_zero() -> None:
    assert cr.grad(lambda z: np.abs(z))(0j) == 0
    assert cr.jvp(lambda z: np.abs(z), (0j,), (1 + 1j,))[1] == 0
