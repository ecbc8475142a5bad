"""What runs natively and not in NumPy, against the evaluator: dtypes, ties, NaN, empty and strided arrays, extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule import nn
from chainrule.base import trees
from chainrule.compile.compiler import make_plan
from chainrule.graph.evaluate import run_plan
from chainrule.ops import CATALOGUE
from chainrule.run.program import compile_graph

SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def op(name: str, *args: Any, **attrs: Any) -> Any:
    return CATALOGUE[name](*args, **attrs)


def native(f: Callable[..., Any], *args: Any, ulps: float = 0.0) -> None:
    """``f`` compiles without calls back into NumPy, and gives the evaluator's bits (or within ``ulps``), also again."""
    graph = cr.trace(f)(*args)
    program = compile_graph(graph)
    assert not make_plan(graph).callbacks
    wanted = run_plan(graph, [np.asarray(a) for a in args])
    for _ in range(2):
        for found, expected in zip(program([np.asarray(a) for a in args]), wanted, strict=True):
            expected = np.asarray(expected)
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            if ulps and expected.dtype.kind == "f":
                rel = ulps * float(np.finfo(expected.dtype).eps)
                np.testing.assert_allclose(found, expected, rtol=rel, atol=0)
            else:
                np.testing.assert_array_equal(found, expected)


def numbers(dtype: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Numbers with ties; floats with NaN and infinities among them, integers with their extremes."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if dtype == "bool":
        return rng.random(shape) < 0.4
    if kind.kind == "f":
        pool = np.array([0.0, -0.0, 1.5, 1.5, -2.0, 7.0, np.inf, -np.inf, 3.0, -1.0, 0.25], kind)
    else:
        info = np.iinfo(kind)
        pool = np.array([0, 1, 3, 3, 7, 100, info.max, info.min, info.max - 1, *([-1, -7, -3] if info.min else [])],
                        kind)  # fmt: skip
    return rng.choice(pool, shape)


@pytest.mark.parametrize("dtype", ["bool", *SIGNED, *UNSIGNED, *FLOATS])
def test_where_the_largest_is(dtype: str) -> None:
    x = numbers(dtype, (5, 4, 7))
    y = numbers(dtype, (19,), 1)
    if dtype in FLOATS:
        x[0, 1, 3] = x[0, 1, 5] = x[3, 0, 0] = x[4, 3, 6] = np.nan
    one, row = x[:, :1, :1], x[0, 0]

    def f(x: Any, y: Any, one: Any, row: Any) -> Any:
        arrays = [(x, 0), (x, 1), (x, 2), (np.transpose(x, (2, 0, 1)), 1), (x[:, ::-2], 2), (y, 0), (one, 1), (row, 0)]
        return [g(a, axis=axis) for a, axis in arrays for g in (np.argmax, np.argmin)]

    native(f, x, y, one, row)
    if dtype in FLOATS:
        native(f, *(np.full_like(a, np.nan) for a in (x, y, one, row)))
        native(f, *(np.full_like(a, -np.inf) for a in (x, y, one, row)))


def test_where_the_largest_is_of_no_rows() -> None:
    native(lambda x: (np.argmax(x, axis=1), np.argmin(x, axis=2)), np.zeros((0, 3, 4), np.float32))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", *FLOATS])
def test_the_order_of_short_rows(dtype: str) -> None:
    x = numbers(dtype, (3, 64, 5))
    if dtype in FLOATS:
        x[0, 3, 2] = x[0, 9, 2] = x[1, 60, 0] = np.nan
    native(lambda x: [op("argsort", a, axis=axis) for a, axis in (
        (x, 0), (x, 1), (x, 2), (x[:, ::-2], 1), (x.T, 1), (x[0, 0], 0), (x[:1], 0), (x[:0], 0), (x[:0], 1))], x)
    if dtype in FLOATS:
        native(lambda x: (np.sort(x, axis=2), np.median(x[..., :4], axis=1)), x)
        native(cr.grad(lambda x: np.sum(np.sort(x, axis=1)[:, -2:] ** 2)), x[2])


@pytest.mark.parametrize("dtype", ["bool", *SIGNED, *UNSIGNED, *FLOATS])
def test_running_sums(dtype: str) -> None:
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(3, 5, 9)) * 50).astype(dtype)
    if dtype in FLOATS:
        x[1, 2, 3], x[0, 0, 0], x[2, 2, 2] = np.nan, -0.0, np.inf

    def f(x: Any, one: Any, none: Any) -> Any:
        arrays = [x, np.transpose(x, (1, 2, 0)), x[:, ::2, ::-1], x[0, 0], one]
        sums = [op("cumsum", a, axis=axis, reverse=reverse) for a in arrays for axis in range(a.ndim)
                for reverse in (False, True)]  # fmt: skip
        sums += [np.cumsum(none, axis=0), np.cumsum(none, axis=1), np.cumsum(np.broadcast_to(one[0, 0, 0], (4, 1)))]
        return sums

    native(f, x, x[:1, :1], x[:0, 0])
    if dtype in FLOATS:
        start = compile_graph(cr.trace(lambda x: np.cumsum(x))(x[0, 0]))([np.array([-0.0] * 9, dtype)])[0]
        assert np.all(np.signbit(start))


def test_running_sums_in_parts() -> None:
    x = np.random.default_rng(0).normal(size=(300, 40, 33))
    native(lambda x: (np.cumsum(x, axis=1), np.cumsum(x, axis=2)), x)


@pytest.mark.parametrize("dtype", [*SIGNED, *UNSIGNED])
def test_whole_number_division(dtype: str) -> None:
    info = np.iinfo(dtype)
    some = [0, 1, 2, 3, 7, info.max, info.max - 1, info.min, *([-1, -2, -7, info.min + 1] if info.min else [])]
    x = np.array(some, dtype)
    native(lambda x, y: (x[:, None] // y, x[:, None] % y, x // 3, x % 3, x // 1, 7 // y, op("bitwise_count", x)), x, x)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "uint16"])
def test_small_integers(dtype: str) -> None:
    x, y = numbers(dtype, (6, 9)), numbers(dtype, (6, 9), 1)
    bits = np.array(y.astype(np.int64) % 11).astype(dtype)
    native(
        lambda x, y, bits: (
            x + y, x - y, x * y, np.abs(x), np.sign(x), np.maximum(x, y), np.minimum(x, y), x < y, x == y, x & y, x ^ y,
            ~x, x << bits, x >> bits, np.where(x > y, x, y), np.max(x, axis=0), np.min(x), np.sum(x), np.sum(x, axis=1),
            np.concatenate([x, y]), x.T[1:].reshape(-1), np.any(x), x**3, x[np.array([2, 0])],
        ),
        x, y, bits,
    )  # fmt: skip


def test_casts() -> None:
    every = ("bool", *SIGNED, *UNSIGNED, *FLOATS)
    rng = np.random.default_rng(0)
    small = {d: rng.integers(0, 100, 9).astype(d) for d in every}
    small |= {d: (rng.normal(size=9) * 30).astype(d) for d in (*SIGNED, *FLOATS)}
    wide = {d: np.array([0, 1, np.iinfo(d).max, np.iinfo(d).min], d) for d in (*SIGNED, *UNSIGNED)}
    beyond = np.array([-1.0, -300.7, 300.7, 70000.2, -70000.9, 1e9, 2.9, -0.5])  # C's rule: wider, then cut off
    known = [(d, e) for d in every for e in every if not (d in FLOATS and e in UNSIGNED)]
    native(lambda *x: [x[every.index(d)].astype(e) for d, e in known], *(small[d] for d in every))
    native(lambda *x: [a.astype(e) for a in x for e in every], *wide.values())
    native(lambda x: [x.astype(e) for e in ("int8", "int16", "uint8", "uint16", "int32", "uint32")], beyond)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
def test_reductions_over_any_axes(dtype: str) -> None:
    x = np.random.default_rng(0).integers(-3, 4, (2, 3, 1, 5, 4)).astype(dtype)
    every = [(1,), (0, 2), (1, 3), (0, 4), (1, 4), (0, 2, 4), (2,), (3,), (0, 1, 2, 3, 4), (1, 2), (2, 4)]

    def f(x: Any) -> Any:
        found = [np.sum(x, axis=axes, keepdims=k) for axes in every for k in (False, True)]
        found += [g(a, axis=axes) for axes in every for g in (np.max, np.min, np.any, np.all) for a in (x, x.T)]
        return found

    native(f, x)


@pytest.mark.parametrize("width", [1, 511, 512, 513, 1030])
def test_columns_of_any_width(width: int) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (3, 2, width))
    y = x.astype(np.float32)
    y[1, 1, width // 2] = np.nan
    native(lambda x, y: (np.sum(x, axis=0), np.max(y, axis=0), np.min(y, axis=(0, 1)), np.any(x, axis=1)), x, y)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "uint64"])
def test_products_of_whole_numbers(dtype: str) -> None:
    x, y = numbers(dtype, (4, 6)), numbers(dtype, (3, 6, 5), 1)
    wide = numbers(dtype, (3, 6, 9), 2)
    native(
        lambda x, y, wide: (x @ y, x.T @ x, x[:, :1] @ y[0, :1], x[:, :0] @ y[:, :0], y[0].T @ x[0], x[0] @ x[1],
                            x @ wide, x[0] @ wide[1], wide.transpose(0, 2, 1) @ wide, x[:, :0] @ wide[:, :0]),
        x, y, wide,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
def test_one_place_in_every_row(dtype: str) -> None:
    logits = numbers(dtype, (6, 5))
    logits[2, 1] = np.nan
    labels = np.array([0, 4, -1, 1, -5, 2])

    def f(x: Any, labels: Any) -> Any:
        rows = np.arange(6)
        picked = (x * 2)[rows, labels]
        written = np.zeros_like(x)
        written[rows, labels] += picked
        return picked, written

    native(f, logits, labels)
    native(f, logits, labels.astype(np.int32))
    x = np.random.default_rng(0).normal(size=(6, 5)).astype(dtype)
    native(cr.value_and_grad(nn.cross_entropy), x, labels, ulps=16)


@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_made_of_others(dtype: str) -> None:
    special = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 0.5, 0.25, 0.75, 0.3, 0.5000001, 2, 1e-7, 0.9], dtype)
    x, y = special[:, None], special[None]

    def f(x: Any, y: Any) -> Any:
        return op("xlogy", x, y), op("xlog1py", x, y), op("logit", x), np.signbit(x), np.signbit(-x)

    native(f, x, y, ulps=5)


@pytest.mark.parametrize("dtype", FLOATS)
def test_powers(dtype: str) -> None:
    special = [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-7, -1e7, 2.5, -0.75]
    x = np.concatenate([special, np.random.default_rng(0).normal(size=200) * 3]).astype(dtype)
    native(lambda x: [x**p for p in (0.0, 1.0, 2.0, 3.0, 4.0, -1.0, 0.5, 1.5, -0.5, 5.0)], x, ulps=4)


def test_lengths() -> None:
    x = np.random.default_rng(0).normal(size=(7, 3, 5))
    native(lambda x: (np.linalg.norm(x, axis=1), np.linalg.norm(x[0]), np.linalg.norm(x, axis=(0, 2))), x, ulps=4)
    native(cr.grad(lambda x: np.sum(np.linalg.norm(x, axis=2))), np.where(x < -1, 0, x), ulps=8)


def programs() -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """What a training run calls: the parts of the library that must not leave native code."""
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=(6, 5)).astype(np.float32) for _ in range(2))
    labels, key = rng.integers(0, 5, 6), cr.random.key(1)
    found: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        f"activation {name}": (cr.grad(lambda x, f=f: np.sum(f(x))), [x]) for name, f in nn.activations.items()
    }
    for f in (nn.softmax, nn.log_softmax, nn.logsumexp):
        found[f.__name__] = (cr.grad(lambda x, f=f: np.sum(f(x) ** 2)), [x])
    for f in (nn.huber, nn.mae, nn.mse, nn.rmse, nn.r2):
        found[f.__name__] = (cr.value_and_grad(f), [x, t])
    found["cross-entropy"] = (cr.value_and_grad(nn.cross_entropy), [x, labels])
    found["hinge"] = (cr.value_and_grad(nn.hinge), [x[:, 0], (labels > 2).astype(np.float32)])
    found["binary"] = (cr.value_and_grad(nn.binary_cross_entropy_with_logits), [x, (t > 0).astype(np.float32)])
    found["accuracy"] = (nn.accuracy, [x, labels])
    draws = (cr.random.uniform, cr.random.normal, cr.random.exponential, cr.random.gumbel, cr.random.logistic,
             cr.random.laplace, cr.random.rademacher, cr.random.bits)  # fmt: skip
    for draw in draws:
        found[draw.__name__] = (lambda key, draw=draw: draw(key, shape=(3, 4)), [key])
    found["categorical"] = (cr.random.categorical, [key, x])
    model = nn.Sequential((nn.Linear.init(5, 7, rng=rng), nn.Dropout(0.3), nn.Linear.init(7, 5, rng=rng)))
    for name, make in cr.optim.optimizers.items():
        optimizer = cr.optim.chain(cr.optim.clip_by_global_norm(1.0), make(cr.optim.schedules.cosine(0.1, steps=9)))
        flat, structure = trees.flatten((model, optimizer.init(model), x, labels, key))

        def step(*leaves: Any, optimizer: Any = optimizer, structure: Any = structure) -> Any:
            model, state, x, y, key = trees.unflatten(structure, leaves)
            loss = lambda model: nn.cross_entropy(model(x, key=key), y)  # noqa: E731
            value, gradient = cr.value_and_grad(loss)(model)
            updates, state = optimizer.update(gradient, state, model)
            return cr.optim.apply_updates(model, updates), state, value, nn.accuracy(model(x), y)

        found[f"training step, {name}"] = (step, [np.asarray(a) for a in flat])
    return found


PROGRAMS = programs()


@pytest.mark.parametrize("name", PROGRAMS)
def test_training_stays_native(name: str) -> None:
    f, args = PROGRAMS[name]
    plan = make_plan(cr.trace(f)(*args))
    assert [call.run for _, call in plan.callbacks] == []
