"""What rides on matrix products: the clusters that come out, values against the evaluator, the same bits anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.base import trees
from chainrule.compile.aliasing import shares
from chainrule.compile.finish import finish_kernel
from chainrule.compile.fuse import Fused, fuse
from chainrule.compile.views import views
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.run.program import compile_graph

F32, F64 = np.float32, np.float64


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def fused_of(f: Callable[..., Any], *args: Any) -> Fused:
    graph = cr.trace(f)(*args)
    return fuse(graph, views(graph))


def kinds(f: Callable[..., Any], *args: Any) -> list[str]:
    return [cluster.kind for cluster in fused_of(f, *args).clusters]


def stored(fused: Fused, number: int) -> list[str]:
    return [fused.graph.lines[i].op.name for i in fused.clusters[number].lines if i in fused.stored]


def same(graph: Graph, args: list[Any]) -> None:
    """Compiled as evaluated, up to the rounding of sums in another order; twice, as memory is used again."""
    program = compile_graph(graph)
    wanted = run_plan(graph, list(args))
    for _ in range(2):
        for found, expected in zip(program(args), wanted, strict=True):
            found, expected = np.asarray(found), np.asarray(expected)
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            bound = 3e-5 if found.dtype == F32 else 1e-12
            scale = max(float(np.abs(expected).max(initial=0)), 1e-30)
            np.testing.assert_allclose(found, expected, rtol=bound, atol=bound * scale)


def check(f: Callable[..., Any], *args: Any) -> Fused:
    """``f`` compiled as evaluated; its clusters."""
    same(cr.trace(f)(*args), list(args))
    return fused_of(f, *args)


def draw(*shape: int, dtype: Any = F32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "gelu": cr.nn.activations["gelu"],
    "mask": lambda z: np.where(z > 0.5, z, z * 0.1),
}
SIZES = (1, 7, 33, 65, 200, 513)


def _shapes(count: int) -> list[tuple[int, int, int]]:
    every = list(itertools.product(SIZES, repeat=3))
    picked = np.random.default_rng(4).choice(len(every), count, replace=False)
    return [every[i] for i in picked]


@pytest.mark.parametrize(("m", "k", "n"), [*_shapes(18), (1, 513, 200), (513, 65, 1), (7, 513, 7),
                                               (65, 2100, 33), (400, 33, 1500), (40, 2100, 1500)])  # fmt: skip
def test_layers_of_any_size(m: int, k: int, n: int) -> None:
    for number, dtype in enumerate((F32, F64)):
        x, w, b = draw(m, k, dtype=dtype), draw(k, n, dtype=dtype) / np.sqrt(k).astype(dtype), draw(n, dtype=dtype)
        name = list(ACTIVATIONS)[(m + k + n + number) % len(ACTIVATIONS)]
        fused = check(lambda x, w, b, name=name: ACTIVATIONS[name](x @ w + b), x, w, b)
        assert [c.kind for c in fused.clusters] == ["product"]
        assert len(fused.stored) == 1


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_derivatives(name: str) -> None:
    act = ACTIVATIONS[name]
    x, w, v = draw(33, 20), draw(20, 65), draw(65, 18)

    def gradient(x: Any, w: Any, v: Any) -> Any:
        return cr.grad(lambda w: np.sum(np.sin(act(x @ w) @ v)))(w)

    fused = check(gradient, x, w, v)
    assert [c.kind for c in fused.clusters] == ["product"] * 4


def test_what_rides_may_read_any_layout() -> None:
    x, w = draw(33, 20), draw(20, 65)
    row, column, whole, turned = draw(65), draw(33, 1), draw(33, 65), draw(65, 33)
    part, strided = draw(34, 66), draw(66, 130)
    number = np.array(3.0, F32)

    def f(x: Any, w: Any, *r: Any) -> Any:
        row, column, whole, turned, part, strided, number = r
        y = (x @ w + row) * column + whole - turned.T
        return y * part[1:, :-1] + strided[::-2, ::2] * number

    fused = check(f, x, w, row, column, whole, turned, part, strided, number)
    assert [c.kind for c in fused.clusters] == ["product"]


def test_operands_of_any_layout() -> None:
    x, w, b = draw(20, 33), draw(65, 40), draw(65)
    assert len(check(lambda x, w, b: np.tanh(x.T @ w.T[::2] + b), x, w, b).clusters) == 1
    assert len(check(lambda x, w, b: np.tanh(x.T @ w[:, 1:21].T + b), x, w, b).clusters) == 1
    assert len(check(lambda x: np.tanh(x @ x.T) + 1, x).clusters) == 1


@pytest.mark.parametrize("dtype", [F32, F64])
def test_batches(dtype: Any) -> None:
    a, w, b = draw(3, 5, 9, 20, dtype=dtype), draw(20, 17, dtype=dtype), draw(17, dtype=dtype)
    per_place, per_batch = draw(9, 17, dtype=dtype), draw(3, 1, 1, 1, dtype=dtype)
    scores, apart = draw(3, 5, 20, 9, dtype=dtype), draw(5, 3, 17, 9, dtype=dtype)
    for f, args in (
        (lambda a, w, b: np.tanh(a @ w + b), (a, w, b)),  # one product of 135 rows
        (lambda a, w, p: np.tanh(a @ w + p), (a, w, per_place)),  # rows of p come again: a batch
        (lambda a, w, p: np.tanh(a @ w * p), (a, w, per_batch)),
        (lambda a, s: np.exp(a @ s * 0.1), (a, scores)),
        (lambda a, w, p: a @ w - p.transpose(1, 0, 3, 2), (a, w, apart)),
        (lambda a, w, b: np.tanh(a[:, :, :1] @ w + b), (a, w, b)),  # single rows
    ):
        fused = check(f, *args)
        assert [c.kind for c in fused.clusters] == ["product"], str(fused)


def test_several_results_and_the_product_itself() -> None:
    x, w = draw(20, 30), draw(30, 40)
    fused = check(lambda x, w: (x @ w, np.tanh(x @ w), (x @ w) > 0, (x @ w).astype(F64)), x, w)
    assert [c.kind for c in fused.clusters] == ["product"]
    assert stored(fused, 0) == ["matmul", "tanh", "greater", "cast"]
    fused = check(lambda x, w: (np.tanh(x @ w), (x @ w).T), x, w)
    assert "matmul" in stored(fused, 0)


def test_a_sum_of_two_products_rides_on_the_second() -> None:
    x, h, u, w = draw(9, 30), draw(9, 40), draw(30, 40), draw(40, 40)
    fused = check(lambda x, h, u, w: np.tanh(x @ u + h @ w), x, h, u, w)
    assert [c.kind for c in fused.clusters] == ["product", "product"]
    assert stored(fused, 1) == ["tanh"]


def test_what_only_reductions_use_stays_with_them() -> None:
    x, w = draw(20, 30), draw(30, 40)
    fused = check(lambda x, w: np.sum(np.square(x @ w)), x, w)
    assert fused.clusters[0].kind == "product"
    assert stored(fused, 0) == ["matmul"]
    fused = check(lambda x, w, y: cr.grad(lambda w: np.mean((x @ w - y) ** 2))(w), x, w, draw(20, 40))
    assert "pow" not in stored(fused, 0)


def test_empty_products() -> None:
    for m, k, n in ((0, 3, 4), (3, 0, 4), (3, 4, 0)):
        check(lambda x, w, b: np.tanh(x @ w + b), draw(m, k), draw(k, n), draw(n))


# Steps of training


def training_step(sizes: tuple[int, ...], rows: int, optimizer: Any, dtype: Any = F32) -> tuple[Graph, list[Any]]:
    rng = np.random.default_rng(0)
    model = cr.nn.MLP.init(sizes, rng=rng)
    x, y = rng.normal(size=(rows, sizes[0])), rng.integers(0, sizes[-1], rows)

    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = cr.value_and_grad(lambda model: cr.nn.cross_entropy(model(x), y))(model)
        updates, state = optimizer.update(gradient, state, model)
        return cr.optim.apply_updates(model, updates), state, value

    flat, structure = trees.flatten((model, optimizer.init(model), x, y))
    flat = [np.asarray(a) for a in flat]
    flat = [a.astype(dtype) if a.dtype.kind == "f" else a for a in flat]
    return cr.trace(lambda *leaves: step(*trees.unflatten(structure, leaves)))(*flat), flat


OPTIMIZERS = {
    "sgd": cr.optim.sgd(0.1),
    "momentum": cr.optim.momentum(0.1),
    "adam": cr.optim.adam(1e-3),
    "adamw": cr.optim.adamw(1e-3, weight_decay=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_of_weights_never_reach_memory(name: str) -> None:
    graph, args = training_step((20, 33, 33, 7), 13, OPTIMIZERS[name])
    same(graph, args)
    fused = fuse(graph, views(graph))
    updates = [n for n, c in enumerate(fused.clusters) if c.kind == "product" and c.domain != (13, 33) and
               c.domain != (13, 7)]  # fmt: skip
    assert len(updates) == 3
    weights = {spec.shape for spec in graph.input_specs if len(spec.shape) == 2}
    for number in updates:
        cluster = fused.clusters[number]
        assert cluster.domain in weights
        assert cluster.lines[0] not in fused.stored  # the gradient
        assert all(fused.where[i] == number for i in fused.where if graph.lines[i].spec.shape == cluster.domain
                   and i in cluster.full)  # fmt: skip
    loops = [c for c in fused.clusters if c.kind != "product" and c.domain in weights]
    assert loops == []
    assert sum(c.kind == "product" for c in fused.clusters) == 8


def test_the_clusters_of_an_adam_step() -> None:
    graph, _ = training_step((20, 33, 33, 7), 13, OPTIMIZERS["adam"])
    fused = fuse(graph, views(graph))
    assert len(fused.clusters) <= 23
    forward = [n for n, c in enumerate(fused.clusters) if c.kind == "product"][:3]
    assert [stored(fused, n) for n in forward] == [["less_equal", "where"]] * 2 + [["add"]]


def test_clipping_by_the_norm_keeps_the_gradients() -> None:
    optimizer = cr.optim.chain(cr.optim.clip_by_global_norm(0.01), cr.optim.sgd(0.1))
    graph, args = training_step((20, 33, 7), 13, optimizer)
    same(graph, args)
    fused = fuse(graph, views(graph))
    kept = [c for c in fused.clusters if c.kind == "product" and c.domain in ((20, 33), (33, 7))]
    assert len(kept) == 2
    for cluster in kept:
        assert [i for i in cluster.lines if i in fused.stored] == cluster.lines[:1]


def test_the_update_may_be_written_onto_the_weights() -> None:
    def update(w: Any, m: Any, x: Any, d: Any) -> Any:
        g = x.T @ d
        m = 0.9 * m + g
        return w - 0.1 * m, m

    args = draw(20, 33), draw(20, 33, seed=1), draw(13, 20), draw(13, 33)
    fused = check(update, *args)
    new_w, new_m = fused.graph.outputs
    number = fused.where[new_w]
    assert fused.clusters[number].kind == "product"
    assert shares(fused, number, 0, new_w)
    assert shares(fused, number, 1, new_m)
    assert not shares(fused, number, 2, new_w)  # an operand
    turned = fused_of(lambda w, x, d: w.T - 0.1 * (x.T @ d), draw(33, 33), draw(13, 33), draw(13, 33))
    assert not shares(turned, 0, 0, turned.graph.outputs[0])
    own = fused_of(lambda w: np.tanh(w @ w) + w, draw(33, 33))
    assert not shares(own, 0, 0, own.graph.outputs[0])  # read at the same place, but an operand too


def test_a_donated_state_is_updated_in_place() -> None:
    graph, args = training_step((20, 33, 7), 13, OPTIMIZERS["adam"])
    state = len(args) - 2
    program = compile_graph(graph, donated=tuple(range(state)))
    wanted = run_plan(graph, list(args))
    assert sorted(program.plan.main.shared.values()) == list(range(state))
    given = [np.array(a) for a in args]
    found = program(given)
    for result, memory, expected in zip(found[:state], given, wanted, strict=False):
        assert np.shares_memory(result, memory)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


def test_the_loops_on_a_tile_can_be_read() -> None:
    fused = fused_of(lambda x, w, b: np.maximum(x @ w + b, 0), draw(20, 30), draw(30, 40), draw(40))
    assert str(finish_kernel(fused, 0, None, 12, 32)) == (
        "kernel finish0:\n"
        "  for i in 12:\n"
        "    for j in 32:\n"
        "      t1 = tile[32*i + j]\n"
        "      t2 = b2[column + j]\n"
        "      t3 = add t1, t2\n"
        "      t4 = maximum t3, 0.0\n"
        "      b6[40*row + column + 40*i + j] = t4"
    )


def test_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.run import program as module
    from chainrule.run.pool import Pool

    graph, args = training_step((300, 260, 65), 128, OPTIMIZERS["adam"])
    program = compile_graph(graph)
    seen = []
    for threads in (1, 2, 3, 7):
        pool = Pool(threads)
        monkeypatch.setattr(module, "shared", lambda pool=pool: pool)
        for _ in range(2):
            seen.append([np.asarray(a).tobytes() for a in program(args)])
        pool.stop()
    assert all(bits == seen[0] for bits in seen)
