"""Layers read from graphs: which there are, in what order, with what activation, whatever the code looks like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from configurations import HEALTHY, blobs, classify, mlp, normal, rnn, sequences

import chainrule as cr
from chainrule import nn
from chainrule.base import trees
from chainrule.diagnose.diagnosis import read
from chainrule.diagnose.shapes import curve_of
from chainrule.diagnose.structure import Network
from chainrule.explain.unroll import flat


def network(model: Any, loss: Any, *batch: Any) -> Network:
    return read(model, loss, (model, *batch))[0]


def shown(found: Network) -> list[tuple[str, int, str, bool, bool]]:
    return [
        (
            layer.name, layer.level,
            ", ".join(dict.fromkeys(a.curve.name for a in found.blocks[layer.blocks[0]].activations)),
            layer.recurrent, layer.output,
        )
        for layer in found.layers
    ]  # fmt: skip


RNG = np.random.default_rng(0)
PLAIN = {"w1": normal(RNG, 8, 16, std=0.4), "b1": np.zeros(16, np.float32), "w2": normal(RNG, 16, 3, std=0.3)}


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu", "softplus", "leaky_relu"])
def test_activations_of_nn(name: str) -> None:
    found = network(mlp(0, 8, 16, 16, 3, activation=name), classify, *blobs(0))
    assert shown(found) == [
        ("layers[0]", 0, name, False, False), ("layers[1]", 1, name, False, False), ("layers[2]", 2, "", False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (lambda z: np.maximum(z, 0), "relu"),
        (lambda z: z * (z > 0), "relu"),
        (lambda z: np.where(z > 0, z, 0), "relu"),
        (lambda z: 1 / (1 + np.exp(-z)), "sigmoid"),
        (lambda z: 0.5 * (1 + np.tanh(z / 2)), "sigmoid"),
        (lambda z: 2 / (1 + np.exp(-2 * z)) - 1, "tanh"),
        (lambda z: np.log1p(np.exp(z)), "softplus"),
        (lambda z: np.clip(z, -1, 1), "bounded"),
        (lambda z: np.sin(z), "other"),
    ],
)  # fmt: skip
def test_activations_written_by_hand_are_told_by_their_curve(write: Any, name: str) -> None:
    def loss(p: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(write(x @ p["w1"] + p["b1"]) @ p["w2"], y)

    assert shown(network(PLAIN, loss, *blobs(0))) == [
        ("['w1']", 0, name, False, False), ("['w2']", 1, "", False, True),
    ]  # fmt: skip


def test_a_bias_belongs_to_the_layer_it_is_added_to() -> None:
    def loss(p: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(np.tanh(p["b1"] + np.einsum("ij,jk->ik", x, p["w1"])) @ p["w2"], y)

    found = network(PLAIN, loss, *blobs(0))
    assert [[found.paths[i] for i in (*layer.weights, *layer.biases)] for layer in found.layers] == [
        ["['w1']", "['b1']"], ["['w2']"],
    ]  # fmt: skip


def test_a_scan_is_unrolled_and_its_steps_are_uses_of_one_layer() -> None:
    model, loss = rnn(0, 1.0)
    x, y = sequences(0, steps=7)
    found = network(model, loss, x, y)
    assert shown(found) == [
        ("['hidden'] + ['input']", 0, "tanh", True, False), ("['output']", 1, "", False, True),
    ]  # fmt: skip
    assert len(found.layers[0].blocks) == 7


def test_an_unrolled_graph_has_the_same_value() -> None:
    def f(w: Any, xs: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = np.tanh(x + h @ w)
            return h, (h.sum(), h * 2)

        last, (sums, twice) = cr.scan(step, np.ones(3), xs)
        back, _ = cr.scan(step, last, xs, reverse=True)
        return cr.checkpoint(lambda z: np.sin(z).sum())(last) + sums.sum() + (twice * back).sum()

    w, xs = np.random.default_rng(0).standard_normal((3, 3)), np.random.default_rng(1).standard_normal((5, 3))
    graph = cr.trace(f)(w, xs)
    unrolled = flat(graph)
    assert not {line.op.name for line in unrolled.lines} & {"scan", "call"}
    assert unrolled(w, xs)[0] == pytest.approx(graph(w, xs)[0], rel=1e-14)


def test_residual_layers_are_in_order_and_each_has_its_activation() -> None:
    case = HEALTHY["residual_ten_blocks"](0)
    found = network(case.model, case.loss, *case.batch)
    assert len(found.layers) == 22
    assert [layer.level for layer in found.layers] == list(range(22))
    assert [name for _, _, name, _, _ in shown(found)] == ["", *["relu", ""] * 10, ""]


def test_gates_of_one_product_and_a_normalisation_between() -> None:
    lstm = HEALTHY["lstm"](0)
    assert shown(network(lstm.model, lstm.loss, *lstm.batch))[0][2:4] == ("sigmoid, tanh", True)
    normed = HEALTHY["layer_norm_eight_layers"](0)
    found = shown(network(normed.model, normed.loss, *normed.batch))
    assert [name for _, _, name, _, _ in found] == [*["relu"] * 8, ""]


def test_a_model_of_scalars_is_a_layer() -> None:
    def loss(p: Any, x: Any, y: Any) -> Any:
        return np.mean((p["slope"] * x + p["offset"] - y) ** 2)

    model = {"slope": np.ones(()), "offset": np.zeros(())}
    found = network(model, loss, np.arange(4.0), np.arange(4.0))
    assert [layer.name for layer in found.layers] == ["['slope']"]
    assert [trees.paths(model)[i] for i in found.layers[0].biases] == ["['offset']"]


def test_queries_keys_and_values_are_side_by_side() -> None:
    rng = np.random.default_rng(0)
    model = {name: normal(rng, 8, 8, std=0.35) for name in ("q", "k", "v", "out")}

    def loss(p: Any, x: Any, y: Any) -> Any:
        weights = nn.softmax((x @ p["q"]) @ np.swapaxes(x @ p["k"], 1, 2) / np.sqrt(8))
        return np.mean((weights @ (x @ p["v"]) @ p["out"] - y) ** 2)

    x = rng.standard_normal((5, 6, 8)).astype(np.float32)
    found = network(model, loss, x, x)
    assert {layer.name: layer.level for layer in found.layers} == {"['q']": 0, "['k']": 0, "['v']": 0, "['out']": 1}


def test_a_curve_that_is_bounded_saturates() -> None:
    assert curve_of(lambda z: np.clip(z, 0, 1)).saturates
    assert not curve_of(lambda z: z).saturates
    assert curve_of(lambda z: np.maximum(z, 0)).rectifies
