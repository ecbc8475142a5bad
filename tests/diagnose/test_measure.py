"""The numbers themselves, against definitions written out in NumPy and against ``cr.grad``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from configurations import blobs, classify, mlp, regress, rnn, sequences

import chainrule as cr
from chainrule import nn, optim
from chainrule.base import trees
from chainrule.diagnose import diagnose
from chainrule.diagnose.inputs import input_facts
from chainrule.diagnose.probes import extreme_singular_values, noise_of_parts, noise_scale


def float64(model: Any) -> Any:
    return trees.map(lambda w: w.astype(np.float64), model)


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "gelu"])
def test_activations_and_gradients_of_each_layer(name: str) -> None:
    model = float64(mlp(3, 8, 16, 12, 3, activation=name))
    x, y = blobs(0)
    x = x.astype(np.float64)
    report = diagnose(model, classify, (x, y))
    function, h = nn.activations[name], x
    gradient = cr.grad(classify)(model, x, y)
    for index, (layer, row) in enumerate(zip(model.layers, report.layers, strict=True)):
        z = h @ layer.weight + layer.bias
        h = function(z) if index < 2 else z
        assert (row.mean, row.std, row.low, row.high) == pytest.approx((h.mean(), h.std(), h.min(), h.max()))
        assert row.zero == pytest.approx(np.mean(h == 0))
        assert row.rms == pytest.approx(np.sqrt(np.mean(z * z)))
        own = gradient.layers[index]
        expected = np.sqrt(np.sum(own.weight**2) + np.sum(own.bias**2))
        assert row.gradient == pytest.approx(expected)
        assert row.weight == pytest.approx(np.linalg.norm(layer.weight))

        def from_here(z: Any, index: int = index) -> Any:
            h = z
            for later in model.layers[index + 1 :]:
                h = function(h) @ later.weight + later.bias
            return nn.cross_entropy(h, y)

        assert row.delta == pytest.approx(np.linalg.norm(cr.grad(from_here)(z)))
        if index < 2:
            slope = np.array(cr.jvp(function, (z,), (np.ones_like(z),))[1])
            assert row.saturated == pytest.approx(np.mean(np.abs(slope) < 0.05 * row.steepest))
            assert row.dead == pytest.approx(np.mean((slope == 0).all(axis=0)))


def test_gain_and_singular_values_of_a_linear_layer() -> None:
    rng = np.random.default_rng(0)
    model = {"a": rng.standard_normal((4, 6)), "b": rng.standard_normal((6, 5))}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return np.mean((x @ p["a"] @ p["b"] - y) ** 2)

    x, y = rng.standard_normal((1, 4)), rng.standard_normal((1, 5))
    gain = diagnose(model, loss, (x, y)).layers[1].gain
    assert gain is not None
    delta = 2 * (x @ model["a"] @ model["b"] - y) / 5
    assert gain.actual == pytest.approx(np.linalg.norm(delta @ model["b"].T) / np.linalg.norm(delta))
    spectrum = np.linalg.svd(model["b"], compute_uv=False)
    assert (gain.largest, gain.smallest) == pytest.approx((spectrum[0], spectrum[-1]), rel=1e-6)


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (1, 4), (4, 1), (6, 6)])
def test_bidiagonalisation_finds_both_ends(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(1).standard_normal(shape)
    found = extreme_singular_values(lambda v: matrix @ v, lambda v: matrix.T @ v, shape[1], shape[0])
    spectrum = np.linalg.svd(matrix, compute_uv=False)
    assert found == pytest.approx((spectrum[0], spectrum[-1]), rel=1e-6)


def test_reach_through_time_is_a_product_of_jacobians() -> None:
    model, _ = rnn(0, 0.8)
    model = float64(model)
    x, y = sequences(0, rows=2, steps=5)
    x = x.astype(np.float64)

    def wide(params: Any, x: Any, y: Any) -> Any:
        def step(h: Any, x_t: Any) -> Any:
            return np.tanh(x_t @ params["input"] + h @ params["hidden"] + params["bias"]), None

        h, _ = cr.scan(step, np.zeros((2, 16)), np.moveaxis(x, 1, 0))
        return nn.cross_entropy(h @ params["output"], y)

    row = diagnose(model, wide, (x, y)).layers[0]
    cotangent = np.random.default_rng(0).standard_normal((2, 16))
    size, h, states = np.linalg.norm(cotangent), np.zeros((2, 16)), []
    for t in range(5):
        h = np.tanh(x[:, t] @ model["input"] + h @ model["hidden"])
        states.append(h)
    expected = [1.0]
    for t in range(3, -1, -1):
        cotangent = (cotangent @ model["hidden"].T) * (1 - states[t] ** 2)
        expected.append(np.linalg.norm(cotangent) / size)
    assert row.reach == pytest.approx(expected[::-1])


def test_update_ratio_and_step() -> None:
    model, batch = mlp(0, 8, 16, 3), blobs(0)
    rate = 0.5
    report = diagnose(model, classify, batch, optimizer=optim.sgd(rate))
    gradient = cr.grad(classify)(model, *batch)
    for layer, own, row in zip(model.layers, gradient.layers, report.layers, strict=True):
        assert row.update == pytest.approx(rate * np.linalg.norm(own.weight) / np.linalg.norm(layer.weight), rel=1e-4)
    found = report.findings.measurement
    square = sum(float(np.sum(np.square(g, dtype=np.float64))) for g in trees.leaves(gradient))
    assert found.predicted == pytest.approx(-rate * square, rel=1e-4)
    moved = trees.map(lambda w, g: w - np.float32(rate) * g, model, gradient)
    assert found.after == pytest.approx(float(classify(moved, *batch)), rel=1e-5)


def test_the_lowest_point_along_the_step_is_exact_on_a_parabola() -> None:
    model = {"w": np.ones((1, 1))}
    x, y = np.full((4, 1), 2.0), np.zeros((4, 1))
    # L = 4 w²: the step -rate·8w reaches the minimum at rate 1/8.
    report = diagnose(model, lambda p, x, y: np.mean((x @ p["w"] - y) ** 2), (x, y), optimizer=optim.sgd(0.5))
    step = report.findings.step_size
    assert step is not None
    assert step.best == pytest.approx(0.25)
    assert step.rises


def test_noise_scale_of_gradients_with_known_noise() -> None:
    rng = np.random.default_rng(0)
    mean, rows = np.full(10, 0.5), 4000
    gradients = mean + 3 * rng.standard_normal((rows, 10))
    each = float(np.mean(np.sum(gradients**2, axis=1)))
    whole = float(np.sum(gradients.mean(axis=0) ** 2))
    assert noise_scale(each, whole, rows) == pytest.approx(10 * 9 / (10 * 0.25), rel=0.1)
    assert np.isnan(noise_scale(1.0, 1.0, 1))
    assert noise_scale(2.0, 1e-9, 8) == np.inf


def test_both_ways_to_the_noise_scale_agree() -> None:
    model, (x, y) = mlp(0, 4, 16, 1, activation="tanh"), blobs(0, rows=2048, features=4)
    targets = (y - 1).astype(np.float32) + np.random.default_rng(0).standard_normal(2048).astype(np.float32)
    quick = diagnose(model, regress, (x, targets)).findings.noise
    parts = noise_of_parts(cr.grad(regress), model, (x, targets), parts=64)
    assert parts == pytest.approx(quick, rel=0.4)


def test_facts_of_inputs() -> None:
    x = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    assert input_facts(x).problem is None  # type: ignore[union-attr]
    x[:, 2] = 7.0
    facts = input_facts(x)
    assert facts is not None
    assert (facts.columns, facts.dead) == (4, 1)
    assert input_facts(np.arange(12).reshape(3, 4)) is None
    assert "larger than" in str(input_facts(0.001 * x[:, :2]).problem)  # type: ignore[union-attr]
    offset = np.concatenate([x[:, :2] / 10 + 4, x[:, :1] / 10 + 3], axis=1)
    assert "standard deviations from 0" in str(input_facts(offset).problem)  # type: ignore[union-attr]


def test_the_native_backend_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    model, batch = mlp(0, 8, 16, 16, 3, activation="tanh"), blobs(0)
    plain = diagnose(model, classify, batch).layers
    monkeypatch.setenv("CHAINRULE_JIT", "native")
    for a, b in zip(plain, diagnose(model, classify, batch).layers, strict=True):
        assert (a.mean, a.std, a.delta, a.gradient, a.saturated) == pytest.approx(
            (b.mean, b.std, b.delta, b.gradient, b.saturated), rel=1e-4, abs=1e-6
        )
