"""Training set-ups with at most one known fault: half of them healthy, half ill, each drawn from a seed.

A configuration is a function of the seed that returns a :class:`Case`; ``HEALTHY`` and ``ILL`` list them by name.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule as cr
from chainrule import nn, optim
from chainrule.base import trees

Array = Any


@dataclasses.dataclass(frozen=True)
class Case:
    """What ``diagnose`` is called with, and what it should say: the kind of the first verdict (None: healthy) and the
    layers it should name (None: any)."""

    model: Any
    loss: Callable[..., Any]
    batch: tuple[Any, ...]
    kind: str | None = None
    layers: tuple[str, ...] | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


Make = Callable[[int], Case]
HEALTHY: dict[str, Make] = {}
ILL: dict[str, Make] = {}


def healthy(make: Make) -> Make:
    HEALTHY[make.__name__] = make
    return make


def ill(make: Make) -> Make:
    ILL[make.__name__] = make
    return make


# ------------------------------------------------------------------------------------------------------------- problems


def blobs(seed: int, rows: int = 128, features: int = 8, classes: int = 3, noise: float = 1.0) -> tuple[Array, Array]:
    """Standardised points around one centre per class."""
    rng = np.random.default_rng(1000 + seed)
    y = rng.integers(0, classes, rows)
    x = 2 * rng.standard_normal((classes, features))[y] + noise * rng.standard_normal((rows, features))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


def spiral(seed: int, rows: int = 120) -> tuple[Array, Array]:
    """Three arms, in a disc of radius 2: columns of variance about 1."""
    rng = np.random.default_rng(2000 + seed)
    y = np.arange(rows) % 3
    radius = np.sqrt(rng.random(rows))
    angle = 4 * radius + 2 * np.pi / 3 * y + 0.2 * rng.standard_normal(rows)
    return (2 * np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)).astype(np.float32), y


def curve(seed: int, rows: int = 128) -> tuple[Array, Array]:
    """A smooth function of four inputs, standardised."""
    rng = np.random.default_rng(3000 + seed)
    x = rng.standard_normal((rows, 4)).astype(np.float32)
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * rng.standard_normal(rows)
    return x, ((y - y.mean()) / y.std()).astype(np.float32)


def sequences(seed: int, rows: int = 32, steps: int = 20) -> tuple[Array, Array]:
    """Rows of steps with four features; the class is the sign of the first step's first feature."""
    rng = np.random.default_rng(4000 + seed)
    x = rng.standard_normal((rows, steps, 4)).astype(np.float32)
    return x, (x[:, 0, 0] > 0).astype(np.int64)


# --------------------------------------------------------------------------------------------------------------- models


def mlp(seed: int, *sizes: int, activation: str = "relu", weight_init: Any = None) -> nn.MLP:
    return nn.MLP.init(sizes, activation=activation, weight_init=weight_init, rng=np.random.default_rng(seed))


def classify(model: Any, x: Any, y: Any) -> Any:
    return nn.cross_entropy(model(x), y)


def regress(model: Any, x: Any, y: Any) -> Any:
    return nn.mse(model(x)[:, 0], y)


def scaled(model: Any, factor: float) -> Any:
    """The model with its matrices multiplied."""
    return trees.map(lambda w: w * np.float32(factor) if w.ndim >= 2 else w, model)


def with_bias(model: nn.MLP, layer: int, value: float) -> nn.MLP:
    """The network with one layer's biases set."""
    layers = list(model.layers)
    layers[layer] = nn.Linear(layers[layer].weight, np.full_like(layers[layer].bias, value))
    return dataclasses.replace(model, layers=tuple(layers))


def normal(rng: np.random.Generator, *shape: int, std: float) -> Array:
    return (std * rng.standard_normal(shape)).astype(np.float32)


def rnn(seed: int, scale: float, activation: str = "tanh") -> tuple[dict[str, Array], Callable[..., Any]]:
    """A recurrent network over ``cr.scan`` whose recurrent weights are orthogonal times ``scale``."""
    rng = np.random.default_rng(seed)
    params = {
        "hidden": (scale * nn.init.orthogonal(rng, (16, 16))).astype(np.float32),
        "input": normal(rng, 4, 16, std=0.3), "bias": np.zeros(16, np.float32), "output": normal(rng, 16, 2, std=0.25),
    }  # fmt: skip
    act = nn.activations[activation]

    def loss(params: Any, x: Any, y: Any) -> Any:
        def step(h: Any, x_t: Any) -> Any:
            h = act(x_t @ params["input"] + h @ params["hidden"] + params["bias"])
            return h, None

        h, _ = cr.scan(step, np.zeros((x.shape[0], 16), np.float32), np.moveaxis(x, 1, 0))
        return nn.cross_entropy(h @ params["output"], y)

    return params, loss


RNN_LAYER = "['hidden'] + ['input']"

# -------------------------------------------------------------------------------------------------------------- healthy

ADAM: dict[str, Any] = {"learning_rate": 1e-3}


@healthy
def relu_he(seed: int) -> Case:
    return Case(mlp(seed, 8, 64, 64, 3), classify, blobs(seed), options=ADAM)


@healthy
def relu_he_six_layers_spiral(seed: int) -> Case:
    return Case(mlp(seed, 2, *[24] * 6, 3), classify, spiral(seed), options=ADAM)


@healthy
def tanh_glorot(seed: int) -> Case:
    return Case(mlp(seed, 8, 32, 32, 32, 3, activation="tanh"), classify, blobs(seed), options=ADAM)


@healthy
def tanh_glorot_ten_layers(seed: int) -> Case:
    return Case(mlp(seed, 8, *[32] * 10, 3, activation="tanh"), classify, blobs(seed), options=ADAM)


@healthy
def selu_lecun_ten_layers(seed: int) -> Case:
    return Case(mlp(seed, 8, *[32] * 10, 3, activation="selu"), classify, blobs(seed), options=ADAM)


@healthy
def gelu_he(seed: int) -> Case:
    return Case(mlp(seed, 8, 64, 64, 3, activation="gelu"), classify, blobs(seed), options=ADAM)


@healthy
def leaky_relu_he_twelve_layers(seed: int) -> Case:
    return Case(mlp(seed, 8, *[32] * 12, 3, activation="leaky_relu"), classify, blobs(seed), options=ADAM)


@healthy
def regression_tanh(seed: int) -> Case:
    return Case(mlp(seed, 4, 32, 32, 1, activation="tanh"), regress, curve(seed), options=ADAM)


@healthy
def linear_regression_sgd(seed: int) -> Case:
    model = {"w": normal(np.random.default_rng(seed), 4, 1, std=0.5), "b": np.zeros(1, np.float32)}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return np.mean(((x @ p["w"] + p["b"])[:, 0] - y) ** 2)

    return Case(model, loss, curve(seed), options={"optimizer": optim.sgd(0.1)})


@healthy
def binary_cross_entropy(seed: int) -> Case:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return nn.binary_cross_entropy_with_logits(model(x)[:, 0], y)

    x, y = blobs(seed, classes=2)
    return Case(mlp(seed, 8, 32, 32, 1), loss, (x, y.astype(np.float32)), options=ADAM)


@healthy
def residual_ten_blocks(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    model = {
        "in": normal(rng, 8, 32, std=0.35), "out": normal(rng, 32, 3, std=0.18),
        "blocks": [(normal(rng, 32, 32, std=0.25), normal(rng, 32, 32, std=0.06)) for _ in range(10)],
    }  # fmt: skip

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = x @ p["in"]
        for first, second in p["blocks"]:
            h = h + np.maximum(h @ first, 0) @ second
        return nn.cross_entropy(h @ p["out"], y)

    return Case(model, loss, blobs(seed), options=ADAM)


@healthy
def layer_norm_eight_layers(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    sizes = [8, *[32] * 8]
    model = {
        "layers": [
            {"w": normal(rng, a, b, std=(2 / a) ** 0.5), "scale": np.ones(b, np.float32),
             "shift": np.zeros(b, np.float32)}
            for a, b in itertools.pairwise(sizes)
        ],
        "out": normal(rng, 32, 3, std=0.25),
    }  # fmt: skip

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = x
        for layer in p["layers"]:
            z = h @ layer["w"]
            z = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + 1e-5)
            h = np.maximum(z * layer["scale"] + layer["shift"], 0)
        return nn.cross_entropy(h @ p["out"], y)

    return Case(model, loss, blobs(seed), options=ADAM)


@healthy
def recurrent_orthogonal(seed: int) -> Case:
    model, loss = rnn(seed, 1.0)
    return Case(model, loss, sequences(seed, steps=12), options=ADAM)


@healthy
def lstm(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    bias = np.zeros(64, np.float32)
    bias[16:32] = 2.0  # the forget gate starts open
    model = {"gates": normal(rng, 20, 64, std=0.22), "bias": bias, "output": normal(rng, 16, 2, std=0.25)}

    def loss(p: Any, x: Any, y: Any) -> Any:
        h = c = np.zeros((x.shape[0], 16), np.float32)
        for t in range(x.shape[1]):
            z = np.concatenate([x[:, t], h], axis=1) @ p["gates"] + p["bias"]
            c = nn.sigmoid(z[:, 16:32]) * c + nn.sigmoid(z[:, :16]) * np.tanh(z[:, 48:])
            h = nn.sigmoid(z[:, 32:48]) * np.tanh(c)
        return nn.cross_entropy(h @ p["output"], y)

    return Case(model, loss, sequences(seed, steps=12), options=ADAM)


@healthy
def embedding_mean(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    model = {
        "table": normal(rng, 50, 16, std=1.0), "hidden": normal(rng, 16, 16, std=0.5),
        "out": normal(rng, 16, 4, std=0.3),
    }  # fmt: skip
    words = rng.integers(0, 50, (64, 6))

    def loss(p: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(np.tanh(p["table"][x].mean(axis=1) @ p["hidden"]) @ p["out"], y)

    return Case(model, loss, (words, words[:, 0] % 4), options=ADAM)


@healthy
def zero_output_layer(seed: int) -> Case:
    model = mlp(seed, 8, 32, 32, 3)
    last = nn.Linear(np.zeros((32, 3), np.float32), np.zeros(3, np.float32))
    return Case(dataclasses.replace(model, layers=(*model.layers[:-1], last)), classify, blobs(seed), options=ADAM)


@healthy
def after_training(seed: int) -> Case:
    x, y = blobs(seed)
    model = mlp(seed, 8, 32, 32, 3, activation="tanh")
    trained = cr.train.fit(model, classify, (x, y), epochs=15, batch_size=32, rng=seed, progress=False).model
    return Case(trained, classify, (x, y), options=ADAM)


@healthy
def playground_tanh(seed: int) -> Case:
    # With two units per layer some draws do start with next to no gradient, and are called so.
    rng = np.random.default_rng(seed)
    x = rng.uniform(-5, 5, (250, 2)).astype(np.float32)
    y = np.where(x[:, 0] * x[:, 1] >= 0, 1.0, -1.0).astype(np.float32)
    draws = [(rng.uniform(-0.5, 0.5, (a, b)), np.full(b, 0.1)) for a, b in ((2, 8), (8, 8), (8, 1))]
    model = nn.MLP(tuple(nn.Linear(w.astype(np.float32), b.astype(np.float32)) for w, b in draws), "tanh")

    def loss(model: Any, x: Any, y: Any) -> Any:
        return 0.5 * np.mean((np.tanh(model(x))[:, 0] - y) ** 2)

    return Case(model, loss, (x, y), options={"optimizer": optim.sgd(0.03)})


# ------------------------------------------------------------------------------------------------------------------ ill


@ill
def sigmoid_six_layers_spiral(seed: int) -> Case:
    model = mlp(seed, 2, *[24] * 6, 3, activation="sigmoid")
    return Case(model, classify, spiral(seed), "vanishing", ("layers[0]", "layers[6]"), ADAM)


@ill
def tanh_small_weights(seed: int) -> Case:
    model = scaled(mlp(seed, 8, *[32] * 6, 3, activation="tanh"), 0.3)
    return Case(model, classify, blobs(seed), "vanishing", ("layers[0]", "layers[6]"), ADAM)


@ill
def relu_small_weights(seed: int) -> Case:
    model = scaled(mlp(seed, 8, *[32] * 5, 3), 0.3)
    return Case(model, classify, blobs(seed), "vanishing", ("layers[0]", "layers[5]"), ADAM)


@ill
def relu_large_weights(seed: int) -> Case:
    model = scaled(mlp(seed, 8, *[32] * 6, 3), 3.0)
    return Case(model, classify, blobs(seed), "exploding", ("layers[0]", "layers[6]"), ADAM)


@ill
def gelu_large_weights(seed: int) -> Case:
    model = scaled(mlp(seed, 8, *[32] * 6, 3, activation="gelu"), 3.0)
    return Case(model, classify, blobs(seed), "exploding", ("layers[0]", "layers[6]"), ADAM)


@ill
def dead_second_layer(seed: int) -> Case:
    model = with_bias(mlp(seed, 8, 32, 32, 32, 3), 1, -8.0)
    return Case(model, classify, blobs(seed), "dead_relu", ("layers[1]",), ADAM)


@ill
def dead_first_layer(seed: int) -> Case:
    model = with_bias(mlp(seed, 8, 64, 32, 3), 0, -6.0)
    return Case(model, classify, blobs(seed), "dead_relu", ("layers[0]",), ADAM)


@ill
def saturated_tanh(seed: int) -> Case:
    model = scaled(mlp(seed, 8, 32, 32, 32, 3, activation="tanh"), 10.0)
    return Case(model, classify, blobs(seed), "saturated", ("layers[0]", "layers[1]", "layers[2]"), ADAM)


@ill
def saturated_sigmoid_layer(seed: int) -> Case:
    model = mlp(seed, 8, 32, 32, 3, activation="sigmoid")
    return Case(with_bias(model, 1, 12.0), classify, blobs(seed), "saturated", ("layers[1]",), ADAM)


@ill
def zero_weights(seed: int) -> Case:
    model = mlp(seed, 8, 32, 32, 3, weight_init="zeros")
    return Case(model, classify, blobs(seed), "symmetric", ("layers[0]", "layers[1]"), ADAM)


@ill
def equal_weights(seed: int) -> Case:
    model = mlp(seed, 8, 32, 32, 3, activation="tanh", weight_init=nn.init.constant(0.1))
    return Case(model, classify, blobs(seed), "symmetric", ("layers[0]", "layers[1]"), ADAM)


@ill
def rate_too_high_sgd(seed: int) -> Case:
    return Case(mlp(seed, 8, 32, 32, 3), classify, blobs(seed), "rate_high", None, {"optimizer": optim.sgd(30.0)})


@ill
def rate_too_high_adam(seed: int) -> Case:
    model = mlp(seed, 4, 32, 32, 1, activation="tanh")
    return Case(model, regress, curve(seed), "rate_high", None, {"learning_rate": 1.0})


@ill
def rate_too_low_sgd(seed: int) -> Case:
    return Case(mlp(seed, 8, 32, 32, 3), classify, blobs(seed), "rate_low", None, {"optimizer": optim.sgd(1e-5)})


@ill
def rate_too_low_adam(seed: int) -> Case:
    return Case(mlp(seed, 8, 32, 32, 3), classify, blobs(seed), "rate_low", None, {"learning_rate": 1e-7})


@ill
def sigmoid_with_squared_error(seed: int) -> Case:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return np.mean((1 / (1 + np.exp(-model(x)[:, 0])) - y) ** 2)

    x, y = blobs(seed, classes=2)
    return Case(mlp(seed, 8, 32, 1), loss, (x, y.astype(np.float32)), "loss_pair", ("layers[1]",), ADAM)


@ill
def softmax_twice(seed: int) -> Case:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(nn.softmax(model(x)), y)

    return Case(mlp(seed, 8, 32, 3), loss, blobs(seed), "loss_pair", ("layers[1]",), ADAM)


@ill
def softmax_without_shift(seed: int) -> Case:
    def loss(model: Any, x: Any, y: Any) -> Any:
        raised = np.exp(model(x))
        p = raised / raised.sum(axis=1, keepdims=True)
        return -np.mean(np.log(np.take_along_axis(p, y[:, None], axis=1)))

    return Case(mlp(seed, 8, 32, 3), loss, blobs(seed), "loss_pair", ("layers[1]",), ADAM)


@ill
def inputs_to_255(seed: int) -> Case:
    x, y = blobs(seed)
    x = np.clip(128 + 60 * x, 0, 255).astype(np.float32)
    return Case(mlp(seed, 8, 32, 32, 3), classify, (x, y), "unscaled_inputs", ("layers[0]",), ADAM)


@ill
def one_large_column(seed: int) -> Case:
    x, y = blobs(seed)
    x[:, 3] = 2000 + 500 * x[:, 3]
    model = mlp(seed, 8, 32, 32, 3, activation="tanh")
    return Case(model, classify, (x, y), "unscaled_inputs", ("layers[0]",), ADAM)


@ill
def labels_from_one(seed: int) -> Case:
    x, y = blobs(seed)
    return Case(mlp(seed, 8, 32, 3), classify, (x, y + 1), "label_range", ("layers[1]",), ADAM)


@ill
def labels_of_another_shape(seed: int) -> Case:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return np.mean((model(x) - y) ** 2)

    return Case(mlp(seed, 4, 32, 1), loss, curve(seed), "label_shape", ("layers[1]",), ADAM)


@ill
def targets_beyond_tanh(seed: int) -> Case:
    def loss(model: Any, x: Any, y: Any) -> Any:
        return nn.mse(np.tanh(model(x))[:, 0], y)

    x, y = curve(seed)
    return Case(mlp(seed, 4, 32, 1), loss, (x, 5 * y), "label_range", ("layers[1]",), ADAM)


@ill
def decay_that_kills(seed: int) -> Case:
    optimizer = optim.sgd(0.1, weight_decay=5.0)
    return Case(mlp(seed, 8, 32, 32, 3), classify, blobs(seed), "weight_decay", None, {"optimizer": optimizer})


@ill
def batch_of_two(seed: int) -> Case:
    x, y = curve(seed, rows=256)
    y = (0.1 * y + 2 * np.random.default_rng(seed).standard_normal(256)).astype(np.float32)
    y -= y.mean()
    options = {"batch_size": 2, "learning_rate": 1e-3}
    return Case(scaled(mlp(seed, 4, 16, 1, activation="tanh"), 0.5), regress, (x, y), "batch_small", None, options)


@ill
def recurrent_small(seed: int) -> Case:
    model, loss = rnn(seed, 0.3)
    return Case(model, loss, sequences(seed), "vanishing", (RNN_LAYER,), ADAM)


@ill
def recurrent_large(seed: int) -> Case:
    model, loss = rnn(seed, 2.5, "relu")
    return Case(model, loss, sequences(seed), "exploding", (RNN_LAYER,), ADAM)


@ill
def a_value_that_is_missing(seed: int) -> Case:
    x, y = blobs(seed)
    x[7, 2] = np.nan
    return Case(mlp(seed, 8, 32, 3), classify, (x, y), "nonfinite", None, ADAM)
