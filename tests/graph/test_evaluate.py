"""The NumPy evaluator: right values, each freed after its last use, inputs checked, peaks counted."""

from __future__ import annotations

import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.arrays import Spec
from chainrule.base.errors import GraphError, ShapeError
from chainrule.graph.builder import Builder
from chainrule.graph.evaluate import check_same, evaluate, nbytes, peak_bytes, plan
from chainrule.graph.graph import Graph, last_uses, live_lines
from chainrule.ops import CATALOGUE
from chainrule.ops.record import INTEGER_VALUED, Custom

MEGA = 1 << 20


def chain(length: int, size: int = MEGA // 8) -> Graph:
    """sin of sin of … of an array of 1 MiB."""
    builder = Builder()
    x = builder.input(Spec((size,), np.dtype("f8")))
    for _ in range(length):
        x = CATALOGUE["sin"](x)
    return builder.finish([x])[0]


def diamond() -> Graph:
    """%0 x, %1 sin %0, %2 cos %0, %3 mul %1 %2, %4 add %3 %1."""

    def f(x: Any) -> Any:
        a, b = np.sin(x), np.cos(x)
        return a * b + a

    return cr.trace(f)(np.ones(4))


# ------------------------------------------------------------------------------------------------------------- liveness


def test_last_uses() -> None:
    graph = diamond()
    assert last_uses(graph) == [2, 4, 3, 4, 5]


def test_an_output_lives_to_the_end_and_an_unused_line_dies_at_once() -> None:
    graph = cr.trace(lambda x, unused: (np.sin(x), np.cos(np.sin(x))))(1.0, 2.0)
    assert last_uses(graph) == [2, 1, 4, 4]
    assert live_lines(graph.lines, graph.outputs) == [True, False, True, True]


def test_the_plan_frees_each_value_once_and_never_an_output() -> None:
    graph = diamond()
    freed = [i for _, _, _, frees in plan(graph) for i in frees]
    assert sorted(freed) == [0, 1, 2, 3]
    for _, args, index, frees in plan(graph):
        assert all(i in args or i == index for i in frees)


def test_values_are_freed_after_their_last_use() -> None:
    alive: list[weakref.ref[Any]] = []
    counts: list[int] = []

    def watch(x: Any) -> Any:
        out = np.array(x)
        counts.append(sum(r() is not None for r in alive))
        alive.append(weakref.ref(out))
        return out

    op = Custom(
        "watched", watch, shape_rule=lambda x: x, vjp=INTEGER_VALUED, jvp=INTEGER_VALUED,
        batching=lambda args, batched, size, attrs: op(*args), latex="", sentence="",
    )  # fmt: skip
    try:
        builder = Builder()
        x = builder.input(Spec((3,), np.dtype("f8")))
        for _ in range(6):
            x = op(x)
        graph, _ = builder.finish([x])
        evaluate(graph, [np.ones(3)])
    finally:
        del CATALOGUE["watched"]
    assert counts == [0, 1, 1, 1, 1, 1]


def test_memory_of_a_long_chain_is_that_of_two_values() -> None:
    graph = chain(30)
    x = np.ones(MEGA // 8)
    plan(graph)
    tracemalloc.start()
    try:
        evaluate(graph, [x])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3.5 * MEGA
    assert peak_bytes(graph) == 2 * MEGA


# ----------------------------------------------------------------------------------------------------------- peak_bytes


def test_peak_of_a_diamond() -> None:
    # While %3 = mul %1 %2 runs: %1, %2, %3; the input died at %2.
    assert peak_bytes(diamond()) == 3 * 32


def test_peak_counts_what_stays_for_the_backward_pass() -> None:
    def f(x: Any) -> Any:
        for _ in range(20):
            x = np.sin(x)
        return np.sum(x)

    x = np.ones(1000)
    forward, both = cr.trace(f)(x), cr.trace(cr.value_and_grad(f))(x)
    assert peak_bytes(forward) <= 4 * 8000
    assert peak_bytes(both) >= 20 * 8000


def test_checkpoint_lowers_the_peak() -> None:
    def piece(x: Any) -> Any:
        for _ in range(10):
            x = np.sin(x)
        return x

    def loss(wrap: Any) -> Any:
        def f(x: Any) -> Any:
            for _ in range(10):
                x = wrap(piece)(x)
            return np.sum(x)

        return f

    x = np.linspace(0, 1, 1000)
    kept = cr.trace(cr.grad(loss(lambda f: f)))(x)
    again = cr.trace(cr.grad(loss(cr.checkpoint)))(x)
    assert peak_bytes(kept) >= 100 * 8000
    assert peak_bytes(again) <= 35 * 8000
    np.testing.assert_allclose(again(x)[0], kept(x)[0], rtol=1e-12)


def test_nbytes() -> None:
    assert nbytes(Spec((3, 2), np.dtype("f4"))) == 24
    assert nbytes(Spec((), np.dtype("c16"))) == 16
    assert nbytes(Spec((0, 9), np.dtype("f8"))) == 0
    assert nbytes((Spec((2,), np.dtype("f8")), Spec((2,), np.dtype("?")))) == 18


# --------------------------------------------------------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ([], "wrong number of inputs\n  expected: 2\n  got: 0"),
        ([np.ones(3), np.ones(3)], "w is not what the graph was traced for\n  expected: f64[2]\n  got: f64[3]"),
        ([np.ones(3), np.ones(2, "f4")], "w is not what the graph was traced for\n  expected: f64[2]\n  got: f32[2]"),
        ([1, np.ones(2)], "x is not what the graph was traced for\n  expected: f64[3]\n  got: i64[]"),
    ],
)
def test_inputs_are_checked(arrays: list[Any], words: str) -> None:
    graph = cr.trace(lambda x, w: np.sum(x) * w)(np.ones(3), np.ones(2))
    with pytest.raises(ShapeError) as caught:
        graph(*arrays)
    assert words in str(caught.value)


def test_inputs_without_names_are_numbered() -> None:
    graph = chain(1, 2)
    with pytest.raises(ShapeError, match="input 0 is not what the graph was traced for"):
        graph(np.ones(3))


def test_errors_of_numpy_get_the_users_line_as_a_note() -> None:
    def f(x: Any, i: Any) -> Any:
        return x[i]

    graph = cr.trace(f)(np.ones(3), np.array([0, 1]))
    with pytest.raises(IndexError) as caught:
        graph(np.ones(3), np.array([0, 7]))
    (note,) = caught.value.__notes__
    assert note == f"in gather, from {__file__}:{f.__code__.co_firstlineno + 1} in f"


def test_inputs_are_never_written_to() -> None:
    def f(x: Any) -> Any:
        x[0] = 5.0
        x += 1
        return x

    x = np.arange(3.0)
    np.testing.assert_array_equal(cr.trace(f)(x)(x)[0], [6.0, 2.0, 3.0])
    np.testing.assert_array_equal(x, [0.0, 1.0, 2.0])


def test_floating_point_warnings_are_silent() -> None:
    graph = cr.trace(lambda x: 1 / x + np.log(x))(1.0)
    assert np.isnan(graph(np.float64(0.0))[0]) or np.isinf(graph(np.float64(0.0))[0])


def test_check_same_names_the_first_line_that_differs() -> None:
    def make(f: Any) -> Graph:
        return cr.trace(lambda x: f(np.sin(x)))(1.0)

    check_same(make(np.cos), make(np.cos))
    with pytest.raises(GraphError, match="line %2 differs"):
        check_same(make(np.cos), make(np.tan))
    one = make(np.cos)
    with pytest.raises(GraphError, match="graphs differ in inputs, outputs or length"):
        check_same(one, Graph(one.lines, 1, (2, 0), one.names))
