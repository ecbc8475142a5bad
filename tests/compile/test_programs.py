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
from perturbation import Bound, bounds, difference
from samples import TABLE, Sample, pointwise_samples
from tolerances import EXACT, ROUNDED, TOLERANCES, rounding_error, table

import chainrule as cr
from chainrule.base import trees
from chainrule.base.arrays import Spec
from chainrule.compile.emit import has_emitter
from chainrule.compile.fuse import fuse
from chainrule.compile.memory import Life, plan
from chainrule.compile.views import c_strides, reshaped, views
from chainrule.graph.builder import Builder
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


def same(graph: Graph, args: list[Any]) -> None:
    """Compile a graph and compare it with the evaluator, twice: memory is used again."""
    program = compile_graph(graph)
    wanted = bounds(graph, args)
    for _ in range(2):
        for position, (found, bound) in enumerate(zip(program(args), wanted, strict=True)):
            assert not difference(found, bound), f"output {position}: {difference(found, bound)}"


def by_the_table(graph: Graph, args: list[Any]) -> None:
    """The one op of a graph, compiled, is as near to the evaluator's as the table says, element by element.

    An op that holds graphs is compared as a program is: its lines are many.
    """
    line = next(line for line in reversed(graph.lines) if not is_plumbing(line.op.name))
    if any(isinstance(value, Graph) for _, value in line.attrs):
        same(graph, args)
        return
    given = [a.astype(graph.lines[i].spec.dtype) for a, i in zip(args, line.args, strict=True)]
    for found, wanted in zip(compile_graph(graph)(args), run_plan(graph, list(args)), strict=True):
        found, wanted = np.asarray(found), np.asarray(wanted)
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        off = rounding_error(line, given, wanted)
        assert not difference(found, Bound(wanted, np.broadcast_to(0.0 if off is None else off, wanted.shape)))


@pytest.mark.parametrize(("dtype", "highest"), [(np.float32, 43.0), (np.float64, 353.0)])
def test_the_derivative_of_tanh_is_exact_far_out(dtype: Any, highest: float) -> None:
    """Where 1 - tanh² has no digit left; and beside tanh itself, with which it is computed."""
    x = np.concatenate([np.linspace(-highest, highest, 20_001), [0.0, -0.0, 1e-8, np.inf, -np.inf, np.nan]])
    x = x.astype(dtype)
    slope, y = cr.jit(lambda x: (cr.grad(lambda x: np.sum(np.tanh(x)))(x), np.tanh(x)), backend="native")(x)
    e = np.exp(-2 * np.abs(x.astype(np.longdouble)))
    wanted, value = 4 * e / (1 + e) ** 2, np.tanh(x.astype(np.longdouble))
    known = np.isfinite(x)
    ulp = np.spacing(np.abs(wanted[known]).astype(dtype)).astype(np.longdouble)
    assert float(np.max(np.abs(slope[known] - wanted[known]) / ulp)) <= 8
    ulp = np.spacing(np.abs(value[known]).astype(dtype)).astype(np.longdouble)
    assert float(np.max(np.abs(y[known] - value[known]) / np.maximum(ulp, np.finfo(dtype).tiny))) <= 4
    np.testing.assert_array_equal(slope[-3:], np.array([0, 0, np.nan], dtype))


def as_float32(args: list[Any]) -> list[Any]:
    return [a.astype(np.float32) if a.dtype == np.float64 else a for a in args]


def samples(name: str) -> list[Sample]:
    op = CATALOGUE[name]
    return [*TABLE.get(name, []), *(pointwise_samples(op) if isinstance(op, Pointwise) else [])]


@pytest.mark.parametrize("name", COMPUTING)
def test_every_op(name: str) -> None:
    op = CATALOGUE[name]
    for row in samples(name):
        args = [np.asarray(a) for a in row.args]
        by_the_table(laws.graph_of(op, args, row.attrs), args)
        if row.float32:
            single = as_float32(args)
            by_the_table(laws.graph_of(op, single, row.attrs), single)


def test_every_op_that_compiles_states_its_tolerance() -> None:
    compiled = set()
    for name in COMPUTING:
        for row in samples(name):
            graph = laws.graph_of(CATALOGUE[name], [np.asarray(a) for a in row.args], row.attrs)
            if any(line.op.name == name and has_emitter(graph, i) for i, line in enumerate(graph.lines)):
                compiled.add(name)
    assert compiled - set(TOLERANCES) == set()
    assert set(TOLERANCES) - set(CATALOGUE) == set()


def test_the_published_tolerances_are_the_tested_ones() -> None:
    page = Path(__file__).parents[2] / "docs" / "compiler.md"
    assert table() in page.read_text(encoding="utf-8"), f"put this into {page.name}:\n{table()}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_are_within_the_table_on_their_whole_domain(dtype: Any) -> None:
    rng = np.random.default_rng(1)
    builder = Builder()
    args: list[Any] = []
    names = [name for name in sorted({*ROUNDED, *TOLERANCES} - {*EXACT}) if isinstance(CATALOGUE[name], Pointwise)]
    outputs = []
    for name in names:
        op = CATALOGUE[name]
        assert isinstance(op, Pointwise)
        given = []
        for position in range(op.ufunc.nin):
            low, high = op.domain[min(position, len(op.domain) - 1)]
            small = np.exp(rng.uniform(-30, 0, 5003)) * np.where(low < 0, rng.choice([-1, 1], 5003), 1)
            values = np.where(rng.random(5003) < 0.7, rng.uniform(low, high, 5003), np.clip(small, low, high))
            args.append(np.asarray(values, dtype))
            given.append(builder.input(Spec(args[-1].shape, args[-1].dtype)))
        outputs.append(op(*given))
    graph, _ = builder.finish(outputs)
    results = zip(names, graph.outputs, compile_graph(graph)(args), run_plan(graph, list(args)), strict=True)
    for name, index, found, wanted in results:
        line = graph.lines[index]
        off = rounding_error(line, [args[a] for a in line.args], wanted)
        off = (0.0 if off is None else off) + np.finfo(dtype).tiny  # denormals are flushed
        wrong = difference(found, Bound(wanted, np.broadcast_to(off, wanted.shape)))
        assert not wrong, f"{name}: {wrong}"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "axes"), [
    ((100_003,), (0,)), ((3, 20_000), (1,)), ((20_000, 3), (0,)), ((30, 40, 50), (1, 2)), ((30, 40, 50), (0, 2)),
])  # fmt: skip
def test_long_sums_are_within_the_table(shape: tuple[int, ...], axes: tuple[int, ...], dtype: Any) -> None:
    rng = np.random.default_rng(2)
    for x in (rng.normal(size=shape), rng.random(shape)):
        args = [x.astype(dtype)]
        by_the_table(laws.graph_of(CATALOGUE["sum"], args, {"axes": axes, "keepdims": False}), args)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("m", "k", "n"), [(5, 3, 7), (33, 100, 17), (7, 20_000, 5), (100, 513, 40), (1, 5000, 1)])
def test_long_products_are_within_the_table(m: int, k: int, n: int, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    for draw in (rng.normal, rng.random):
        args = [draw(size=(m, k)).astype(dtype), draw(size=(k, n)).astype(dtype)]
        by_the_table(laws.graph_of(CATALOGUE["matmul"], args, {}), args)


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
        same(cr.trace(gradient)(x), [x])


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
    same(graph, args)
    assert not compile_graph(graph).plan.callbacks


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
    with pytest.warns(cache.CacheWarning, match="can't be kept"):
        np.testing.assert_array_equal(compile_graph(graph)([x])[0], x + 41)


def test_jit_with_the_native_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=(4, 3))
    native = cr.jit(softmax, backend="native")
    assert not difference(native(x), bounds(cr.trace(softmax)(x), [x])[0])
    gradient = cr.grad(lambda x: np.sum(native(x)[:, 0]))
    assert not difference(cr.jit(gradient, backend="native")(x), bounds(cr.trace(gradient)(x), [x])[0])
    np.testing.assert_allclose(cr.vmap(native)(x), softmax(x), rtol=1e-12)  # vmap inlines the graph: NumPy's numbers
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
    assert program.plan.parallel
    seen = []
    for threads in (1, 2, 3, 7):
        pool = Pool(threads)
        monkeypatch.setattr(module, "shared", lambda pool=pool: pool)
        for _ in range(3):
            seen.append([np.asarray(a).tobytes() for a in program(args)])
        pool.stop()
    assert all(bits == seen[0] for bits in seen)


@pytest.mark.parametrize(("f", "shapes"), [
    (lambda x, s: x.sum(-1, keepdims=True) * s, [(7, 5), (1, 1)]),
    (lambda x, s: x.sum(-1, keepdims=True) * s, [(2, 3, 5), (3, 1)]),
    (lambda x, s: np.sum(x, (1, 2), keepdims=True) * s, [(2, 3, 5), (1, 1)]),
    (lambda x, s: np.sum(x, (0, 1, 2)) + s, [(1, 1, 1), (1,)]),
])  # fmt: skip
def test_one_value_per_row_meets_what_broadcasts_over_the_rows(f: Any, shapes: list[tuple[int, ...]]) -> None:
    args = [np.random.default_rng(0).normal(size=shape) for shape in shapes]
    same(cr.trace(f)(*args), args)


@pytest.mark.parametrize("shape", [(7, 5), (7, 1), (1,)])
def test_a_reduction_of_a_reduced_value(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    same(cr.trace(lambda x: np.sum(np.max(x, -1, keepdims=True) + 0 * x, -1) + np.sum(x, -1))(x), [x])
    same(cr.trace(lambda x: np.sum(np.broadcast_to(np.max(x, -1, keepdims=True), x.shape), -1))(x), [x])
