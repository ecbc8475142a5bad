"""Every line names the line of the user's code that it comes from, also behind library code."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import optree
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.graph.graph import Graph, Source
from chainrule.graph.source import user_source, without_sources


def sources(graph: Graph) -> dict[str, set[int]]:
    """For each op the lines of this file it is said to come from, counted from the first line of the function."""
    found: dict[str, set[int]] = {}
    for line in graph.lines:
        if line.source is not None:
            assert line.source.file == __file__
            found.setdefault(line.op.name, set()).add(line.source.line)
    return found


def relative(graph: Graph, f: Any) -> dict[str, set[int]]:
    first = f.__code__.co_firstlineno
    return {name: {n - first for n in lines} for name, lines in sources(graph).items()}


def test_each_line_has_its_own() -> None:
    def f(x: Any) -> Any:
        y = np.sin(x)
        z = y * 2
        return np.sum(
            np.cos(z)
        )

    assert relative(cr.trace(f)(np.ones(2)), f) == {"sin": {1}, "mul": {2}, "cos": {4}, "sum": {3}}


def test_the_innermost_line_of_the_user_counts() -> None:
    def helper(x: Any) -> Any:
        return np.exp(x)

    def f(x: Any) -> Any:
        return helper(x) + 1

    graph = cr.trace(f)(np.ones(2))
    (exp,) = [line for line in graph.lines if line.op.name == "exp"]
    assert exp.source == Source(__file__, helper.__code__.co_firstlineno + 1, "helper")
    assert str(exp.source) == f"{__file__}:{helper.__code__.co_firstlineno + 1} in helper"


def test_code_of_numpy_and_of_chainrule_is_looked_through() -> None:
    model = nn.MLP.init([3, 4, 2], activation="tanh", rng=np.random.default_rng(0))

    def f(x: Any) -> Any:
        y = model(x)
        return nn.cross_entropy(
            y, np.array([0, 1])
        ) + np.trapezoid(np.ones(2), x=np.ones(2))

    graph = cr.trace(f)(np.ones((2, 3), "f4"))
    found = relative(graph, f)
    assert found["matmul"] == {1}
    assert found["tanh"] == {1}
    assert set.union(*found.values()) <= {1, 2, 3, 4}


def test_trees_and_their_library_are_looked_through() -> None:
    def f(p: Any) -> Any:
        return sum(optree.tree_leaves(optree.tree_map(np.sin, p)))

    graph = cr.trace(f)({"a": 1.0, "b": 2.0})
    assert relative(graph, f)["sin"] == {1}


def test_backward_lines_keep_the_source_of_their_forward_line() -> None:
    def f(x: Any) -> Any:
        y = np.tanh(x)
        return np.sum(y)

    graph = cr.trace(cr.grad(f))(np.ones(2))
    assert relative(graph, f)["cosh"] == {1}
    for line in graph.lines:
        if line.of is not None:
            assert line.source == graph.lines[line.of[0]].source


@pytest.mark.parametrize("transform", [cr.vmap, cr.jit, lambda f: lambda x: cr.jvp(f, (x,), (x,))])
def test_transforms_keep_sources(transform: Any) -> None:
    def f(x: Any) -> Any:
        return np.sin(x) * x

    graph = cr.trace(transform(f))(np.ones((3, 2)))
    assert relative(graph, f)["sin"] == {1}


def test_bodies_of_loops_keep_sources() -> None:
    def f(x: Any) -> Any:
        def step(h: Any, row: Any) -> Any:
            return np.sin(h + row), h

        return cr.scan(step, x[0], x)[0]

    graph = cr.trace(f)(np.ones((3, 2)))
    (scan,) = [line for line in graph.lines if line.op.name == "scan"]
    first = f.__code__.co_firstlineno
    assert scan.source is not None
    assert scan.source.line == first + 4
    (sine,) = [line for line in dict(scan.attrs)["body"].lines if line.op.name == "sin"]
    assert sine.source is not None
    assert sine.source.line == first + 2


def test_where_this_line_is() -> None:
    here, frame = user_source(), inspect.currentframe()
    assert frame is not None
    assert here == Source(__file__, frame.f_code.co_firstlineno + 1, "test_where_this_line_is")


def test_constants_and_inputs_come_from_no_line() -> None:
    graph = cr.trace(lambda x: x * 2.0)(1.0)
    assert [line.source for line in graph.lines if line.op.name in ("input", "constant")] == [None, None]


def test_a_graph_without_its_lines_of_code() -> None:
    def f(x: Any) -> Any:
        return cr.scan(lambda h, row: (np.tanh(h + row), None), x[0], x)[0] * 2

    graph = cr.trace(f)(np.ones((3, 2)))
    bare = without_sources(graph)
    assert "test_source.py" in str(graph)
    assert "#" not in str(bare)
    assert (len(bare), bare.outputs, bare.names) == (len(graph), graph.outputs, graph.names)
    assert [line.op for line in bare.lines] == [line.op for line in graph.lines]
