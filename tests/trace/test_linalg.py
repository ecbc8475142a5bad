"""np.linalg where the table of rows does not reach: complex matrices, degenerate ones, zeros, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import DtypeError, LinalgError, OptionError, ShapeError, UnsupportedError

rng = np.random.default_rng(11)


def t(a: Any, np: Any = np) -> Any:
    return np.conj(np.swapaxes(a, -1, -2))


def complex_normal(*shape: int) -> Any:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def hermitian(a: Any, np: Any) -> Any:
    return a @ t(a, np) + 3 * np.eye(a.shape[-1])


SQUARE, TALL, RIGHT = complex_normal(4, 4), complex_normal(5, 3), complex_normal(4, 2)

# Functions of numpy (or jax.numpy) and complex matrices; of vectors only what does not depend on their phase.
COMPLEX: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "solve": (lambda np, a, b: np.linalg.solve(a, b), (SQUARE, RIGHT)),
    "inv": (lambda np, a: np.linalg.inv(a), (SQUARE,)),
    "det": (lambda np, a: np.linalg.det(a), (SQUARE,)),
    "slogdet": (lambda np, a: np.linalg.slogdet(a)[0] * np.linalg.slogdet(a)[1], (SQUARE,)),
    "cholesky": (lambda np, a: np.linalg.cholesky(hermitian(a, np)), (SQUARE,)),
    "eigvalsh": (lambda np, a: np.linalg.eigvalsh(hermitian(a, np)), (SQUARE,)),
    "eigh": (lambda np, a: (lambda w, v: np.abs(v) ** 2 * w + (v * np.exp(-w)) @ t(v, np))(
        *np.linalg.eigh(hermitian(a, np))), (SQUARE,)),
    "eigvals": (lambda np, a: np.linalg.eigvals(a), (SQUARE,)),
    "qr": (lambda np, a: (lambda q, r: np.sin(np.real(q)) @ r)(*np.linalg.qr(a)), (TALL,)),
    "svd tall": (lambda np, a: (lambda u, s, vh: np.abs(u) @ np.abs(vh) * s + (u * s**2) @ vh)(
        *np.linalg.svd(a, full_matrices=False)), (TALL,)),
    "svd wide": (lambda np, a: (lambda u, s, vh: (np.abs(u) @ np.abs(vh)).T * s)(
        *np.linalg.svd(a.T, full_matrices=False)), (TALL,)),
    "pinv": (lambda np, a: np.linalg.pinv(a), (TALL,)),
    "norm": (lambda np, a: np.linalg.norm(a, axis=0), (TALL,)),
}  # fmt: skip


def real_loss(np: Any, y: Any) -> Any:
    weights = 1.0 + math.pi * np.arange(y.size).reshape(y.shape) % 1.7
    return np.sum(np.real(y) * weights + np.imag(y) * weights**2)


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_matrices(name: str) -> None:
    f, args = COMPLEX[name]
    np.testing.assert_allclose(cr.jit(lambda *a: f(np, *a))(*args), f(np, *args), rtol=1e-9, atol=1e-12)
    cr.check_grads(lambda *a: f(np, *a), args)


@pytest.mark.parametrize("name", COMPLEX)
def test_gradients_equal_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    f, args = COMPLEX[name]
    every = tuple(range(len(args)))
    found = cr.grad(lambda *a: real_loss(np, f(np, *a)), argnums=every)(*args)
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        expected = jax.jit(jax.grad(lambda *a: real_loss(jax.numpy, f(jax.numpy, *a)), argnums=every))(*args)
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, np.asarray(y), rtol=1e-7, atol=1e-9)


def test_eigenvectors_keep_lapacks_scale_and_phase() -> None:
    cr.check_grads(lambda a: np.linalg.eig(a).eigenvectors, (SQUARE,))
    cr.check_grads(lambda a: np.linalg.eig(a)[1], (rng.normal(size=(4, 4)),))


def test_eig_of_real_matrices_is_complex() -> None:
    a = np.diag([1.0, 2.0]).astype(np.float32)
    assert cr.jit(np.linalg.eigvals)(a).dtype == np.complex64
    np.testing.assert_allclose(cr.jit(lambda x: np.linalg.eig(x)[0])(a), [1, 2])


# ---------------------------------------------------------------------------------------------- zeros and equal values


@pytest.mark.parametrize("order", [None, 0.5, 1, 2, 3, 2.5, np.inf, -np.inf])
def test_norm_of_zeros_has_gradient_zero(order: Any) -> None:
    x = np.zeros(3)
    value, gradient = cr.value_and_grad(lambda v: np.linalg.norm(v, order))(x)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
    np.testing.assert_array_equal(cr.jvp(lambda v: np.linalg.norm(v, order), (x,), (x,))[1], 0)
    if order in (None, 2):
        np.testing.assert_array_equal(cr.hessian(np.linalg.norm)(x), 0)


@pytest.mark.parametrize("order", [1.5, 2, 3, 4])
def test_norm_with_some_zeros(order: float) -> None:
    x = np.array([3.0, 0.0, -4.0])
    gradient = cr.grad(lambda v: np.linalg.norm(v, order))(x)
    size = np.sum(np.abs(x) ** order) ** (1 / order)
    np.testing.assert_allclose(gradient, np.sign(x) * (np.abs(x) / size) ** (order - 1), rtol=1e-12)


def test_norm_of_a_zero_row_of_a_matrix() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(cr.grad(lambda v: np.sum(np.linalg.norm(v, axis=1)))(x), [[0, 0], [0.6, 0.8]])
    np.testing.assert_array_equal(cr.grad(lambda v: np.linalg.norm(v[0] + 1j * v[0]))(x), np.zeros((2, 2)))


@pytest.mark.parametrize("values", [[1.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
def test_determinant_of_singular_matrices(values: list[float]) -> None:
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    a = q @ np.diag(values) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    minors = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(3)] for i in range(3)]
    cofactors = np.linalg.det(np.array(minors)) * (-1.0) ** np.add.outer(range(3), range(3))
    np.testing.assert_allclose(cr.grad(np.linalg.det)(a), cofactors, atol=1e-12)


def test_second_derivative_of_a_singular_determinant_is_refused() -> None:
    with pytest.raises(LinalgError, match="solve: singular matrix"):
        cr.hessian(np.linalg.det)(np.zeros((3, 3)))


def test_equal_eigenvalues() -> None:
    a = np.eye(3)
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(np.linalg.eigvalsh(x) ** 2))(a), 2 * a)
    assert not np.all(np.isfinite(cr.grad(lambda x: np.sum(np.exp(np.linalg.eigh(x)[1] + x)))(a)))


def test_equal_singular_values() -> None:
    np.testing.assert_allclose(cr.grad(lambda x: np.linalg.norm(x, "nuc"))(2 * np.eye(3)), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(cr.grad(lambda x: np.sum(np.linalg.svdvals(x) ** 2))(np.eye(2, 3)), 2 * np.eye(2, 3))
    with np.errstate(all="ignore"):
        gradient = cr.grad(lambda x: np.sum(np.exp(np.linalg.svd(x)[0] + x)))(np.eye(3))
    assert not np.all(np.isfinite(gradient))


def test_spectral_norm_shares_a_tie() -> None:
    gradient = cr.grad(lambda x: np.linalg.norm(x, 2))(np.eye(2))
    np.testing.assert_allclose(gradient, np.eye(2) / 2, atol=1e-12)


def test_pseudo_inverse_of_deficient_matrices_with_equal_singular_values() -> None:
    cr.check_grads(lambda q: np.linalg.pinv(q @ np.diag([1.0, 1.0]) @ q.T, rcond=1e-6), (rng.normal(size=(3, 2)),))


def test_triangles() -> None:
    """Only the triangle that NumPy reads has a gradient, and it is that of finite differences."""
    a = hermitian(rng.normal(size=(3, 3)), np)
    for f in (np.linalg.cholesky, np.linalg.eigvalsh):
        gradient = cr.grad(lambda x, f=f: np.sum(np.sin(f(x))))(a)
        np.testing.assert_array_equal(np.triu(gradient, 1), 0)
        cr.check_grads(f, (a,))
        cr.check_grads(f, (np.tril(a),))
    upper = cr.grad(lambda x: np.sum(np.sin(np.linalg.cholesky(x, upper=True))))(a)
    np.testing.assert_array_equal(np.tril(upper, -1), 0)
    log_determinant = cr.grad(lambda x: 2 * np.sum(np.log(np.diagonal(np.linalg.cholesky(x)))))(a)
    np.testing.assert_allclose((log_determinant + log_determinant.T) / 2, np.linalg.inv(a), rtol=1e-9)


# -------------------------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("n", [0, 1])
def test_small_matrices(n: int) -> None:
    a = np.full((2, n, n), 2.0)
    for f in (np.linalg.inv, np.linalg.det, np.linalg.cholesky, np.linalg.eigvalsh, np.linalg.svdvals, np.linalg.qr,
              np.linalg.slogdet, lambda x: np.linalg.solve(x, x), lambda x: np.linalg.matrix_power(x, 3)):  # fmt: skip
        found, expected = cr.jit(f)(a), f(a)
        for x, y in zip(found if isinstance(found, tuple) else [found],
                        expected if isinstance(expected, tuple) else [expected], strict=True):  # fmt: skip
            np.testing.assert_allclose(x, y)
            assert x.shape == y.shape
        gradient = cr.grad(lambda x, f=f: sum(np.sum(y) for y in ([f(x)] if not isinstance(f(x), tuple) else f(x))))(a)
        assert gradient.shape == a.shape


def test_results_have_numpys_names() -> None:
    a = hermitian(rng.normal(size=(3, 3)), np)
    for f in (np.linalg.eigh, np.linalg.slogdet, np.linalg.qr, np.linalg.svd, np.linalg.eig):
        names: list[Any] = []
        cr.trace(lambda x, f=f, names=names: names.append(type(f(x))) or x)(a)
        assert names == [type(f(a))]


def test_least_squares_without_values_takes_full_rank() -> None:
    a, b = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    solution, residuals, rank, singular = cr.jit(lambda a, b: np.linalg.lstsq(a, b))(a, b)
    expected = np.linalg.lstsq(a, b)
    np.testing.assert_allclose(solution, expected[0])
    np.testing.assert_allclose(residuals, expected[1])
    assert rank == 2
    np.testing.assert_allclose(singular, expected[3])
    deficient = cr.vjp(lambda a: np.linalg.lstsq(a, b), np.outer(a[:, 0], [1.0, 2.0]))[0]
    assert deficient[1].shape == (0,)
    assert deficient[2] == 1


def test_integers_become_floats() -> None:
    b = np.array([1, 2])
    gradient = cr.grad(lambda x: np.linalg.solve(np.array([[2, 1], [1, 3]]), x)[0])(b * 1.0)
    np.testing.assert_allclose(gradient, [0.6, -0.2])
    assert cr.jit(np.linalg.inv)(np.array([[2, 1], [1, 3]])).dtype == np.float64
    assert cr.jit(np.linalg.norm)(b).dtype == np.float64


# ------------------------------------------------------------------------------------------------------------ refusals


def refused(error: type[Exception], f: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(error) as caught:
        cr.jit(f)(*args)
    return str(caught.value)


def test_singular() -> None:
    text = refused(LinalgError, np.linalg.inv, np.zeros((2, 3, 3)))
    assert text == (
        "solve: singular matrix\n"
        "  expected: invertible matrices\n"
        "  got: a matrix of shape (3, 3) in a stack of (2,)\n"
        "  what to do: np.linalg.lstsq or np.linalg.pinv; or add a small multiple of np.eye(n)"
    )
    with pytest.raises(np.linalg.LinAlgError):
        cr.grad(lambda a: np.sum(np.linalg.inv(a)))(np.zeros((3, 3)))


def test_not_positive_definite() -> None:
    text = refused(LinalgError, np.linalg.cholesky, -np.eye(2))
    assert text == (
        "cholesky: matrix is not positive definite\n"
        "  expected: Hermitian positive definite matrices\n"
        "  got: a matrix of shape (2, 2)\n"
        "  what to do: add a small multiple of np.eye(n)"
    )


@pytest.mark.parametrize("f", [np.linalg.inv, np.linalg.det, np.linalg.slogdet, np.linalg.cholesky, np.linalg.eigh,
                               np.linalg.eig])  # fmt: skip
def test_not_square(f: Any) -> None:
    text = refused(ShapeError, f, np.ones((3, 2)))
    assert "square matrices\n  expected: (…, n, n)\n  got: (3, 2)" in text
    assert "test_linalg.py" in text
    refused(ShapeError, f, np.ones(3))


def test_right_hand_side_that_does_not_fit() -> None:
    text = refused(ShapeError, np.linalg.solve, np.eye(3), np.ones(2))
    assert "the matrix and the right-hand side do not fit" in text
    assert "expected: a right-hand side of 3 rows\n  got: (2, 1)" in text
    assert "what to do: solve(a, b): a is (…, n, n); b is (n,) or (…, n, k)" in text


def test_unknown_options() -> None:
    a = np.eye(2)
    assert "unknown value for UPLO\n  expected: one of: L, U\n  got: 'X'" in refused(
        OptionError, lambda x: np.linalg.eigh(x, "X"), a
    )
    assert "unknown value for ord\n  expected: one of: None, fro, nuc, 1, -1, 2, -2, inf, -inf\n  got: 3" in refused(
        OptionError, lambda x: np.linalg.norm(x, 3), a
    )
    assert "unknown value for mode\n  expected: one of: reduced, complete, r" in refused(
        OptionError, lambda x: np.linalg.qr(x, "full"), a
    )
    assert "np.linalg.qr is traced, but not with mode\n  expected: an option that is traced\n  got: mode=" in refused(
        UnsupportedError, lambda x: np.linalg.qr(x, "raw"), a
    )


def test_shapes_that_do_not_fit() -> None:
    assert "this norm is for vectors and matrices\n  expected: one axis or two" in refused(
        ShapeError, lambda x: np.linalg.norm(x, 1), np.ones((2, 2, 2))
    )
    assert "a matrix norm needs two distinct axes" in refused(
        ShapeError, lambda x: np.linalg.norm(x, axis=(0, 0)), np.ones((2, 2))
    )
    assert "lstsq needs a matrix and a right-hand side with as many rows" in refused(
        ShapeError, np.linalg.lstsq, np.ones((2, 3, 2)), np.ones(3)
    )
    assert "tensorsolve needs as many equations as unknowns" in refused(
        ShapeError, np.linalg.tensorsolve, np.ones((2, 3)), np.ones(2)
    )
    assert "tensorinv needs a positive ind" in refused(ShapeError, lambda x: np.linalg.tensorinv(x, 0), np.eye(2))


def test_half_precision_is_refused() -> None:
    text = refused(DtypeError, np.linalg.inv, np.eye(2, dtype=np.float16))
    assert "solve is not defined for this dtype\n  expected: float32, float64, complex64 or complex128" in text
