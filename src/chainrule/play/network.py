"""The playground's network: linear layers, an activation of :mod:`chainrule.nn` behind each, and its losses.

Two classes and regressions have one output; k classes have k.  With the squared error the outputs of a classification
go through tanh and aim at ±1, as in the reference; with cross-entropy they are logits of the logistic function or of
softmax.  The loss of a batch is the mean over its examples, plus λ·Σ|w| or λ/2·Σw² where weights are regularised
(never biases).

:func:`Network.forward` takes *probes*, zeros added to each pre-activation and activation: the gradient by a probe is
the cotangent of that node.  Rows of a batch may be switched off by weights of 0.
Does not do: gradients (``cr.grad`` makes them), steps (see ``trainer``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.base import trees
from chainrule.nn.init import default_for, initializer
from chainrule.play.datasets import Dataset, rng_for, weight_stream
from chainrule.play.settings import Settings

Array = Any
Layers = tuple[nn.Linear, ...]


@trees.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """``layers`` are the parameters; ``activations`` the name of the one behind each, the output's last."""

    layers: Layers
    activations: tuple[str, ...] = trees.static()

    def __call__(self, x: Array) -> Array:
        """The outputs (n, outputs) of rows (n, inputs)."""
        return self.forward(x)[1][-1]

    def forward(self, x: Array, probes: Sequence[tuple[Array, Array]] | None = None) -> tuple[list[Array], list[Array]]:
        """Pre-activations and activations of every layer, with ``probes`` (one pair per layer) added."""
        before, after = [], []
        for index, (layer, name) in enumerate(zip(self.layers, self.activations, strict=True)):
            z = layer(x)
            if probes is not None:
                z = z + probes[index][0]
            x = nn.activation(name)(z)
            if probes is not None:
                x = x + probes[index][1]
            before.append(z)
            after.append(x)
        return before, after

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of inputs, then that of each layer's neurons."""
        return (self.layers[0].n_in, *(layer.n_out for layer in self.layers))


@dataclasses.dataclass(frozen=True)
class Task:
    """What the outputs mean: the loss, and the number of classes (0 for a regression)."""

    loss: str
    classes: int

    @property
    def outputs(self) -> int:
        """The number of outputs."""
        return self.classes if self.classes > 2 else 1

    @property
    def activation(self) -> str:
        """The activation of the outputs; logits have none."""
        return "tanh" if self.classes and self.loss != "cross-entropy" else "identity"

    def targets(self, labels: Array) -> Array:
        """Labels (n,) as what the outputs aim at, (n, outputs)."""
        labels = np.asarray(labels, np.float64)
        if self.outputs == 1:
            aims = (labels + 1) / 2 if self.loss == "cross-entropy" else labels
            return aims[:, None]
        hot = labels[:, None] == np.arange(self.outputs)
        return np.where(hot, 1.0, 0.0 if self.loss == "cross-entropy" else -1.0)

    def per_example(self, outputs: Array, targets: Array) -> Array:
        """The loss of each row, (n,)."""
        if self.loss == "cross-entropy":
            if self.outputs == 1:
                each = nn.binary_cross_entropy_with_logits(outputs, targets, reduction="none")
                return each[:, 0]
            return nn.cross_entropy(outputs, targets, reduction="none")
        difference = outputs - targets
        if self.loss == "absolute":
            return np.sum(np.abs(difference), axis=-1)
        if self.loss == "huber":
            return np.sum(nn.huber(outputs, targets, reduction="none"), axis=-1)
        return np.sum(0.5 * (difference * difference), axis=-1)

    def shown(self, outputs: Array) -> Array:
        """Outputs as a person reads them: logits as probabilities (of the second of two classes as 2p − 1)."""
        if self.loss != "cross-entropy":
            return outputs
        return nn.softmax(outputs) if self.outputs > 1 else np.tanh(0.5 * outputs)

    def decided(self, outputs: Array) -> Array:
        """The class of each row as an index, (n,)."""
        return np.argmax(outputs, axis=-1) if self.outputs > 1 else (outputs[:, 0] >= 0).astype(np.int64)

    def indices(self, labels: Array) -> Array:
        """Labels as indices of classes."""
        labels = np.asarray(labels)
        return (labels > 0).astype(np.int64) if self.classes == 2 else labels.astype(np.int64)


def task_of(settings: Settings, data: Dataset) -> Task:
    """The task that settings and data pose."""
    return Task(settings.loss, data.classes if settings.problem == "classification" else 0)


def penalty(network: Network, l1: Array, l2: Array) -> Array:
    """λ₁ Σ|w| + λ₂/2 Σw² over all weights."""
    total: Any = 0.0
    for layer in network.layers:
        w = layer.weight
        total = total + (l1 * np.sum(np.abs(w)) + 0.5 * l2 * np.sum(w * w))
    return total


def batch_loss(
    network: Network, task: Task, x: Array, t: Array, weight: Array, probes: Sequence[tuple[Array, Array]] | None = None
) -> Array:
    """The mean loss over the rows whose ``weight`` is 1."""
    outputs = network.forward(x, probes)[1][-1]
    return np.sum(weight * task.per_example(outputs, t)) / np.sum(weight)


def inputs_of(settings: Settings, data: Dataset) -> int:
    """The number of inputs."""
    return int(data.points.shape[1]) if data.images else len(settings.features)


def architecture(settings: Settings, data: Dataset) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The sizes (inputs, hidden …, outputs) and the activation behind each layer."""
    task = task_of(settings, data)
    sizes = (inputs_of(settings, data), *settings.hidden, task.outputs)
    return sizes, (*settings.hidden_activations, task.activation)


def initial(settings: Settings, data: Dataset) -> Network:
    """The network with its initial weights, drawn from the seed.

    "uniform" draws as the reference does: from the stream that drew the data, neuron by neuron and link by link.
    """
    sizes, activations = architecture(settings, data)
    stream = weight_stream(settings)
    rng = rng_for("weights", settings.seed)
    layers: list[nn.Linear] = []
    for n_in, n_out, name in zip(sizes, sizes[1:], activations, strict=False):
        if settings.initialiser == "uniform":
            weight = np.array([[stream() - 0.5 for _ in range(n_in)] for _ in range(n_out)]).T.copy()
        else:
            last = len(layers) == len(sizes) - 2
            auto = initializer("glorot_uniform") if last else default_for(name)
            draw = auto if settings.initialiser == "auto" else initializer(settings.initialiser)
            weight = draw(rng, (n_in, n_out), np.float64)
        usual = 0.1 if settings.initialiser == "uniform" else 0.0
        bias = np.full(n_out, usual if settings.bias is None else settings.bias)
        layers.append(nn.Linear(weight, bias))
    return Network(tuple(layers), activations)


def bias_of(layer: nn.Linear) -> Array:
    """The bias, which every layer here has."""
    return layer.bias


def flat_weights(network: Network) -> Array:
    """All weights in one row: layer by layer, neuron by neuron, link by link (the reference's order)."""
    return np.concatenate([layer.weight.T.reshape(-1) for layer in network.layers])


def flat_biases(network: Network) -> Array:
    """All biases in one row."""
    return np.concatenate([bias_of(layer) for layer in network.layers])
