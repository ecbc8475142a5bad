"""The first page of tests: const, plus, sum, matmul, grad, jit, a digits step.  A second, and it says what broke."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.data import digits


def test_const() -> None:
    graph = cr.trace(lambda: np.float64(2.5))()
    assert graph() == [2.5]
    assert str(graph) == "graph() -> f64[]:\n  return 2.5"


def test_plus() -> None:
    graph = cr.trace(lambda x, y: x + y)(1.0, 2.0)
    assert [line.op.name for line in graph.lines] == ["input", "input", "add"]
    assert graph(np.float64(3.0), np.float64(4.0)) == [7.0]


def test_sum() -> None:
    x = np.arange(6.0).reshape(2, 3)
    (found,) = cr.trace(lambda x: np.sum(x, axis=0))(x)(x)
    np.testing.assert_array_equal(found, [3.0, 5.0, 7.0])


def test_matmul() -> None:
    x, w = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    (found,) = cr.trace(lambda x, w: x @ w)(x, w)(x, w)
    np.testing.assert_array_equal(found, x @ w)


def test_grad() -> None:
    def loss(w: float, b: float, x: float, y: float) -> float:
        return (np.maximum(w * x + b, 0) - y) ** 2

    gradient = cr.grad(loss, argnums=(0, 1))
    assert gradient(0.5, 0.0, 2.0, 0.0) == (4.0, 2.0)
    assert gradient(0.5, 0.0, 2.0, 1.0) == (0.0, 0.0)


def test_grad_of_grad() -> None:
    assert cr.grad(cr.grad(lambda x: x**3))(2.0) == 12.0


def test_jit() -> None:
    calls = []

    @cr.jit
    def f(x):  # type: ignore[no-untyped-def]
        calls.append(x)
        return np.sin(x) * 2

    x = np.array([0.0, 1.0])
    np.testing.assert_array_equal(f(x), np.sin(x) * 2)
    np.testing.assert_array_equal(f(-x), np.sin(-x) * 2)
    assert len(calls) == 1


def test_vmap() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(cr.vmap(lambda row: np.dot(row, row))(x), (x * x).sum(1))


def test_digits_step() -> None:
    if importlib.util.find_spec("sklearn") is None:
        pytest.skip("the packaged digits come with scikit-learn")
    train = digits().train
    x, y = train.x[:64], train.y[:64]
    model = nn.MLP.init([x.shape[1], 16, 10], rng=np.random.default_rng(0))
    optimizer = optim.sgd(0.1)

    def loss(model, x, y):  # type: ignore[no-untyped-def]
        return nn.cross_entropy(model(x), y)

    before, gradient = cr.value_and_grad(loss)(model, x, y)
    updates, _ = optimizer.update(gradient, optimizer.init(model), model)
    after = loss(optim.apply_updates(model, updates), x, y)
    assert after < before
    assert before == pytest.approx(np.log(10), abs=1)
