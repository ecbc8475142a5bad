"""The reference playground's update rule, exactly: sums that carry over, decoupled decay, links that die.

The gradient of each example's loss is summed into ``sums``; a full row of the batch size applies the mean of what has
been summed so far, a shorter row at the end of an epoch does not, so that its examples join the first update of the
next epoch.  With a batch larger than the data no row is ever full and nothing is ever applied.

    b ← b − α·Σ∂E/∂b / n          w₁ = w − (α/n)·Σ∂E/∂w,  w₂ = w₁ − α·λ·R′(w)  (R′ at the old w: sign(w) or w)

Under L1 a weight whose regularisation carries it across 0 (w₁·w₂ < 0) becomes 0 and is never trained again.

Rows of examples come as in ``context``.  Does not do: anything but that rule; see ``trainer`` for the optimizers.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.api import grad
from chainrule.base import trees
from chainrule.play.network import Layers, Network, Task

Array = Any


@trees.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """What is carried from row to row: summed gradients, of how many examples, and which weights are dead."""

    sums: Layers
    count: Array
    dead: tuple[Array, ...]

    @classmethod
    def empty(cls, network: Network) -> Held:
        """Nothing summed, nothing dead."""
        sums = tuple(trees.map(np.zeros_like, layer) for layer in network.layers)
        return cls(sums, np.zeros(()), tuple(np.zeros(layer.weight.shape, np.bool_) for layer in network.layers))


def summed_loss(network: Network, task: Task, x: Array, t: Array, weight: Array) -> Array:
    """The sum of the losses of the rows whose ``weight`` is 1."""
    return np.sum(weight * task.per_example(network(x), t))


def step(
    network: Network, held: Held, task: Task, x: Array, t: Array, weight: Array, apply: Array, rate: Array,
    l1: Array, l2: Array,
) -> tuple[Network, Held]:  # fmt: skip
    """One row: its gradients summed, and where ``apply`` is true the update made."""
    gradient = grad(lambda n: summed_loss(n, task, x, t, weight))(network)
    count = held.count + np.sum(weight)
    divisor = np.maximum(count, 1.0)
    layers, sums, dead = [], [], []
    for layer, summed, new, was_dead in zip(network.layers, held.sums, gradient.layers, held.dead, strict=True):
        of_weight, of_bias = summed.weight + new.weight, summed.bias + new.bias
        w = layer.weight
        first = w - (rate / divisor) * of_weight
        second = first - ((rate * l1) * np.sign(w) + (rate * l2) * w)
        dies = (first * second < 0) & (l1 != 0)
        moved = np.where(dies, 0.0, second)
        trains = apply & ~was_dead
        layers.append(nn.Linear(
            np.where(trains, moved, w), np.where(apply, layer.bias - (rate * of_bias) / divisor, layer.bias)
        ))  # fmt: skip
        sums.append(nn.Linear(np.where(apply, 0.0, of_weight), np.where(apply, 0.0, of_bias)))
        dead.append(was_dead | (trains & dies))
    return Network(tuple(layers), network.activations), Held(
        tuple(sums), np.where(apply, 0.0, count), tuple(dead)
    )


def mean_gradient(held: Held, gradient: Network, count: Array) -> Network:
    """The mean gradient over the examples summed so far and ``count`` more, whose own mean is ``gradient``."""
    total = held.count + count
    layers = trees.map(lambda summed, g: (summed + g * count) / total, held.sums, gradient.layers)
    return Network(layers, gradient.activations)
