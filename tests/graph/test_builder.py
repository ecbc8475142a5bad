"""The builder: equal lines are one line, arrays are captured as they are, Symbols do not outlive their function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.arrays import Spec
from chainrule.base.errors import LeakedSymbolError, ShapeError, TraceError
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Constant, Graph, Line
from chainrule.ops import CATALOGUE
from chainrule.transforms.reverse import vjp_graph

F8 = np.dtype("f8")
TWICE = np.array([0, 0, 1])


def names(graph: Graph) -> list[str]:
    """The ops of a graph, inputs and constants left out."""
    return [line.op.name for line in graph.lines if line.op.name not in ("input", "constant")]


# --------------------------------------------------------------------------------------------------------- hash-consing


def test_the_same_op_on_the_same_arguments_is_one_line() -> None:
    graph = cr.trace(lambda x: np.sin(x) * np.sin(x) + np.sin(x))(1.0)
    assert names(graph) == ["sin", "mul", "add"]
    (mul,) = [line for line in graph.lines if line.op.name == "mul"]
    assert mul.args[0] == mul.args[1]


def test_order_of_arguments_and_attributes_tell_lines_apart() -> None:
    assert names(cr.trace(lambda x, y: (x - y) * (y - x))(1.0, 2.0)) == ["sub", "sub", "mul"]
    assert names(cr.trace(lambda x: (x.sum(0), x.sum(1)))(np.ones((2, 2)))) == ["sum", "sum"]


def test_x_times_x_is_one_line_used_twice_and_its_gradient_is_right() -> None:
    assert names(cr.trace(lambda x: x * x)(3.0)) == ["mul"]
    assert cr.grad(lambda x: x * x)(3.0) == 6.0


def test_scalars_that_are_equal_but_not_the_same_are_told_apart() -> None:
    graph = cr.trace(lambda x: (x * 0.0, x * -0.0, x + 1.0, x + True))(np.array(-3.0))
    plus, minus, one, yes = graph(np.float64(-3.0))
    assert np.signbit(plus)
    assert not np.signbit(minus)
    assert one == yes == -2.0
    for value in (0.0, -0.0):
        a, b = cr.trace(lambda x, v=value: (x * v, x * -v))(1.0)(np.float64(1.0))
        assert np.signbit(a) != np.signbit(b)


def test_a_weak_scalar_takes_the_dtype_it_meets() -> None:
    graph = cr.trace(lambda x, y: (x * 0.1, y * 0.1))(np.ones(2, "f4"), np.ones(2))
    assert [str(spec) for spec in graph.output_specs] == ["f32[2]", "f64[2]"]
    single, double = graph(np.ones(2, "f4"), np.ones(2))
    assert single[0] == np.float32(0.1)
    assert double[0] == 0.1


def test_lines_no_output_needs_are_dropped() -> None:
    def f(x: Any) -> Any:
        np.exp(x)
        return np.sin(x)

    assert names(cr.trace(f)(1.0)) == ["sin"]


def test_equal_graphs_are_equal_and_hash_alike() -> None:
    def make(k: float) -> Graph:
        return cr.trace(lambda x: np.sin(x) * k)(np.ones(2))

    assert make(2.0) == make(2.0)
    assert hash(make(2.0)) == hash(make(2.0))
    assert make(2.0) != make(3.0)
    assert make(0.0) != make(-0.0)
    assert make(2.0) != "graph"


# ------------------------------------------------------------------------------------------------------------ constants


def test_constants_are_frozen_copies_compared_by_their_bits() -> None:
    array = np.array([1.0, np.nan])
    constant = Constant(array)
    array[0] = 7
    assert constant.array[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        constant.array[0] = 2.0
    assert constant == Constant(np.array([1.0, np.nan]))
    assert hash(constant) == hash(Constant(np.array([1.0, np.nan])))
    assert Constant(0.0) != Constant(-0.0)
    assert Constant(1.0) != Constant(np.float32(1.0))
    assert Constant(1) != Constant(True)
    assert Constant(np.ones(2)) != Constant(np.ones((1, 2)))
    assert Constant(np.ones(2)) != [1.0, 1.0]
    assert "Constant(array(" in repr(constant)


# ------------------------------------------------------------------------------------------------------------- captures


def test_a_captured_array_is_copied_when_it_is_met() -> None:
    weights = np.array([1.0, 2.0])
    graph = cr.trace(lambda x: x * weights)(np.ones(2))
    weights[:] = 100
    np.testing.assert_array_equal(graph(np.ones(2))[0], [1.0, 2.0])


def test_an_array_changed_while_tracing_is_two_arrays() -> None:
    def f(x: Any) -> Any:
        buffer = np.array([1.0, 2.0])
        first = x * buffer
        buffer[:] = [3.0, 4.0]
        return first + x * buffer

    np.testing.assert_array_equal(cr.trace(f)(np.ones(2))(np.ones(2))[0], [4.0, 6.0])
    np.testing.assert_array_equal(cr.grad(lambda x: np.sum(f(x)))(np.ones(2)), [4.0, 6.0])


def test_a_pullback_keeps_the_values_of_its_call() -> None:
    x, w = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    _, pullback = cr.vjp(lambda x: np.sum(x * x * w), x)
    x[:] = 50
    w[:] = 60
    np.testing.assert_array_equal(pullback(1.0)[0], [6.0, 16.0])
    np.testing.assert_array_equal(pullback(1.0)[0], [6.0, 16.0])


def test_one_array_met_twice_is_one_input() -> None:
    w = np.arange(3.0)
    graph = cr.trace(lambda x: np.sum(x * w) + np.sum(w))(np.ones(3))
    assert sum(line.op.name == "constant" and line.spec.shape == (3,) for line in graph.lines) == 1


def test_another_byte_order_is_made_native() -> None:
    swapped = np.arange(3.0).astype(">f8")
    graph = cr.trace(lambda x: x + swapped)(np.ones(3))
    np.testing.assert_array_equal(graph(np.ones(3))[0], [1.0, 2.0, 3.0])
    assert graph.output_specs[0].dtype.isnative


def test_outer_symbols_become_inputs_of_inner_graphs() -> None:
    def f(x: Any) -> Any:
        return cr.grad(lambda y: np.sin(y) * x)(2.0) * x

    assert cr.grad(f)(3.0) == pytest.approx(2 * 3.0 * np.cos(2.0))


# ---------------------------------------------------------------------------------------------------------------- leaks


def leak() -> tuple[Any, Callable[[Any], Any]]:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x)
        return np.sum(x * 2)

    cr.grad(f)(np.ones(2))
    return kept[0], f


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s + 1, lambda s: np.sin(s), lambda s: s[0], lambda s: bool(s[0] > 0), lambda s: s.value,
        lambda s: cr.trace(lambda x: x + s)(1.0), lambda s: np.sum(s), lambda s: s.__setitem__(0, 1.0),
    ],
    ids=["operator", "ufunc", "index", "bool", "value", "another trace", "function", "write"],
)  # fmt: skip
def test_a_leaked_symbol_is_refused(use: Callable[[Any], Any]) -> None:
    symbol, _ = leak()
    with pytest.raises(LeakedSymbolError) as caught:
        use(symbol)
    text = str(caught.value)
    assert text.startswith("a Symbol was used after the function that made it returned")
    assert "got: a Symbol of the finished trace of f" in text
    assert f"where: {__file__}:" in text
    assert "what to do: return the value from the function" in text


def test_a_leaked_symbol_still_prints() -> None:
    assert repr(leak()[0]) == "Symbol(used after its function returned)"


def test_an_expr_of_another_graph_is_refused() -> None:
    one, other = Builder(), Builder()
    x, y = one.input(Spec((), F8)), other.input(Spec((), F8))
    with pytest.raises(TraceError, match="an Expr of another graph reached a transform"):
        one.emit(CATALOGUE["add"], (x, y), {})


# ----------------------------------------------------------------------------------------------------- of=, renumbering


def forward_of(graph: Graph) -> list[tuple[str, str, int]]:
    """(op, op it serves, argument) of every backward line."""
    return [
        (line.op.name, graph.lines[line.of[0]].op.name, line.of[1])
        for line in graph.lines
        if line.of is not None and line.op.name != "constant"
    ]


def test_backward_lines_name_the_forward_line_and_argument_they_serve() -> None:
    graph = cr.trace(lambda x, w: np.sum(np.tanh(x @ w)))(np.ones((4, 3)), np.ones((3, 2)))
    found = forward_of(vjp_graph(graph, (0, 1), (0,)))
    assert ("cosh", "tanh", 0) in found
    assert ("chain_mul", "tanh", 0) in found
    assert [row for row in found if row[0] == "matmul"] == [("matmul", "matmul", 0), ("matmul", "matmul", 1)]
    assert {forward for _, forward, _ in found} == {"sum", "tanh", "matmul"}


@pytest.mark.parametrize("dead", [False, True])
def test_of_survives_dropped_lines_and_nesting(dead: bool) -> None:
    def f(x: Any) -> Any:
        value, gradient = cr.value_and_grad(lambda y: np.sum(np.exp(y) * y) + 0 * np.sum(np.cos(y)))(x)
        return np.sum(gradient) if dead else np.sum(gradient) * value

    graph = cr.trace(f)(np.ones(2))
    whole = vjp_graph(graph, (0,), (0,))
    assert ("chain_mul", "exp", 0) in forward_of(graph)
    assert ("chain_mul", "exp", 0) in forward_of(whole)
    served = {forward for _, forward, _ in forward_of(whole)}
    assert served <= {line.op.name for line in whole.lines} - {"input", "constant"}
    assert len(forward_of(whole)) > len(forward_of(graph))


def test_of_survives_vmap() -> None:
    graph = cr.trace(cr.vmap(cr.value_and_grad(lambda x: np.sum(np.tanh(x)[TWICE]))))(np.ones((4, 3)))
    found = forward_of(graph)
    assert ("chain_mul", "tanh", 0) in found
    assert "gather" in {forward for _, forward, _ in found}


# --------------------------------------------------------------------------------------------------------------- errors


def test_errors_name_the_op_and_the_users_line() -> None:
    def wrong(x: Any) -> Any:
        return x @ np.ones((4, 2))

    with pytest.raises(ShapeError) as caught:
        cr.trace(wrong)(np.ones((2, 3)))
    text = str(caught.value)
    assert text.startswith("matmul: the inner sizes of a matrix product differ")
    assert f"where: {__file__}:{wrong.__code__.co_firstlineno + 1} in wrong" in text


def test_inlining_wants_the_right_number_of_inputs() -> None:
    graph = cr.trace(lambda x, y: x + y)(1.0, 2.0)
    outer = Builder()
    with pytest.raises(TraceError, match="wrong number of inputs for a graph\n  expected: 2\n  got: 1"):
        outer.inline(graph, [outer.input(Spec((), F8))])


def test_a_line_is_found_again_by_its_builder() -> None:
    made = Builder()
    x = made.input(Spec((), F8))
    first = made.emit(CATALOGUE["sin"], (x,), {})
    again = made.emit(CATALOGUE["sin"], (x,), {})
    assert first.index == again.index
    assert made.lines[first.index] == Line(CATALOGUE["sin"], (0,), (), Spec((), F8))
