"""The fourteen edge cases that other libraries get wrong, each right here."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import NotDifferentiableError


@pytest.mark.parametrize("x", [[2.0, 0.0, 5.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [2.0, 3.0, 5.0]])
def test_prod_with_zeros(x: list[float]) -> None:
    x = np.array(x)
    others = [np.prod(np.delete(x, i)) for i in range(3)]
    np.testing.assert_array_equal(cr.grad(np.prod)(x), others)
    second = [[0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(3)] for i in range(3)]
    np.testing.assert_array_equal(cr.hessian(np.prod)(x), second)
    cr.check_grads(np.prod, (x,))
    cr.check_grads(lambda x: np.cumprod(x), (x,))


def test_sinc_at_zero_to_fourth_order() -> None:
    derivative, found = np.sinc, []
    for _ in range(4):
        derivative = cr.grad(derivative)
        found.append(derivative(0.0))
    # sinc(x) = 1 - (πx)²/3! + (πx)⁴/5! - …
    np.testing.assert_allclose(found, [0.0, -(math.pi**2) / 3, 0.0, math.pi**4 / 5], rtol=1e-13)
    around = np.array([-1e-300, 1e-9, -1e-4, 0.3, 0.47, 0.48, 1.0])
    expected = [
        (math.cos(math.pi * x) * math.pi * x - math.sin(math.pi * x)) / (math.pi * x * x) if abs(x) > 0.01
        else -(math.pi**2) * x / 3 + math.pi**4 * x**3 / 30
        for x in around
    ]  # fmt: skip
    np.testing.assert_allclose(cr.grad(lambda x: np.sinc(x).sum())(around), expected, rtol=1e-11)


def test_var_over_several_axes_in_forward_mode() -> None:
    x, t = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    for axis in (None, (0, 2), (-1, 0), (1,)):
        for options in ({}, {"ddof": 1}, {"keepdims": True}):
            found = cr.jvp(lambda x, a=axis, o=options: np.var(x, axis=a, **o), (x,), (t,))[1]
            axes = tuple(range(3)) if axis is None else axis
            count = math.prod(x.shape[a] for a in axes) - options.get("ddof", 0)
            off = x - x.mean(axes, keepdims=True)
            expected = (2 * off * t).sum(axis, keepdims=options.get("keepdims", False)) / count
            np.testing.assert_allclose(found, expected)


def test_x_times_x_is_one_line_used_twice() -> None:
    graph = cr.trace(lambda x: x * x)(3.0)
    assert [line.args for line in graph.lines] == [(), (0, 0)]
    assert cr.grad(lambda x: x * x)(3.0) == 6.0
    assert cr.hessian(lambda x: x * x)(3.0) == 2.0
    assert cr.jvp(lambda x: x * x, (3.0,), (1.0,))[1] == 6.0
    np.testing.assert_array_equal(cr.grad(lambda x: x @ x)(np.array([1.0, 2.0])), [2.0, 4.0])


def test_ties_share_the_cotangent_equally() -> None:
    x = np.array([3.0, 1.0, 3.0, 3.0])
    for f in (np.max, lambda x: -np.min(-x), lambda x: np.sort(x)[1:].mean(), np.nanmax):
        np.testing.assert_allclose(cr.grad(f)(x), [1 / 3, 0, 1 / 3, 1 / 3])
    np.testing.assert_array_equal(cr.grad(np.ptp)(np.ones(4)), np.zeros(4))
    assert cr.grad(lambda a: np.maximum(a, 2.0))(2.0) == 0.5
    assert cr.grad(lambda a: np.minimum(a, a))(2.0) == 1.0
    np.testing.assert_allclose(cr.jvp(np.max, (x,), (np.array([3.0, 9.0, 6.0, 0.0]),))[1], 3.0)
    np.testing.assert_array_equal(
        cr.grad(lambda x: np.max(x, axis=1).sum())(np.array([[1.0, 1.0], [0.0, 2.0]])), [[0.5, 0.5], [0.0, 1.0]]
    )


def test_sqrt_at_zero() -> None:
    assert cr.grad(np.sqrt)(0.0) == math.inf
    # Nothing arrives at the root, so nothing is passed on, however steep it is.
    assert cr.grad(lambda x: np.where(x > 0, np.sqrt(x), 0.0))(0.0) == 0.0
    assert cr.grad(lambda x: 0.0 * np.sqrt(x))(0.0) == 0.0
    assert cr.grad(lambda x: np.std(x * np.ones(3)))(1.0) == 0.0
    assert cr.grad(lambda x: np.hypot(x, 0.0 * x))(0.0) == 0.0
    assert cr.grad(lambda z: np.abs(z + 0j))(0.0) == 0.0


def test_x_to_the_power_of_zero_at_zero() -> None:
    for exponent in (0, 0.0, np.array(0.0), np.float64(0)):
        value, gradient = cr.value_and_grad(lambda x, p=exponent: x**p)(0.0)
        assert (value, gradient) == (1.0, 0.0)
    x = np.zeros(4)
    np.testing.assert_array_equal(cr.grad(lambda x: (x ** np.array([0.0, 1.0, 2.0, 3.0])).sum())(x), [0, 1, 0, 0])
    np.testing.assert_array_equal(
        np.diag(cr.hessian(lambda x: (x ** np.array([0.0, 1.0, 2.0, 3.0])).sum())(x)), [0, 0, 2, 0]
    )
    assert cr.grad(lambda p: np.power(0.0, p))(2.0) == 0.0  # log 0 does not reach the result
    assert cr.grad(lambda x: np.polyval(np.stack([1.0, x]), 0.0))(5.0) == 1.0


def test_norm_at_zero() -> None:
    for f in (np.linalg.norm, lambda x: np.linalg.norm(x, axis=0), lambda x: np.linalg.vector_norm(x)):
        np.testing.assert_array_equal(cr.grad(f)(np.zeros(3)), np.zeros(3))
        np.testing.assert_array_equal(cr.jvp(f, (np.zeros(3),), (np.ones(3),))[1], 0.0)
    rows = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(cr.grad(lambda x: np.linalg.norm(x, axis=1).sum())(rows), [[0.0, 0.0], [0.6, 0.8]])


@pytest.mark.parametrize("bad", [np.sqrt, np.log, lambda x: 1 / x, lambda x: x**-0.5, lambda x: np.arccos(x + 2)])
def test_where_guards_a_branch_that_is_nan(bad: Any) -> None:
    def f(x: Any) -> Any:
        return np.where(x > 0, x**3, bad(x * 0 - np.where(x > 0, 1.0, -0.25))).sum()

    x = np.array([2.0, 1.0])
    np.testing.assert_array_equal(cr.grad(f)(x), 3 * x**2)
    np.testing.assert_array_equal(cr.jvp(f, (x,), (np.ones(2),))[1], (3 * x**2).sum())
    np.testing.assert_array_equal(cr.hessian(f)(x), np.diag(6 * x))
    np.testing.assert_array_equal(cr.jacobian(cr.grad(f))(x), np.diag(6 * x))


def test_broadcasting_of_size_one_and_no_axes() -> None:
    shapes: list[tuple[int, ...]] = [(), (1,), (3,), (1, 1), (2, 1), (1, 3), (2, 3), (0,), (2, 1, 1)]
    rng = np.random.default_rng(0)
    for a in shapes:
        for b in shapes:
            try:
                out = np.broadcast_shapes(a, b)
            except ValueError:
                continue
            x, y, w = rng.normal(size=a), rng.normal(size=b), rng.normal(size=out)
            gx, gy = cr.grad(lambda x, y: (w * (x * y + x)).sum(), argnums=(0, 1))(x, y)  # noqa: B023
            assert (np.shape(gx), np.shape(gy)) == (a, b)
            ones = np.ones(out)
            np.testing.assert_allclose(gx, _summed(w * (y + ones), a))
            np.testing.assert_allclose(gy, _summed(w * (x * ones), b))
            tangent = cr.jvp(lambda x, y: x * y, (x, y), (np.ones(a), np.ones(b)))[1]
            np.testing.assert_allclose(tangent, (x + y) * ones)


def _summed(w: Any, shape: tuple[int, ...]) -> Any:
    w = w.sum(tuple(range(w.ndim - len(shape))))
    return w.sum(tuple(i for i, n in enumerate(shape) if n == 1 and w.shape[i] != 1), keepdims=True)


@pytest.mark.parametrize(("value", "dtype"), [(2, "int64"), (True, "bool"), (np.arange(3), "int64")])
def test_integer_and_bool_inputs(value: Any, dtype: str) -> None:
    with pytest.raises(NotDifferentiableError) as error:
        cr.grad(lambda x: np.sum(x * 1.0))(value)
    assert str(error.value).startswith(
        "grad with respect to an argument that is not of float dtype\n"
        f"  expected: x of a float or complex dtype\n  got: x of dtype {dtype}\n"
    )
    assert "pass it as a float (2.0, not 2; x.astype(float)), or choose other argnums than x's" in str(error.value)


def test_integers_beside_floats_pass_through() -> None:
    def f(x: Any, i: Any, mask: Any) -> Any:
        return (x[i] * np.where(mask, 2.0, i)).sum()

    found = cr.grad(f)(np.array([1.0, 2.0, 3.0]), np.array([2, 0]), np.array([True, False]))
    np.testing.assert_array_equal(found, [0.0, 0.0, 2.0])


def test_output_that_does_not_depend_on_the_input() -> None:
    x = np.ones((2, 3))
    for f in (lambda x: 1.5, lambda x: np.float64(2), lambda x: np.zeros(()), lambda x: np.zeros_like(x).sum(),
              lambda x: np.round(x).sum(), lambda x: cr.stop_gradient(x).sum(), lambda x: float(x.size)):  # fmt: skip
        found = cr.grad(f)(x)
        assert found.shape == (2, 3)
        assert not found.any()
        assert cr.jvp(f, (x,), (x,))[1] == 0.0
    gx, gy = cr.grad(lambda x, y: x**2, argnums=(0, 1))(3.0, np.ones(2))
    assert gx == 6.0
    np.testing.assert_array_equal(gy, np.zeros(2))
    np.testing.assert_array_equal(cr.jacobian(lambda x: np.ones(2))(x), np.zeros((2, 2, 3)))
    np.testing.assert_array_equal(cr.hessian(lambda x: x.sum())(np.ones(2)), np.zeros((2, 2)))


def test_backward_twice_gives_the_same() -> None:
    x = np.array([1.0, 2.0, 3.0])
    out, pullback = cr.vjp(lambda x: np.exp(x) * x, x)
    first = pullback(np.ones(3))[0]
    first[:] = 7.0  # results belong to the caller
    out[:] = 7.0
    x[:] = 0.0
    expected = np.exp([1.0, 2.0, 3.0]) * (1 + np.array([1.0, 2.0, 3.0]))
    for _ in range(2):
        np.testing.assert_allclose(pullback(np.ones(3))[0], expected)
    np.testing.assert_allclose(pullback(2 * np.ones(3))[0], 2 * expected)


def test_a_chain_of_100_000_lines(unchecked_graphs: None) -> None:
    assert sys.getrecursionlimit() < 20_000
    n = 100_000

    def chain(x: Any, n: int = n) -> Any:
        for _ in range(n // 2):
            x = x * 0.99999 + 1e-5
        return x

    value, gradient = cr.value_and_grad(chain)(3.0)
    np.testing.assert_allclose(gradient, 0.99999 ** (n // 2), rtol=1e-9)
    np.testing.assert_allclose(value, chain(3.0))
    tangent = cr.jvp(lambda x: chain(x, n // 5), (3.0,), (1.0,))[1]  # still far beyond any recursion limit
    np.testing.assert_allclose(tangent, 0.99999 ** (n // 10), rtol=1e-9)
