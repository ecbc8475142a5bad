"""The training steps that are measured: multi-layer perceptrons and Adam, in float32.

Every contestant starts from the same arrays and takes the same step, so that one step's result can be compared.  Adam
starts as after ten steps with moments as large as the gradients: its first step from nothing is lr · sign(g), which
says little of g and turns rounding near 0 into another sign.
Does not do: convolution, attention.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Layers = list[tuple[Array, Array]]

RATE, B1, B2, EPS = 1e-3, 0.9, 0.999, 1e-8
COUNT = 10
"""Steps of Adam before the first one measured."""
BATCHES = 8
"""Batches that are gone through in turn: on one batch alone a network learns it by heart, and gradients vanish."""
TOLERANCE = 1e-4
CHECKED = 10
"""Steps that are compared where a call takes many."""


@dataclass(frozen=True)
class Row:
    """One training step.  ``loop``: steps a call takes.  ``goals``: the ratio wanted against each peer."""

    name: str
    sizes: tuple[int, ...]
    batch: int
    activation: str = "relu"
    loss: str = "cross_entropy"
    loop: int = 1
    goals: dict[str, float] = field(default_factory=dict)
    share: float | None = None
    title: str = ""

    def __str__(self) -> str:
        text = self.title or f"MLP {'-'.join(map(str, self.sizes))}, batch {self.batch}"
        return text if self.loop == 1 else f"{text}, {self.loop:,} steps a call"

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum((m + 1) * n for m, n in itertools.pairwise(self.sizes))

    @property
    def flops(self) -> int:
        """What the matrix products of one step need: 2 m k n each, three a layer, and two for the first layer.

        Nobody needs the loss's gradient with respect to the data.  Adam and activations are not counted.
        """
        weights = [m * n for m, n in itertools.pairwise(self.sizes)]
        return 2 * self.batch * (3 * sum(weights) - weights[0])


def _goals(torch: float, compiled: float, jax: float) -> dict[str, float]:
    return {"torch": torch, "torch.compile": compiled, "jax": jax}


_TINY: dict[str, Any] = {"sizes": (2, 8, 8, 1), "batch": 10, "activation": "tanh", "loss": "mse"}

ROWS = {
    row.name: row
    for row in (
        Row("mlp-tiny", **_TINY, goals=_goals(15, 10, 3)),
        Row("mlp-tiny-loop", **_TINY, loop=1000, goals=_goals(150, 100, 10)),
        Row("mlp-64", (64, 128, 10), 64, goals=_goals(8, 8, 2.5)),
        Row("mlp-784", (784, 128, 10), 64, goals=_goals(5, 3, 2.5), share=0.45),
        Row("mlp-784-wide", (784, 512, 512, 10), 128, goals=_goals(3, 2.3, 1.8), share=0.45),
        Row("mlp-1024", (1024, 2048, 2048, 1024), 256, goals=_goals(3, 1.8, 1.3), share=0.60),
        Row("mlp-deep", (32,) * 51, 64, "tanh", goals=_goals(30, 40, 6), title="MLP 50 layers × 32, tanh, batch 64"),
    )
}
QUICK = {
    row.name: row
    for row in (
        Row("mlp-tiny", (2, 4, 1), 5, "tanh", "mse", goals=_goals(15, 10, 3)),
        Row("mlp-tiny-loop", (2, 4, 1), 5, "tanh", "mse", loop=20, goals=_goals(150, 100, 10)),
        Row("mlp-784", (7, 6, 3), 4, goals=_goals(5, 3, 2.5), share=0.45),
    )
}
