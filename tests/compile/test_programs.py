"""Compiled programs give what the evaluator gives: every op of the catalogue, functions and their gradients, steps."""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import laws
from samples import TABLE, pointwise_samples

import chainrule as cr
from chainrule.base import trees
from chainrule.compile.fuse import fuse
from chainrule.compile.memory import Life, plan
from chainrule.compile.views import c_strides, reshaped, views
from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph
from chainrule.ops import CATALOGUE
from chainrule.ops.record import Pointwise
from chainrule.ops.structure import is_plumbing
from chainrule.run.program import compile_graph

for _path in sorted((Path(__file__).parents[1] / "ops").glob("samples_*.py")):
    importlib.import_module(_path.stem)

COMPUTING = [name for name in sorted(CATALOGUE) if not is_plumbing(name)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def close(found: Any, wanted: Any, tolerance: float | None = None) -> None:
    """Equal shapes and dtypes; values within a tolerance relative to the largest."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    if wanted.dtype.kind not in "fc":
        np.testing.assert_array_equal(found, wanted)
        return
    single = wanted.dtype.name in ("float32", "complex64")
    rel = tolerance or (3e-5 if single else 1e-11)
    finite = np.abs(wanted[np.isfinite(wanted)])
    np.testing.assert_allclose(found, wanted, rtol=rel, atol=rel * float(finite.max(initial=1e-30)))


def same(graph: Graph, args: list[Any], tolerance: float | None = None) -> None:
    """Compile a graph and compare it with the evaluator, twice: memory is used again."""
    program = compile_graph(graph)
    wanted = run_plan(graph, list(args))
    for _ in range(2):
        for found, expected in zip(program(args), wanted, strict=True):
            close(found, expected, tolerance)


def as_float32(args: list[Any]) -> list[Any]:
    return [a.astype(np.float32) if a.dtype == np.float64 else a for a in args]


@pytest.mark.parametrize("name", COMPUTING)
def test_every_op(name: str) -> None:
    op = CATALOGUE[name]
    rows = [*TABLE.get(name, []), *(pointwise_samples(op) if isinstance(op, Pointwise) else [])]
    for row in rows:
        args = [np.asarray(a) for a in row.args]
        same(laws.graph_of(op, args, row.attrs), args)
        if row.float32:
            single = as_float32(args)
            same(laws.graph_of(op, single, row.attrs), single)


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def layer_norm(x: Any) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


def cross_entropy(x: Any) -> Any:
    return cr.nn.cross_entropy(x, np.arange(len(x)) % x.shape[1])


FUNCTIONS = {
    "softmax": softmax,
    "layer norm": layer_norm,
    "cross-entropy": cross_entropy,
    "gelu": cr.nn.activations["gelu"],
    "views": lambda x: (x.T[::-1, 1:] * 2).reshape(-1)[3:].sum() + np.flip(x, 1)[0],
    "columns": lambda x: (x * x).sum(0) + x.max(axis=0),
    "middle axis": lambda x: np.sum(x.reshape(2, 3, 5), axis=1),
    "in place": lambda x: np.cumsum(np.where(x > 0, x, -x), axis=1) @ x.T,
    "everything reduced": lambda x: np.sum(np.tanh(x)) * np.min(x),
    "sorted": lambda x: np.sort(x, axis=1)[:, -2:],
    "integers": lambda x: (x * 4).astype(np.int64) // 3 + np.argmax(x, axis=1)[:, None],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_gradients(name: str, dtype: Any) -> None:
    x = np.random.default_rng(3).normal(size=(6, 5)).astype(dtype)
    f = FUNCTIONS[name]
    same(cr.trace(f)(x), [x])
    if name != "integers":
        gradient = cr.grad(lambda x: np.sum(np.sin(f(x))))
        same(cr.trace(gradient)(x), [x], 1e-4 if dtype is np.float32 else 1e-9)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,), (7,), (5, 10)])
def test_random_numbers_are_the_evaluators(shape: tuple[int, ...]) -> None:
    key = cr.random.key(5)
    for draw in (cr.random.bits, cr.random.uniform, cr.random.normal):
        graph = cr.trace(lambda key, draw=draw: draw(cr.random.split(key)[1], shape))(key)
        same(graph, [key])
    assert "call" not in kernels(cr.trace(lambda key: cr.random.bits(key, shape))(key))


def test_shifts_by_the_width_and_more() -> None:
    a, b = np.array([1, -5, 7, 1 << 40]), np.array([0, 3, 64, 70])
    for f in (np.left_shift, np.right_shift):
        same(cr.trace(f)(a, b), [a, b])


def test_strided_outputs_and_repeated_ones() -> None:
    x = np.arange(6.0).reshape(2, 3)
    program = compile_graph(cr.trace(lambda x: (x, x.T, x.T, 2 * x, (2 * x)[1:], 1.5))(x))
    first, turned, again, twice, part, number = program([x])
    for found, wanted in zip(
        (first, turned, again, twice, part, number), (x, x.T, x.T, 2 * x, (2 * x)[1:], 1.5), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)
        assert not np.shares_memory(found, x)
    assert not np.shares_memory(turned, again)
    assert not np.shares_memory(twice, part)


def test_layouts_of_arguments() -> None:
    x = np.arange(24.0).reshape(4, 6)
    program = compile_graph(cr.trace(lambda x: x * 2 + 1)(x))
    readonly = x.copy()
    readonly.flags.writeable = False
    for given in (x, np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], readonly):
        np.testing.assert_array_equal(program([given])[0], x * 2 + 1)


def training_step(sizes: tuple[int, ...], rows: int) -> tuple[Graph, list[Any]]:
    rng = np.random.default_rng(0)
    model = cr.nn.MLP.init(sizes, rng=rng)
    optimizer = cr.optim.adam(1e-3)
    x, y = rng.normal(size=(rows, sizes[0])).astype(np.float32), rng.integers(0, sizes[-1], rows)

    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        value, gradient = cr.value_and_grad(lambda model: cr.nn.cross_entropy(model(x), y))(model)
        updates, state = optimizer.update(gradient, state, model)
        return cr.optim.apply_updates(model, updates), state, value

    flat, structure = trees.flatten((model, optimizer.init(model), x, y))
    flat = [np.asarray(a) for a in flat]
    return cr.trace(lambda *leaves: step(*trees.unflatten(structure, leaves)))(*flat), flat


def test_a_training_step_is_one_native_call() -> None:
    graph, args = training_step((20, 33, 7), 13)
    same(graph, args, 2e-4)
    assert len(compile_graph(graph).plan.steps) == 1


def kernels(graph: Graph) -> list[str]:
    return [cluster.kind for cluster in fuse(graph, views(graph)).clusters]


def test_fusion() -> None:
    x = np.zeros((6, 5), np.float32)
    assert kernels(cr.trace(softmax)(x)) == ["row"]
    assert kernels(cr.trace(layer_norm)(x)) == ["row"]
    assert kernels(cr.trace(lambda x: np.tanh(x * 2 + 1) ** 2)(x)) == ["pointwise"]
    adam = cr.optim.adam(1e-3)
    state = adam.init(x)

    def update(g: Any, state: Any, p: Any) -> Any:
        updates, state = adam.update(g, state, p)
        return cr.optim.apply_updates(p, updates), state

    flat, structure = trees.flatten((x, state, x))
    found = kernels(cr.trace(lambda *leaves: update(*trees.unflatten(structure, leaves)))(*map(np.asarray, flat)))
    assert len(found) <= 2  # the step count's powers, then one loop over the weights


def test_two_threads_at_once() -> None:
    x = np.random.default_rng(0).normal(size=(200, 50))
    graph = cr.trace(lambda x, s: softmax(x * s) @ x.T)(x, 1.0)
    program = compile_graph(graph)
    wanted = [run_plan(graph, [x, np.float64(s)])[0] for s in range(4)]
    wrong: list[int] = []

    def work(s: int) -> None:
        for _ in range(30):
            if not np.allclose(program([x, np.float64(s)])[0], wanted[s]):
                wrong.append(s)

    threads = [threading.Thread(target=work, args=(s,)) for s in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_denormals_are_flushed_inside_and_the_mode_is_put_back() -> None:
    tiny = np.full(40, 1e-40, np.float32)
    program = compile_graph(cr.trace(lambda x: x * np.float32(0.5))(tiny))
    assert np.all(program([tiny])[0] == 0)
    assert np.all(tiny * np.float32(0.5) > 0)


def test_views_agree_with_numpy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(400):
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 4], rng.integers(1, 4)))
        x = np.arange(int(np.prod(shape))).reshape(shape)
        x = np.transpose(x, rng.permutation(len(shape)))
        goal = tuple(int(n) for n in rng.permutation([*x.shape, 1]))
        strides = tuple(s // x.itemsize for s in x.strides)
        made = reshaped(x.shape, strides, goal)
        if made is not None:
            flat = np.arange(x.size)
            seen = np.lib.stride_tricks.as_strided(flat, goal, [s * 8 for s in made])
            np.testing.assert_array_equal(seen, x.reshape(goal))
    assert reshaped((2, 3), c_strides((2, 3)), (6,)) == (1,)
    assert reshaped((3, 2), (1, 3), (6,)) is None


def test_memory_plan_never_overlaps_the_living() -> None:
    rng = np.random.default_rng(0)
    lives = [Life(i, int(rng.integers(1, 5000)), int(a), int(a + rng.integers(0, 9)))
             for i, a in enumerate(rng.integers(0, 30, 60))]  # fmt: skip
    offsets, total = plan(lives)
    for a in lives:
        assert offsets[a.key] % 64 == 0
        assert offsets[a.key] + a.size <= total
        for b in lives:
            if a.key < b.key and a.first <= b.last and b.first <= a.last:
                assert offsets[a.key] + a.size <= offsets[b.key] or offsets[b.key] + b.size <= offsets[a.key]
    assert total < sum(a.size for a in lives) / 2


def test_object_code_is_kept_and_damage_is_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.compile import cache

    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    x = np.arange(4.0)
    graph = cr.trace(lambda x: x + 41)(x)
    compile_graph(graph)
    (kept,) = tmp_path.glob("*.o")
    monkeypatch.setattr(cache, "compile_object", None)  # a second compile would fail
    np.testing.assert_array_equal(compile_graph(graph)([x])[0], x + 41)
    monkeypatch.undo()
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    kept.write_bytes(kept.read_bytes()[:-7] + b"damaged")
    np.testing.assert_array_equal(compile_graph(graph)([x])[0], x + 41)
    assert cache.clear()[0] == 1
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(blocked))  # a folder that can't be made costs only time
    np.testing.assert_array_equal(compile_graph(graph)([x])[0], x + 41)


def test_jit_with_the_native_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=(4, 3))
    native = cr.jit(softmax, backend="native")
    np.testing.assert_allclose(native(x), softmax(x), rtol=1e-12)
    gradient = cr.grad(lambda x: np.sum(native(x)[:, 0]))
    np.testing.assert_allclose(cr.jit(gradient, backend="native")(x), gradient(x), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(cr.vmap(native)(x), softmax(x), rtol=1e-12)
    assert native.programs
    monkeypatch.setenv("CHAINRULE_JIT", "native")
    assert cr.jit(softmax).backend == "native"
    monkeypatch.setenv("CHAINRULE_JIT", "0")
    assert cr.jit(softmax).backend == "numpy"
    assert cr.jit(softmax, backend="native").backend == "native"
    with pytest.raises(ValueError, match="one of: numpy, native"):
        cr.jit(softmax, backend="cuda")
    monkeypatch.setenv("CHAINRULE_JIT", "fast")
    with pytest.raises(ValueError, match="CHAINRULE_JIT in the environment"):
        cr.jit(softmax)


def test_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.run import program as module
    from chainrule.run.pool import Pool

    graph, args = training_step((300, 260, 10), 128)
    program = compile_graph(graph)
    assert program.parallel
    seen = []
    for threads in (1, 2, 3, 7):
        pool = Pool(threads)
        monkeypatch.setattr(module, "shared", lambda pool=pool: pool)
        for _ in range(3):
            seen.append([np.asarray(a).tobytes() for a in program(args)])
        pool.stop()
    assert all(bits == seen[0] for bits in seen)
