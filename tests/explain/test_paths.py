"""Sums over paths: the k largest against listing all, counts, sums, and single weights of small arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from bad_input import check_parts
from chainrule import nn
from chainrule.base.errors import ShapeError, TreeError
from chainrule.explain.explanation import explain
from chainrule.explain.paths import Edge, PathTable


def random_dag(seed: int, nodes: int = 9) -> list[Edge]:
    """Edges from smaller to larger numbers, in the order of a backward pass; ties and zeros are frequent."""
    rng = np.random.default_rng(seed)
    weights = [-2.0, -1.0, 0.0, 0.5, 1.0, 3.0] if seed % 2 else rng.normal(size=6).tolist()
    return [
        Edge(a, b, float(rng.choice(weights)))
        for a in range(nodes)
        for b in range(a + 1, nodes)
        for _ in range(rng.choice([0, 1, 1, 2]))
    ]


def all_products(edges: list[Edge], root: int, node: int) -> list[float]:
    """The product of every path, by listing them."""
    if node == root:
        return [1.0]
    return [p * e.weight for e in edges if e.argument == node for p in all_products(edges, root, e.user)]


@pytest.mark.parametrize("seed", range(12))
def test_the_largest_paths_are_those_of_listing_all(seed: int) -> None:
    edges = random_dag(seed)
    table = PathTable(0, edges, 7)
    for node in range(9):
        listed = all_products(edges, 0, node)
        found = table.paths(node)
        assert found.count == len(listed)
        assert found.total == pytest.approx(math.fsum(listed), abs=1e-12)
        largest = sorted((abs(p) for p in listed), reverse=True)[:7]
        assert [abs(p.product) for p in found.paths] == pytest.approx(largest, rel=1e-14)
        for path in found.paths:
            assert path.nodes[0] == 0
            assert path.nodes[-1] == node
            assert math.prod(path.factors) == pytest.approx(path.product, rel=1e-14)
        assert len({(p.nodes, p.factors) for p in found.paths}) <= len(found.paths)


def test_as_many_paths_as_there_are() -> None:
    edges = random_dag(4, 6)
    found = PathTable(0, edges, 1000).paths(5)
    assert len(found.paths) == found.count
    assert found.rest == pytest.approx(0.0, abs=1e-12)


def test_astronomically_many_paths() -> None:
    def f(x: Any) -> Any:
        for _ in range(300):
            x = np.sin(x) + 0.5 * x
        return x

    explanation = explain(f, 0.3, paths=True, k=5)
    found = explanation.paths["x"]
    assert found.count == 2**300
    assert found.total == pytest.approx(cr.grad(f)(0.3), rel=1e-12)
    magnitudes = [abs(p.product) for p in found.paths]
    assert len(magnitudes) == 5
    assert magnitudes == sorted(magnitudes, reverse=True)
    assert "the others add" in str(explanation)


@pytest.mark.parametrize("x", [0.3, -1.7, 2.0])
def test_path_sums_are_the_gradient(x: float) -> None:
    def f(x: Any, y: Any) -> Any:
        a = np.tanh(x * y) + x
        b = np.where(a > 0, a * a, np.exp(a))
        return b * a / (1 + y * y) + np.maximum(x, b)

    explanation = explain(f, x, 0.8, paths=True)
    for name, expected in zip("xy", cr.grad(f, (0, 1))(x, 0.8), strict=True):
        found = explanation.paths[name]
        assert found.total == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert math.fsum(p.product for p in found.paths) + found.rest == pytest.approx(found.total, rel=1e-12)
        for path in found.paths:
            told = math.prod(v for _, v in explanation.factors(path))
            assert told == pytest.approx(path.product, rel=1e-14)


def test_single_weights_of_a_network() -> None:
    model = nn.MLP.init((2, 3, 3, 1), rng=np.random.default_rng(0), dtype=np.float64, activation="tanh")
    x, y = np.array([[0.5, -1.0]]), np.array([[1.0]])

    def loss(model: Any) -> Any:
        return nn.mse(model(x), y)

    explanation = explain(loss, model, paths=True, k=100)
    gradient = cr.grad(loss)(model)
    found = explanation.element_paths("model.layers[0].weight", 1, 2)
    assert found.count == 3 * 2  # over the second layer's neurons; twice from (p - y)·(p - y), which uses p twice
    assert math.fsum(p.product for p in found.paths) == pytest.approx(gradient.layers[0].weight[1, 2], rel=1e-12)
    for index in np.ndindex(3, 3):
        total = explanation.element_paths("model.layers[1].weight", *index).total
        assert total == pytest.approx(gradient.layers[1].weight[index], rel=1e-12)
    assert explanation.element_paths("model.layers[2].bias", 0).total == pytest.approx(gradient.layers[2].bias[0])
    assert explanation.paths == {}  # arrays are on the way
    check_parts(lambda: explanation.element_paths("nobody", 0), TreeError, ["no differentiated input", "nobody"])
    check_parts(lambda: explanation.element_paths("model.layers[2].bias", 3), TreeError, ["no such element", "(1,)"])


def test_paths_between_elements_have_a_limit() -> None:
    explanation = explain(lambda x: np.sum(np.sin(x @ x)), np.ones((120, 120)))
    check_parts(lambda: explanation.element_paths("x", 0, 0), ShapeError, ["can't be listed", "at most 20,000"])


def test_how_much_came_through_a_skip_connection() -> None:
    def residual(x: Any, w: Any) -> Any:
        h = x
        for _ in range(2):
            h = h + 0.1 * np.tanh(h @ w)  # the same weight twice
        return np.sum(h**2)

    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    explanation = explain(residual, x, w, paths=True)
    by_line = {one.line: one for one in explanation.sent}
    shared = by_line[1]
    assert len(shared.terms) == 2  # the two uses of w
    total = sum(np.asarray(t.value) for t in shared.terms)
    assert np.allclose(total, cr.grad(residual, 1)(x, w), rtol=1e-13)
    skip = by_line[0]
    assert sorted(t.share for t in skip.terms)[-1] > 0.7  # most comes over the skip connection
    for one in explanation.sent:
        assert sum(t.share for t in one.terms) == pytest.approx(1.0)
    assert "What came through which use" in str(explanation)


def test_layers_and_their_uses() -> None:
    rng = np.random.default_rng(3)
    model = {"first": {"w": rng.normal(size=(3, 4)), "b": np.zeros(4)}, "shared": {"w": rng.normal(size=(4, 4))},
             "idle": {"w": np.ones(2)}}  # fmt: skip
    x = rng.normal(size=(5, 3))

    def loss(model: Any) -> Any:
        h = np.tanh(x @ model["first"]["w"] + model["first"]["b"])
        for _ in range(3):
            h = h + np.tanh(h @ model["shared"]["w"])
        return np.mean(h**2)

    explanation = cr.explain(loss, model, paths=True)
    layers = {layer.name: layer for layer in explanation.layers}
    gradient = cr.grad(loss)(model)
    for name, layer in layers.items():
        leaves = gradient[name.split("'")[1]].values()
        assert layer.gradient == pytest.approx(np.sqrt(sum(np.sum(g**2) for g in leaves)), rel=1e-12)
    uses = {name.split("'")[1]: len(layer.uses) for name, layer in layers.items()}
    assert uses == {"first": 1, "shared": 3, "idle": 0}
    shared = next(layer for name, layer in layers.items() if "shared" in name)
    assert sum(use.share for use in shared.uses) == pytest.approx(1)
    for use in shared.uses:
        assert use.arriving == pytest.approx(np.linalg.norm(explanation.gradient(use.line)), rel=1e-12)
        sent = explanation.value_of(explanation.graph.lines[use.line].args[0]).T @ explanation.gradient(use.line)
        assert use.sent == pytest.approx(np.linalg.norm(sent), rel=1e-12)
    text = str(explanation)
    assert "What came to each layer" in text
    assert "no path leads there" in text
    assert "What came to each layer" in explanation.to_html()
    assert "What came to each layer" in explanation.to_latex()
