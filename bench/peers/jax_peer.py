"""JAX: the whole step under one ``jax.jit`` with donated state, blocking; ``lax.scan`` for many steps a call."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.problem import Problem, flat
from bench.steps import B1, B2, COUNT, EPS, RATE, Array, Row

ACTIVATIONS: dict[str, Any] = {"relu": jax.nn.relu, "tanh": jnp.tanh}


class Jax:
    """The jitted step."""

    def __init__(self, row: Row, problem: Problem) -> None:
        self.row, self.problem = row, problem
        activation = ACTIVATIONS[row.activation]

        def loss(layers: Any, x: Any, y: Any) -> Any:
            for weight, bias in layers[:-1]:
                x = activation(x @ weight + bias)
            out = x @ layers[-1][0] + layers[-1][1]
            if row.loss == "mse":
                return jnp.mean((out - y) ** 2)
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[:, None], axis=1))

        def step(carry: Any, batch: Any) -> Any:
            layers, m, v, count = carry
            value, grads = jax.value_and_grad(loss)(layers, *batch)
            count = count + 1
            m = jax.tree.map(lambda m, g: B1 * m + (1 - B1) * g, m, grads)
            v = jax.tree.map(lambda v, g: B2 * v + (1 - B2) * g * g, v, grads)
            rate, root = RATE / (1 - B1**count), jnp.sqrt(1 - B2**count)
            layers = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPS), layers, m, v)
            return (layers, m, v, count), value

        self.call = jax.jit(step, donate_argnums=0)
        self.loop = jax.jit(lambda carry, batches: jax.lax.scan(step, carry, batches), donate_argnums=0)
        x, y = jnp.asarray(problem.x), jnp.asarray(problem.y)  # labels become int32, JAX's integers
        self.stacked = (x, y)
        self.batches = list(zip(x, y, strict=True))
        self.reset()

    def reset(self) -> None:
        """Back to the start."""

        def given(layers: Any) -> Any:
            return jax.tree.map(lambda a: jnp.array(a, copy=True), layers)

        zeros = [(np.zeros_like(w), np.zeros_like(b)) for w, b in self.problem.layers]
        self.carry = (given(self.problem.layers), given(zeros), given(self.problem.v), jnp.float32(COUNT))
        jax.block_until_ready(self.carry)

    def step(self, i: int) -> object:
        """One call."""
        if self.row.loop > 1:
            self.carry, values = self.loop(self.carry, self.stacked)
            return jax.block_until_ready((self.carry, values))
        self.carry, value = self.call(self.carry, self.batches[i % len(self.batches)])
        return jax.block_until_ready((self.carry, value))

    def run(self, count: int) -> object:
        """``count`` steps."""
        if self.row.loop == 1:
            return [self.step(i) for i in range(count)]
        self.carry, values = self.loop(self.carry, jax.tree.map(lambda a: a[:count], self.stacked))
        return jax.block_until_ready((self.carry, values))

    def result(self) -> dict[str, Array]:
        """Parameters and moments."""
        layers, m, v, _ = jax.tree.map(np.array, self.carry)
        return flat("parameters", layers) | flat("m", m) | flat("v", v)
