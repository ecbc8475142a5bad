"""Printing and parsing: what a reader sees, exact round trips, and texts that are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.base.arrays import Spec
from chainrule.base.errors import GraphError
from chainrule.graph import parse as parsing
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Constant, Graph, Line, Source
from chainrule.graph.parse import parse
from chainrule.graph.text import to_text
from chainrule.ops import CATALOGUE
from chainrule.ops.record import INTEGER_VALUED, Custom, Op


def constant_graph(array: Any) -> Graph:
    builder = Builder()
    return builder.finish([builder.constant(array)])[0]


@pytest.fixture
def anything() -> Iterator[Op]:
    """An op that takes any attributes and gives what its first argument is."""
    op = Custom(
        "takes_anything", lambda x, **attrs: x, shape_rule=lambda x, **attrs: x, vjp=INTEGER_VALUED, jvp=INTEGER_VALUED,
        batching=lambda args, batched, size, attrs: op(*args, **attrs), latex="", sentence="",
    )  # fmt: skip
    yield op
    del CATALOGUE[op.name]


def with_attribute(op: Op, value: Any) -> Graph:
    spec = Spec((2,), np.dtype("f8"))
    lines = (Line(CATALOGUE["input"], (), (), spec), Line(op, (0,), (("a", value),), spec))
    return Graph(lines, 1, (1,))


# ---------------------------------------------------------------------------------------------------------- for readers


def model(x: Any, w: Any) -> Any:
    h = np.tanh(x @ w)
    return np.sum(h * 0.5)


FIRST = model.__code__.co_firstlineno


def test_a_reader_sees_types_sources_and_literals() -> None:
    graph = cr.trace(model)(np.ones(3), np.ones((3, 2)))
    assert str(graph) == "\n".join([
        "graph(%0 x: f64[3], %1 w: f64[3,2]) -> f64[]:",
        f"  %2: f64[1,3] = reshape %0 shape=(1, 3)                    # test_text.py:{FIRST + 1} in model",
        f"  %3: f64[1,2] = matmul %2 %1                               # test_text.py:{FIRST + 1} in model",
        f"  %4: f64[2] = reshape %3 shape=(2,)                        # test_text.py:{FIRST + 1} in model",
        f"  %5: f64[2] = tanh %4                                      # test_text.py:{FIRST + 1} in model",
        f"  %7: f64[2] = mul %5 0.5                                   # test_text.py:{FIRST + 2} in model",
        f"  %8: f64[] = sum %7 axes=(0,) keepdims=False               # test_text.py:{FIRST + 2} in model",
        "  return %8",
    ])  # fmt: skip


def test_backward_lines_show_what_they_serve() -> None:
    text = str(cr.trace(cr.value_and_grad(lambda x: np.sum(np.exp(x))))(np.ones(2)))
    assert "chain_mul" in text
    assert "chain_mul %5 %2 of=%2.0" in text


def test_a_reader_sees_the_start_of_a_long_constant() -> None:
    assert "= constant [0, 1, 2, 3, 4, 5, … 100 in all]" in str(constant_graph(np.arange(100)))
    assert "= constant [7 everywhere]" in str(constant_graph(np.full((3, 4), 7)))
    assert "= constant [1.0, -0.0]" in str(constant_graph(np.array([1.0, -0.0])))
    assert str(constant_graph(np.float32(0.1))) == "graph() -> f32[]:\n  return 0.1"
    assert str(constant_graph(np.complex128(1 - 2j))) == "graph() -> c128[]:\n  return (1.0-2.0j)"


def test_a_reader_sees_nested_graphs_indented() -> None:
    graph = cr.trace(lambda x: cr.cond(x[0] > 0, np.sin, np.cos, x))(np.ones(2))
    rows = str(graph).split("\n")
    (at,) = [i for i, row in enumerate(rows) if " = cond " in row]
    assert "if_false=@0 if_true=@1" in rows[at]
    assert rows[at + 1].startswith("    @0 = graph(")
    assert rows[at + 2].startswith("      %")
    assert "cos" in rows[at + 2]
    assert rows[at + 3].startswith("      return %")
    assert rows[at + 4].startswith("    @1 = graph(")


def test_names_of_parameters_show(unchecked_graphs: None) -> None:
    graph = cr.trace(lambda p: p["w"] + p["first layer"])({"w": 1.0, "first layer": 2.0})
    assert str(graph).startswith("""graph(%0 "p['first layer']": f64[], %1 p['w']: f64[]) -> f64[]:""")


# --------------------------------------------------------------------------------------------------------- round trips


def loop(x: Any, w: Any) -> Any:
    def step(h: Any, row: Any) -> Any:
        h = cr.checkpoint(lambda h: np.tanh(w @ h + row))(h)
        return h, cr.cond(np.sum(h) > 0, lambda h: np.sum(h**2), lambda h: np.sum(np.abs(h)), h)

    h, ys = cr.scan(step, np.zeros_like(x[0]), x)
    return np.sum(h) + np.sum(ys)


CASES: dict[str, Graph] = {
    "model": cr.trace(model)(np.ones(3), np.ones((3, 2))),
    "gradient": cr.trace(cr.value_and_grad(model, argnums=(0, 1)))(np.ones(3), np.ones((3, 2))),
    "hessian": cr.trace(cr.hessian(model))(np.ones(3), np.ones((3, 2))),
    "vmap": cr.trace(cr.vmap(cr.grad(model), in_axes=(0, None)))(np.ones((4, 3)), np.ones((3, 2))),
    "several outputs": cr.trace(lambda x: (x, x + 1, 2.0, np.zeros((0, 3))))(np.ones(2)),
    "no inputs": cr.trace(lambda: np.arange(3.0))(),
    "no outputs": cr.trace(lambda x: ())(np.ones(2)),
    "float32": cr.trace(lambda x: x * 0.1 + np.float32(1e-40))(np.ones(2, "f4")),
    "complex": cr.trace(lambda x: np.exp(1j * x) * complex(-0.0, np.nan))(np.ones(2)),
    "integers": cr.trace(lambda i, b: (i << 2, ~b, i.astype(np.uint8) & np.uint8(255)))(np.arange(3), np.ones(3, bool)),
    "indexing": cr.trace(lambda x: x[::-1, None, 1:] + x[np.array([0, 2, 1])][:, None, :1])(np.ones((3, 3))),
    "casts": cr.trace(lambda x: x.astype(np.float16).astype(np.float32))(np.ones(2)),
    "control": cr.trace(loop)(np.ones((4, 2)), np.eye(2)),
    "control gradient": cr.trace(cr.grad(loop))(np.ones((4, 2)), np.eye(2)),
    "while": cr.trace(lambda x: cr.while_loop(lambda x: np.sum(x) < 9, lambda x: x * 2, x))(np.ones(2)),
}


def same(a: Graph, b: Graph) -> None:
    assert a == b
    for x, y in zip(a.lines, b.lines, strict=True):
        assert (x.source, x.of, x.spec, x.op) == (y.source, y.of, y.spec, y.op)


@pytest.mark.parametrize("name", CASES)
def test_round_trip(name: str) -> None:
    graph = CASES[name]
    text = to_text(graph, full=True)
    read = parse(text)
    same(read, graph)
    assert to_text(read, full=True) == text
    assert read.names == graph.names


def test_a_graph_read_back_computes_the_same() -> None:
    graph = CASES["control gradient"]
    x = np.random.default_rng(0).normal(size=(4, 2))
    np.testing.assert_array_equal(parse(to_text(graph, full=True))(x, np.eye(2))[0], graph(x, np.eye(2))[0])


@pytest.mark.parametrize("dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("size", [0, 1, 5, 65])
def test_constants_keep_their_bits(dtype: str, size: int) -> None:
    rng = np.random.default_rng(size)
    raw = rng.bytes(size * np.dtype(dtype).itemsize)  # any bits: NaNs with payloads, too
    array = np.frombuffer(raw, "u1") > 127 if dtype == "?" else np.frombuffer(raw, dtype)
    for shaped in (array, array.reshape(1, size, 1)):
        graph = constant_graph(shaped)
        same(parse(to_text(graph, full=True)), graph)


@pytest.mark.parametrize("value", [-0.0, 0.0, np.nan, -np.nan, np.inf, -np.inf, 5e-324, 0.1, 1e300, 2**53 + 1.0])
def test_special_floats_keep_their_bits(value: float) -> None:
    for dtype in ("f8", "f4", "c16"):
        with np.errstate(over="ignore"):
            graph = constant_graph(np.array(value, dtype))
        same(parse(to_text(graph, full=True)), graph)
    negative = constant_graph(np.array(-0.0))
    assert "-0.0" in to_text(negative, full=True)
    assert parse(to_text(negative, full=True)) != constant_graph(np.array(0.0))


VALUES = [
    0, -7, 10**30, True, False, None, 0.5, -0.0, 1e-320, float("inf"), 1 + 2j, complex(-0.0, float("-inf")), "", "a b",
    'quo"te\\ \n\t %0 of=%1.0 é \ud800 \x00', (), (1,), (1, (2.5, ("x", None)), ()), np.dtype("f4"), np.dtype("?"),
    Spec((2, 0), np.dtype("c8")), Constant(np.array([1.0, np.nan])), (Constant(np.array(1, "u1")), np.dtype("i8")),
    CASES["model"], (CASES["model"], CASES["control"], 3, CASES["model"]),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[str(i) for i in range(len(VALUES))])
def test_attributes_round_trip(anything: Op, value: Any) -> None:
    graph = with_attribute(anything, value)
    read = parse(to_text(graph, full=True))
    same(read, graph)
    assert type(read.lines[1].attrs[0][1]) is type(value)
    assert repr(read.lines[1].attrs[0][1]) == repr(value)


def test_an_attribute_that_is_nan_round_trips(anything: Op) -> None:
    text = to_text(with_attribute(anything, float("nan")), full=True)
    assert to_text(parse(text), full=True) == text


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.integers(0, 10**9))
def test_any_name_and_source_round_trips(name: str, file: str, function: str, line: int) -> None:
    spec = Spec((), np.dtype("f8"))
    lines = (
        Line(CATALOGUE["input"], (), (), spec),
        Line(CATALOGUE["sin"], (0,), (), spec, Source(file, line, function)),
        Line(CATALOGUE["cos"], (1,), (), spec, None, (1, 0)),
    )
    for names in ((name,), ()):
        graph = Graph(lines, 1, (2, 0, 1, 2), names)
        same(parse(to_text(graph, full=True)), graph)


def test_a_long_graph_round_trips_without_recursion() -> None:
    builder = Builder()
    x = builder.input(Spec((), np.dtype("f8")))
    for _ in range(5_000):
        x = CATALOGUE["sin"](x)
    graph, _ = builder.finish([x])
    same(parse(to_text(graph, full=True)), graph)


# ------------------------------------------------------------------------------------------------------------- refusals

GOOD = """graph(%0 "x": f64[2]) -> f64[2]:
  %1: f64[2] = sin %0 from "m.py":3 in "f"
  %2: f64[] = constant value=const(f64[]: 2.0)
  %3: f64[2] = mul %1 %2 of=%1.0
  return %3"""


def test_the_good_text_is_good() -> None:
    assert to_text(parse(GOOD), full=True) == GOOD
    same(parse(GOOD + "\n\n"), parse(GOOD))


BAD = [
    ("graph(", "grapf(", 1, "expected: graph"),
    ("= sin", "= sine", 2, "there is no op sine\n  expected: an op, such as sin"),
    ("sin %0", "sin %1", 2, "line %1 uses %1, which does not come before it\n  expected: arguments below %1"),
    ("sin %0", "sin %99999999999999999999", 2, "does not come before it"),
    ("sin %0", "sin %" + "9" * 5000, 2, "a number is too long"),
    ("%1: f64[2]", "%7: f64[2]", 2, "lines must be numbered in order\n  expected: %1\n  got: %7"),
    ("%1: f64[2]", "%1: f63[2]", 2, "unknown dtype\n  expected: bool, i8"),
    ("%1: f64[2]", "%1: f64[-2]", 2, "not a size of an axis"),
    ("%1: f64[2]", "%1: f64[2.5]", 2, "not a size of an axis"),
    ("%1: f64[2]", "%1: f64[" + ",".join("1" * 40) + "]", 2, "too many axes"),
    ("const(f64[]: 2.0)", "const(f64[]: 2.0, 3.0)", 3, "another length than its type\n  expected: 8 bytes for f64[]"),
    ("const(f64[]: 2.0)", 'const(f64[]: base64 "?")', 3, "a constant's base64 can't be read"),
    ("const(f64[]: 2.0)", "const(i64[]: 2.5)", 3, "not a number of dtype int64"),
    ("const(f64[]: 2.0)", "const(u8[]: 256)", 3, "not a number of dtype uint8"),
    ("const(f64[]: 2.0)", "const(bool[]: None)", 3, "not a bool"),
    ("const(f64[]: 2.0)", "const(f64[]: 0x00)", 3, "wrong number of bits\n  expected: 16 digits"),
    ("const(f64[]: 2.0)", "const(f64[]: 0x" + "f" * 20 + ")", 3, "wrong number of bits"),
    ("const(f64[]: 2.0)", "(" * 40, 3, "tuples nested too deeply"),
    ("const(f64[]: 2.0)", "<function rule>", 3, "holds a Python function, which has no text"),
    ("const(f64[]: 2.0)", "__import__", 3, "unknown dtype"),
    ("const(f64[]: 2.0)", "'single'", 3, "this can't be read"),
    ("const(f64[]: 2.0)", '"\\x"', 3, "a string that can't be read"),
    ("const(f64[]: 2.0)", "@0", 4, "wrong indentation\n  expected: 4 spaces"),
    ("  %3", "   %3", 4, "wrong indentation\n  expected: 2 spaces"),
    ("mul %1 %2", "mul %1 2.0", 4, "the shortened form of a graph, for people"),
    ("return %3", "return 2.0", 5, "the shortened form of a graph, for people"),
    ("return %3", "return %4", 5, "%4 is returned, but there is no such line\n  expected: %0 to %3"),
    ("return %3", "return %2", 1, "the results are of other types than the first line says"),
    ("  return %3", "", 5, "a line that returns"),
    ("return %3", "return %3 %1", 5, "this can't be read"),
    ("return %3", "return %3\nmore", 6, "text after the end of the graph"),
    ('"x"', "x", 1, "the shortened form of a graph, for people"),
    ('%0 "x": f64[2]', '%0 "x": f64[2], %1: f64[2]', 1, "some inputs have a name and some have not"),
    (' from "m.py":3 in "f"', "  # m.py:3 in f", 2, "this can't be read"),
    (GOOD, "", 1, "the text of a graph ends early"),
]


@pytest.mark.parametrize(("old", "new", "row", "words"), BAD, ids=[f"{i}" for i in range(len(BAD))])
def test_bad_text_is_refused_with_its_line(old: str, new: str, row: int, words: str) -> None:
    assert old in GOOD
    with pytest.raises(GraphError) as caught:
        parse(GOOD.replace(old, new, 1))
    assert words in str(caught.value)
    assert f"where: line {row} of the text" in str(caught.value)
    assert "what to do: " in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("of=%1.0", "of=%0.0", "line %3: of names no earlier line"),
        ("of=%1.0", "of=%1.5", "line %3: of names an argument that %1 has not"),
        ("mul %1 %2", "mul %1", "line %3: mul has 2 arguments"),
        ("mul %1 %2", 'mul %1 %2 axes="x"', "line %3: mul takes no attributes"),
        ("value=const(f64[]: 2.0)", "value=2.0", "line %2: a constant has a value"),
        ("%2: f64[] = constant value=const(f64[]: 2.0)", "%2: f64[2] = sin %0", "line %2: this line is the same as %1"),
        ("%3: f64[2]", "%3: f64[3]", "line %3: a line has another type than its op infers"),
    ],
)
def test_text_of_a_wrong_graph_is_refused_by_the_checker(old: str, new: str, words: str) -> None:
    text = GOOD.replace(old, new).replace("-> f64[2]", "-> f64[3]" if "f64[3]" in new else "-> f64[2]")
    with pytest.raises(GraphError) as caught:
        parse(text)
    assert words in str(caught.value)


def test_custom_rules_print_but_are_not_read(anything: Op) -> None:
    def my_rule(x: Any) -> Any:
        return x

    graph = with_attribute(anything, my_rule)
    assert "a=<function my_rule>" in str(graph)
    with pytest.raises(GraphError) as caught:
        parse(to_text(graph, full=True))
    assert "got: <function my_rule>" in str(caught.value)
    assert "where: line 2 of the text" in str(caught.value)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "MAX_LINES", 3)
    with pytest.raises(GraphError, match="the text of a graph is too long\n  expected: at most 3 lines\n  got: 5"):
        parse(GOOD)
    monkeypatch.setattr(parsing, "MAX_CHARACTERS", 10)
    with pytest.raises(GraphError, match="expected: at most 10 characters"):
        parse(GOOD)


def test_nesting_is_bounded(anything: Op) -> None:
    graph = CASES["model"]
    for _ in range(40):
        graph = with_attribute(anything, graph)
    with pytest.raises(GraphError, match="graphs nested too deeply\n  expected: at most 32 levels"):
        parse(to_text(graph, full=True))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_text_raises_nothing_else(data: st.DataObject) -> None:
    text = to_text(CASES["while"], full=True)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.text("%0129.,:()[]=@<>\"\\ \nxfe-", max_size=6)) + text[at + cut :]
    with contextlib.suppress(GraphError):
        parse(text)
