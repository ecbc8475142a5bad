"""The checker: each rule, broken on purpose, is refused by name, with the neighbours and the user's line."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.arrays import Spec
from chainrule.base.errors import GraphError
from chainrule.graph import builder
from chainrule.graph.builder import Builder
from chainrule.graph.check import check, checking
from chainrule.graph.graph import Constant, Graph, Line, Source
from chainrule.ops import CATALOGUE

F8 = np.dtype("f8")
VECTOR = Spec((2,), F8)


def f(x: Any, w: Any) -> Any:
    return np.sum(np.tanh(x * w))


def good() -> Graph:
    """%0 x, %1 w, %2 mul, %3 tanh, %4 sum."""
    return cr.trace(f)(np.ones(2), np.ones(2))


def change(index: int, **parts: Any) -> Callable[[Graph], Graph]:
    """The graph with parts of one line replaced."""

    def changed(graph: Graph) -> Graph:
        lines = list(graph.lines)
        lines[index] = lines[index]._replace(**parts)
        return Graph(tuple(lines), graph.inputs, graph.outputs, graph.names)

    return changed


def insert(line: Line) -> Callable[[Graph], Graph]:
    """The graph with one line more at the end."""
    return lambda g: Graph((*g.lines, line), g.inputs, g.outputs, g.names)


def attrs(**values: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(values.items()))


def op(name: str) -> Any:
    return CATALOGUE[name]


ONE = attrs(value=Constant(np.ones(2)))
MULTI = Line(op("call"), (0,), attrs(graph=cr.trace(lambda x: (x, x * 2))(np.ones(2))), (VECTOR, VECTOR))

BROKEN: list[tuple[Callable[[Graph], Graph], str]] = [
    (change(3, args=(3,)), "line %3: an argument must come before the line that uses it\n"
     "  expected: below %3\n  got: %3"),
    (change(3, args=(4,)), "line %3: an argument must come before the line that uses it"),
    (change(3, args=(-1,)), "line %3: an argument must come before the line that uses it"),
    (change(3, args=(9,)), "line %3: an argument must come before the line that uses it"),
    (change(3, op=op("input"), args=()), "line %3: an input stands behind the inputs\n  expected: inputs below %2"),
    (change(1, op=op("sin"), args=(0,)), "line %1: the first lines must be the inputs"),
    (change(1, args=(0,)), "line %1: the first lines must be the inputs"),
    (change(1, spec=(VECTOR,)), "line %1: an input has one value"),
    (change(3, op="tanh"), "line %3: a line's op is an op record"),
    (change(3, spec=Spec((3,), F8)), "line %3: a line has another type than its op infers\n"
     "  expected: f64[2]\n  got: f64[3]"),
    (change(3, spec=Spec((2,), np.dtype("f4"))), "line %3: a line has another type than its op infers"),
    (change(3, spec=None), "line %3: a line's type is a Spec, or a tuple of them"),
    (change(3, spec=Spec([2], F8)), "line %3: a shape is a tuple of Python ints"),
    (change(3, spec=Spec((np.int64(2),), F8)), "line %3: a shape is a tuple of Python ints"),
    (change(3, spec=Spec((-2,), F8)), "line %3: a shape is a tuple of Python ints"),
    (change(3, spec=Spec((2,), np.dtype("O"))), "line %3: not a dtype a line can have"),
    (change(3, spec=Spec((2,), float)), "line %3: not a dtype a line can have"),
    (change(3, args=(2, 2)), "line %3: tanh has 1 arguments\n  expected: 1\n  got: 2"),
    (change(3, args=()), "line %3: tanh has 1 arguments"),
    (change(3, attrs=attrs(axis=0)), "line %3: tanh takes no attributes"),
    (change(4, attrs=attrs(axes=(0,))), "line %4: the type of this line can't be inferred: TypeError"),
    (change(4, attrs=attrs(axes=(0,), keepdims=False)[::-1]), "line %4: attributes are sorted by name, each once"),
    (change(4, attrs=(("axes", (0,)), ("axes", (0,)), ("keepdims", False))), "line %4: attributes are sorted by name"),
    (change(4, attrs=attrs(axes=[0], keepdims=False)), "line %4: attribute axes can't be hashed"),
    (change(4, args=(3, 3)), "line %4: the type of this line can't be inferred: TypeError"),
    (change(4, of=(4, 0)), "line %4: of names no earlier line\n  expected: %2 to %3\n  got: %4"),
    (change(4, of=(1, 0)), "line %4: of names no earlier line"),
    (change(4, of=(2, 2)), "line %4: of names an argument that %2 has not\n  expected: 0 to 1\n  got: 2"),
    (change(4, source="m.py:1"), "line %4: a line's source is a Source or None"),
    (insert(Line(op("mul"), (0, 1), (), VECTOR)), "line %5: this line is the same as %2"),
    (insert(Line(op("mul"), (0, 4), (), Spec((3,), F8))), "line %5: a line has another type than its op infers"),
    (insert(Line(op("constant"), (), (), VECTOR)), "line %5: a constant has a value and no arguments"),
    (insert(Line(op("constant"), (0,), ONE, VECTOR)), "line %5: a constant has a value and no arguments"),
    (insert(Line(op("constant"), (), attrs(value=1.0), VECTOR)), "line %5: a constant has a value and no arguments"),
    (insert(Line(op("constant"), (), ONE, Spec((3,), F8))), "line %5: a line has another type than its op infers"),
    (insert(Line(op("constant"), (), ONE, Spec((2,), np.dtype("f4")))), "line %5: a line has another type"),
    (insert(Line(op("reshape"), (0,), attrs(shape=(3,)), Spec((3,), F8))),
     "line %5: the type of this line can't be inferred: the sizes before and after reshaping differ\n"
     "  expected: a shape of 2 elements"),
    (insert(Line(op("bitwise_and"), (0, 1), (), VECTOR)), "line %5: the type of this line can't be inferred: bit"),
    (lambda g: Graph(g.lines, 9, g.outputs), "a graph has fewer lines than inputs\n  expected: 9\n  got: 5"),
    (lambda g: Graph(g.lines, 2, g.outputs, ("x",)), "a graph needs a name for each input, or none"),
    (lambda g: Graph(g.lines, 2, (5,), ()), "output 0 is not a line of the graph\n  expected: %0 to %4\n  got: %5"),
    (lambda g: Graph(g.lines, 2, (4, -1), ()), "output 1 is not a line of the graph"),
    (lambda g: Graph((*g.lines, MULTI), 2, (5,), ()), "line %5: output 0 is a line with several values"),
    (lambda g: insert(Line(op("sin"), (5,), (), VECTOR))(insert(MULTI)(g)), "line %6: only item takes a line with"),
    (lambda g: insert(Line(op("item"), (5,), attrs(position=2), VECTOR))(insert(MULTI)(g)),
     "line %6: the type of this line can't be inferred: IndexError"),
]  # fmt: skip


def test_a_good_graph_passes() -> None:
    check(good())
    check(insert(MULTI)(good()))
    check(insert(Line(op("item"), (5,), attrs(position=1), VECTOR))(insert(MULTI)(good())))
    check(change(4, of=(2, 1))(good()))
    check(Graph((), 0, ()))


@pytest.mark.parametrize(("breaking", "words"), BROKEN, ids=[f"{i}" for i in range(len(BROKEN))])
def test_a_broken_rule_is_named(breaking: Callable[[Graph], Graph], words: str) -> None:
    with pytest.raises(GraphError) as caught:
        check(breaking(good()))
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("name", ["matmul", "concatenate", "complex"])
def test_dtypes_that_differ_need_a_cast(name: str) -> None:
    double, single = Spec((2, 2), F8), Spec((2, 2), np.dtype("f4"))
    values = attrs(axis=0) if name == "concatenate" else ()
    spec = op(name).infer([double, double], dict(values))
    lines = (Line(op("input"), (), (), double), Line(op("input"), (), (), single), Line(op(name), (0, 1), values, spec))
    with pytest.raises(GraphError, match="line %2: arguments differ in dtype\n  expected: one dtype: a cast is a line"):
        check(Graph(lines, 2, (2,)))
    lines = (*lines[:1], Line(op("input"), (), (), double), lines[2])
    check(Graph(lines, 2, (2,)))


def test_a_pointwise_op_needs_the_dtypes_of_its_loop() -> None:
    lines = (
        Line(op("input"), (), (), VECTOR),
        Line(op("input"), (), (), Spec((2,), np.dtype("i8"))),
        Line(op("add"), (0, 1), (), VECTOR),
    )
    with pytest.raises(GraphError) as caught:
        check(Graph(lines, 2, (2,)))
    assert "expected: float64, float64\n  got: float64, int64" in str(caught.value)


def test_where_names_the_neighbours_and_the_users_line() -> None:
    with pytest.raises(GraphError) as caught:
        check(change(3, spec=Spec((3,), F8))(good()))
    where = str(caught.value).split("  where: ")[1].split("\n")
    assert where[0] == f"{__file__}:{f.__code__.co_firstlineno + 1} in f"
    assert [row.split(" from ")[0] for row in where[1:]] == [
        "    %1: f64[2] = input \"w\"",
        "    %2: f64[2] = mul %0 %1",
        "  > %3: f64[3] = tanh %2",
        "    %4: f64[] = sum %3 axes=(0,) keepdims=False",
    ]


def test_where_without_a_users_line() -> None:
    with pytest.raises(GraphError, match="where: no line of the user's code\n"):
        check(change(3, spec=VECTOR, args=(3,), source=None)(good()))


def test_nested_graphs_are_checked() -> None:
    wrong = change(3, of=(3, 0))(good())
    line = Line(op("call"), (0, 1), attrs(graph=wrong), (Spec((), F8),))
    lines = (*good().lines[:2], line, Line(op("item"), (2,), attrs(position=0), Spec((), F8)))
    with pytest.raises(GraphError, match="line %3: of names no earlier line"):
        check(Graph(lines, 2, (3,)))


def test_nothing_recurses() -> None:
    lines = [Line(op("input"), (), (), VECTOR)]
    lines += [Line(op("sin"), (i,), (), VECTOR, Source("m.py", i, "f")) for i in range(20_000)]
    check(Graph(tuple(lines), 1, (20_000,)))


def test_the_check_runs_after_every_trace_and_transform(unchecked_graphs: None) -> None:
    seen: list[Graph] = []
    builder.FINISHED.append(seen.append)
    try:
        x = np.linspace(0.1, 0.7, 3)
        for run in (
            lambda: cr.trace(lambda x: np.sum(x**3))(x),
            lambda: cr.grad(lambda x: np.sum(x**5))(x),
            lambda: cr.vjp(lambda x: np.sum(x**7), x)[1](1.0),
            lambda: cr.jvp(lambda x: np.sum(x**9), (x,), (x,)),
            lambda: cr.vmap(lambda x: x**11)(x),
            lambda: cr.hessian(lambda x: np.sum(x**13))(x),
            lambda: cr.jit(lambda x: np.sum(x**15))(x),
        ):
            before = len(seen)
            run()
            assert len(seen) > before
    finally:
        builder.FINISHED.remove(seen.append)
    assert max(len(g.lines) for g in seen) > 5


def test_checking_is_on_inside_the_block_only(unchecked_graphs: None) -> None:
    def build() -> None:
        wrong = Builder()
        x = wrong.input(VECTOR)
        wrong.append(op("sin"), (x.index,), (), Spec((3,), F8))
        wrong.finish([wrong.handle(wrong, 1)])

    build()
    with checking(), pytest.raises(GraphError, match="another type than its op infers"):
        build()
    build()
    assert builder.FINISHED == []


def test_the_check_is_on_in_tests() -> None:
    assert check in builder.FINISHED


def test_it_costs_nothing_when_off(unchecked_graphs: None) -> None:
    """Off, it is one look at an empty list: far below the cost of finishing even a graph of one line."""
    start = time.perf_counter()
    for _ in range(100_000):
        for look in builder.FINISHED:
            look(None)  # type: ignore[arg-type]
    each = (time.perf_counter() - start) / 100_000
    assert each < 2e-6
