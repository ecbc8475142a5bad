"""chainrule as users write it: a network of ``cr.nn``, ``cr.optim.adam``, one jitted function with donated state."""

from __future__ import annotations

from typing import Any

import numpy as np

import chainrule as cr
from bench.problem import Problem, flat
from bench.steps import COUNT, RATE, Array, Row
from chainrule import nn, optim
from chainrule.optim.adam import AdamState

LOSSES = {"mse": nn.mse, "cross_entropy": nn.cross_entropy}


class Ours:
    """The compiled step."""

    def __init__(self, row: Row, problem: Problem) -> None:
        self.row, self.problem = row, problem
        optimizer, loss = optim.adam(RATE), LOSSES[row.loss]
        gradient = cr.value_and_grad(lambda model, x, y: loss(model(x), y))

        def step(model: Any, state: Any, x: Any, y: Any) -> Any:
            value, grads = gradient(model, x, y)
            updates, state = optimizer.update(grads, state, model)
            return optim.apply_updates(model, updates), state, value

        def loop(model: Any, state: Any, xs: Any, ys: Any) -> Any:
            def body(carry: Any, batch: Any) -> Any:
                *carry, value = step(*carry, *batch)
                return tuple(carry), value

            (model, state), values = cr.scan(body, (model, state), (xs, ys))
            return model, state, values

        self.init = optimizer.init
        self.call = cr.jit(step if row.loop == 1 else loop, donate_argnums=(0, 1), backend="native")
        self.batches = list(zip(problem.x, problem.y, strict=True))
        self.reset()

    def reset(self) -> None:
        """Back to the start."""

        def model(layers: Any) -> Any:
            return nn.MLP(tuple(nn.Linear(w.copy(), b.copy()) for w, b in layers), self.row.activation)

        self.model = model(self.problem.layers)
        adam, *others = self.init(self.model)
        self.state = (AdamState(np.array(COUNT), adam.m, model(self.problem.v)), *others)

    def step(self, i: int) -> object:
        """One call."""
        if self.row.loop > 1:
            return self.run(self.row.loop)
        x, y = self.batches[i % len(self.batches)]
        self.model, self.state, loss = self.call(self.model, self.state, x, y)
        return loss

    def run(self, count: int) -> object:
        """``count`` steps."""
        if self.row.loop == 1:
            return [self.step(i) for i in range(count)]
        x, y = self.problem.x[:count], self.problem.y[:count]
        self.model, self.state, losses = self.call(self.model, self.state, x, y)
        return losses

    def result(self) -> dict[str, Array]:
        """Parameters and moments."""
        adam = self.state[0]
        parts = {"parameters": self.model, "m": adam.m, "v": adam.v}
        found: dict[str, Array] = {}
        for name, part in parts.items():
            found |= flat(name, [(np.array(layer.weight), np.array(layer.bias)) for layer in part.layers])
        return found
