"""The public names, and trees of every kind through every transform."""

from __future__ import annotations

import inspect
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base import trees
from chainrule.base.errors import NotDifferentiableError

X = np.array([1.0, 2.0, 3.0])
Pair = namedtuple("Pair", "u v")


@dataclass(frozen=True)
class Layer:
    """Never registered by hand: transforms do that when they meet it."""

    weight: Any
    bias: Any
    name: str = trees.static(default="layer")


def test_public_names() -> None:
    for name in cr.__all__:
        thing = getattr(cr, name)
        assert inspect.getdoc(thing), name
    signatures = {
        "grad": "f, argnums, has_aux", "value_and_grad": "f, argnums, has_aux", "vjp": "f, args, has_aux",
        "jvp": "f, primals, tangents", "jacobian": "f, argnums, mode", "hessian": "f, argnums", "hvp": "f",
        "vmap": "f, in_axes, out_axes", "checkpoint": "f", "stop_gradient": "tree",
        "cond": "pred, true_fun, false_fun, operands", "while_loop": "cond_fun, body_fun, init_val",
        "scan": "f, init, xs, length, reverse", "fori_loop": "lower, upper, body_fun, init_val", "trace": "f",
        "check_grads": "f, args, order, modes, tol, eps, seed", "jit": "f, donate_argnums, static_argnums",
    }  # fmt: skip
    for name, expected in signatures.items():
        found = list(inspect.signature(getattr(cr, name)).parameters)
        assert found[: len(expected.split(", "))] == expected.split(", ")


TREES = {
    "list": [X, 2.0],
    "tuple": (X, (2.0,)),
    "dict": {"b": X, "a": 2.0},
    "ordered": OrderedDict([("b", X), ("a", 2.0)]),
    "default": defaultdict(list, {"b": X, "a": 2.0}),
    "namedtuple": Pair(X, 2.0),
    "dataclass": Layer(X, [2.0, None], "first"),
    "nested": {"layers": [Layer(X, None), Layer(Pair(2.0, None), 3.0)], "empty": [], "none": None},
}


def energy(tree: Any) -> Any:
    """A sum over the leaves, each weighted by its place."""
    return sum(np.sum(leaf**2) * (i + 1) for i, leaf in enumerate(trees.leaves(tree)))


def weighted(tree: Any, factor: float) -> Any:
    leaves, structure = trees.flatten(tree)
    return trees.unflatten(structure, [factor * (i + 1) * leaf for i, leaf in enumerate(leaves)])


def close(found: Any, expected: Any) -> None:
    flat, structure = trees.flatten(found)
    other, wanted = trees.flatten(expected)
    assert structure == wanted
    for a, b in zip(flat, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("name", TREES)
def test_trees(name: str) -> None:
    tree = TREES[name]
    close(cr.grad(energy)(tree), weighted(tree, 2.0))
    close(cr.vjp(lambda t: t, tree)[1](tree)[0], tree)
    close(cr.jvp(lambda t: t, (tree,), (tree,)), (tree, tree))
    close(cr.hvp(energy)(tree, tree), weighted(tree, 2.0))
    close(cr.jit(lambda t: [t, energy(t)])(tree), [tree, energy(tree)])
    close(cr.grad(cr.checkpoint(energy))(tree), weighted(tree, 2.0))
    close(cr.scan(lambda c, _: (c, c), tree, length=1)[0], tree)
    close(cr.cond(True, lambda t: t, lambda t: t, tree), tree)
    close(cr.while_loop(lambda t: False, lambda t: t, tree), tree)
    close(cr.stop_gradient(tree), tree)
    batch = trees.map(lambda a: np.stack([a, 2 * a]), tree)
    found = cr.vmap(cr.grad(energy))(batch)
    close(trees.map(lambda a: a[1], found), weighted(tree, 4.0))
    axes = trees.map(lambda a: -1, tree)
    last = trees.map(lambda a: np.moveaxis(a, 0, -1), batch)
    close(cr.vmap(lambda t: t, in_axes=(axes,), out_axes=axes)(last), last)


def test_a_dataclass_keeps_its_class_and_statics() -> None:
    found = cr.grad(energy)(Layer(X, 2.0, "named"))
    assert type(found) is Layer
    assert found.name == "named"


def test_functions_of_every_kind() -> None:
    class Model:
        def __init__(self, w: float) -> None:
            self.w = w

        def loss(self, x: Any) -> Any:
            return x * x * self.w

        def __call__(self, x: Any) -> Any:
            return self.loss(x)

    model = Model(3.0)
    for f in (model.loss, model, partial(lambda a, x: a * x * x, 3.0), cr.jit(model.loss), cr.checkpoint(model.loss)):
        assert cr.grad(f)(2.0) == 12.0
        assert cr.vmap(f)(X).tolist() == [3.0, 12.0, 27.0]
    assert cr.grad(np.sin)(0.0) == 1.0
    assert cr.grad(abs)(-2.0) == -1.0
    with pytest.raises(NotDifferentiableError, match=r"x of dtype int64"):
        cr.grad(model.loss)(2)
    with pytest.raises(NotDifferentiableError, match=r"x of dtype int64"):
        cr.grad(cr.grad(model.loss))(2)


def test_trace_gives_the_graph() -> None:
    graph = cr.trace(lambda t, k: np.sum(t["x"] * k))({"x": X}, 2)
    assert isinstance(graph, cr.Graph)
    assert graph.names[:2] == ("t['x']", "k")
    assert graph(X, np.int64(2)) == [12.0]
    assert [str(s) for s in graph.input_specs] == ["f64[3]", "i64[]"]
    again = cr.trace(cr.grad(lambda x: np.sum(np.sin(x))))(X)
    np.testing.assert_allclose(again(X)[0], np.cos(X))


def test_jacobian_of_an_output_that_does_not_depend() -> None:
    for mode in ("rev", "fwd"):
        found = cr.jacobian(lambda a, b: {"both": a * b, "none": np.ones(2)}, (0, 1), mode)(X, 2.0)
        close(found["both"], (np.eye(3) * 2.0, X))
        close(found["none"], (np.zeros((2, 3)), np.zeros(2)))


def test_vmap_of_an_empty_batch() -> None:
    found = cr.vmap(cr.grad(lambda x: np.sum(np.sin(x))))(np.zeros((0, 3)))
    assert found.shape == (0, 3)
