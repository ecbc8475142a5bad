"""Published measurements of vanishing gradients, and the six-layer spiral, against ReLU networks of the same depth.

Nielsen, "Neural networks and deep learning" (2015), chapter 5: sigmoid networks with 30 units per layer on the first
1,000 MNIST digits, cross-entropy, weights N(0, 1)/√fan-in, biases N(0, 1); norms of the gradients of the biases.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from configurations import classify, mlp, spiral

import chainrule as cr
from chainrule import data, nn
from chainrule.diagnose import diagnose

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "nielsen"


def network(hidden: int, seed: int, activation: str = "sigmoid") -> nn.MLP:
    rng = np.random.default_rng(seed)
    sizes = [784, *[30] * hidden, 10]
    if activation == "relu":
        return nn.MLP.init(sizes, rng=rng)
    layers = tuple(
        nn.Linear(rng.standard_normal((a, b)).astype(np.float32) / np.sqrt(np.float32(a)),
                  rng.standard_normal(b).astype(np.float32))
        for a, b in itertools.pairwise(sizes)
    )  # fmt: skip
    return nn.MLP(layers, "sigmoid")


def cost(model: nn.MLP, x: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Nielsen's cross-entropy: the sum over the ten outputs, the mean over the rows."""
    return 10 * nn.binary_cross_entropy_with_logits(model(x), targets)


@pytest.fixture(scope="module")
def digits(shared_data: Callable[[str], Path]) -> tuple[np.ndarray, np.ndarray]:
    rows = data.mnist(str(shared_data("mnist")), validation=0).train
    return rows.x[:1000], np.eye(10, dtype=np.float32)[rows.y[:1000]]


def published(hidden: int) -> list[float]:
    path = REFERENCE / f"norms_during_training_{hidden}_layers.json"
    if not path.exists():
        pytest.skip(f"needs Nielsen's published norms in {REFERENCE}")
    first: list[float] = json.loads(path.read_text(encoding="utf-8"))[0]
    return first


@pytest.mark.parametrize("hidden", [2, 3, 4])
def test_nielsens_networks_vanish_as_published(hidden: int, digits: tuple[np.ndarray, np.ndarray]) -> None:
    expected = np.array(published(hidden))
    found = []
    for seed in range(3):
        model = network(hidden, seed)
        report = diagnose(model, cost, digits)
        assert report.kinds == ("vanishing",), str(report)
        assert report.verdicts[0].layers == ("layers[0]", f"layers[{hidden}]")
        assert "slope of sigmoid" in report.verdicts[0].cause
        gradient = cr.grad(cost)(model, *digits)
        found.append([np.linalg.norm(layer.bias) for layer in gradient.layers[:-1]])
    # The draws differ, so the sizes agree to a factor; the fall from layer to layer is the published one.
    mean = np.exp(np.mean(np.log(found), axis=0))
    np.testing.assert_allclose(mean, expected, rtol=0.6)
    np.testing.assert_allclose(mean[:-1] / mean[1:], expected[:-1] / expected[1:], rtol=0.4)


@pytest.mark.parametrize("hidden", [2, 4])
def test_relu_of_the_same_depth_is_healthy(hidden: int, digits: tuple[np.ndarray, np.ndarray]) -> None:
    for seed in range(3):
        report = diagnose(network(hidden, seed, "relu"), cost, digits)
        assert report.healthy, str(report)


@pytest.mark.parametrize("seed", range(3))
def test_six_sigmoid_layers_on_a_spiral(seed: int) -> None:
    batch = spiral(seed)
    ill = diagnose(mlp(seed, 2, *[16] * 6, 3, activation="sigmoid"), classify, batch, learning_rate=1e-2)
    assert ill.kinds == ("vanishing",)
    assert ill.verdicts[0].layers == ("layers[0]", "layers[6]")
    assert 0.1 < ill.verdicts[0].factor < 0.4
    assert diagnose(mlp(seed, 2, *[16] * 6, 3), classify, batch, learning_rate=1e-2).healthy
