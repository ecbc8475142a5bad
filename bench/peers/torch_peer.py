"""PyTorch: ``nn.Sequential`` and ``torch.optim.Adam``, eager or through ``torch.compile``.

Compiled, the forward pass with the loss is one compiled function (and with it its backward pass), and the optimizer's
step is another: the form PyTorch's own pages give for speed.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import torch

from bench.problem import Problem, flat
from bench.steps import B1, B2, COUNT, EPS, RATE, Array, Row

torch.set_num_threads(int(os.environ.get("BENCH_CORES", "0")) or torch.get_num_threads())

ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}
LOSSES = {"mse": torch.nn.functional.mse_loss, "cross_entropy": torch.nn.functional.cross_entropy}


class Torch:
    """The step on a module."""

    def __init__(self, row: Row, problem: Problem, fused: bool = False, compiled: bool = False) -> None:
        self.row, self.problem = row, problem
        layers: list[Any] = []
        for m, n in itertools.pairwise(row.sizes):
            layers += [torch.nn.Linear(m, n), ACTIVATIONS[row.activation]()]
        self.linears = layers[::2]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=RATE, betas=(B1, B2), eps=EPS, fused=True if fused else None
        )
        loss = LOSSES[row.loss]
        self.forward = lambda x, y: loss(self.model(x), y)
        self.update = self.optimizer.step
        if compiled:
            self.forward = torch.compile(self.forward)
            self.update = torch.compile(self.optimizer.step)
        self.batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in zip(problem.x, problem.y, strict=True)]
        self.reset()

    def reset(self) -> None:
        """Back to the start."""
        with torch.no_grad():
            for linear, (w, b), (vw, vb) in zip(self.linears, self.problem.layers, self.problem.v, strict=True):
                for p, start, v in ((linear.weight, w.T, vw.T), (linear.bias, b, vb)):
                    p.copy_(torch.from_numpy(start))
                    state = self.optimizer.state[p]
                    if not state:
                        state.update(
                            step=torch.tensor(0.0), exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p)
                        )
                    state["step"].fill_(COUNT)
                    state["exp_avg"].zero_()
                    state["exp_avg_sq"].copy_(torch.from_numpy(v))

    def step(self, i: int) -> object:
        """One call."""
        if self.row.loop > 1:
            return self.run(self.row.loop)
        return self._step(*self.batches[i % len(self.batches)])

    def run(self, count: int) -> object:
        """``count`` steps."""
        return [self._step(*self.batches[i % len(self.batches)]) for i in range(count)]

    def _step(self, x: Any, y: Any) -> object:
        self.optimizer.zero_grad()
        loss = self.forward(x, y)
        loss.backward()
        self.update()
        return loss.detach()

    def result(self) -> dict[str, Array]:
        """Parameters and moments."""

        def layers(of: Any) -> Any:
            return [(of(each.weight).detach().numpy().T.copy(), of(each.bias).detach().numpy().copy())
                    for each in self.linears]  # fmt: skip

        state = self.optimizer.state
        return (
            flat("parameters", layers(lambda p: p))
            | flat("m", layers(lambda p: state[p]["exp_avg"]))
            | flat("v", layers(lambda p: state[p]["exp_avg_sq"]))
        )
