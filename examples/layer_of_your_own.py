"""A layer, a loss and a training loop of one's own: telling two intertwined spirals apart.

    python examples/layer_of_your_own.py
"""

import dataclasses

import numpy as np

import chainrule as cr
from chainrule import nn, optim


@dataclasses.dataclass(frozen=True)
class Fourier:
    """Sines and cosines of learnt directions: (n, 2) to (n, 2 · features).  A dataclass of arrays is a layer."""

    directions: np.ndarray

    def __call__(self, x, *, key=None):
        angle = x @ self.directions
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)


rng = np.random.default_rng(0)
turn = np.sqrt(rng.uniform(0.05, 1, 400)) * 3 * np.pi
label = np.arange(400) % 2
x = np.stack([turn * np.cos(turn + np.pi * label), turn * np.sin(turn + np.pi * label)], axis=1) / 10
x = (x + 0.01 * rng.normal(size=x.shape)).astype(np.float32)

model = nn.Sequential([
    Fourier(rng.normal(scale=3.0, size=(2, 16)).astype(np.float32)),
    nn.MLP.init((32, 32, 2), activation="silu", rng=rng),
])  # fmt: skip
optimizer = optim.adam(5e-3)


@cr.jit
def train_step(model, state):
    """One step on all points: the new model, the new optimizer state, the loss."""
    loss, gradient = cr.value_and_grad(lambda model: nn.cross_entropy(model(x), label))(model)
    updates, state = optimizer.update(gradient, state, model)
    return optim.apply_updates(model, updates), state, loss


state = optimizer.init(model)
for step in range(301):
    model, state, loss = train_step(model, state)
    if step in (100, 300):
        print(f"step {step}: {nn.accuracy(model(x), label):.0%} right")
        # → step 100: 100% right
        # → step 300: 100% right
