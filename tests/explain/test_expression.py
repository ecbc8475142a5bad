"""Typed expressions: what they compute, what is refused and how the message shows the place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import nn
from chainrule.base.errors import ExpressionError
from chainrule.explain.explanation import explain
from chainrule.explain.expression import MOST_CHARACTERS, Expression, parse
from chainrule.explain.functions import FUNCTIONS


def value(text: str, **at: Any) -> Any:
    expression = parse(text)
    return expression(*expression.bound(at))


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("1 + 2*3 - 4/8", {}, 6.5),
        ("-x**2", {"x": 3}, -9.0),
        ("+x", {"x": 3}, 3.0),
        ("2**-x", {"x": 1}, 0.5),
        ("relu(x) + abs(x)", {"x": -2}, 2.0),
        ("max(x, y, 1)", {"x": 0, "y": 3}, 3.0),
        ("max([1, 5, 2]) - min([1, 5, 2])", {}, 4.0),
        ("sum(W @ x)", {"W": [[1, 2], [3, 4]], "x": [1, -1]}, -2.0),
        ("dot(x, [1, 2])", {"x": [3, 4]}, 11.0),
        ("mean([[1, 2], [3, -4]])", {}, 0.5),
        ("sum(softmax(x))", {"x": [1, 2, 3]}, 1.0),
        ("log(e) + sin(pi/2) + cos(0) + sqrt(4) + exp(0) + tanh(0) + sigmoid(0)", {}, 6.5),
        ("z = w*x + b; a = relu(z); (a - y)**2", {"w": 0.5, "x": 2, "b": 0, "y": 0}, 1.0),
        ("a = 2\nb = a*3\nb + 1", {}, 7.0),
        ("norm([3, 4]) + sum(transpose([[1, 2]]) @ [[1]])", {}, 8.0),
    ],
)
def test_values(text: str, at: dict[str, Any], expected: float) -> None:
    assert value(text, **at) == pytest.approx(expected, rel=1e-15)


def test_variables_in_the_order_they_appear() -> None:
    assert parse("z = w*x + b; relu(z) - y").names == ("w", "x", "b", "y")
    assert parse("f = 1; f").names == ()
    assert parse("pi*r**2").names == ("r",)


def test_every_function_can_be_differentiated_or_says_not() -> None:
    for name, function in FUNCTIONS.items():
        expression = parse(f"sum({name}(x, [2.0, 1.0]))" if function.least == 2 else f"sum({name}(x))")
        explanation = explain(expression, *expression.bound({"x": [0.4, 0.7]}))
        assert np.all(np.isfinite(explanation.gradients["x"])), name
        assert name == "sign" or explanation.checks["x"].agrees, name


def test_the_functions_of_the_issue_are_there() -> None:
    names = "relu tanh sigmoid exp log sqrt sin cos max abs softmax dot sum mean".split()  # noqa: SIM905
    assert set(names) <= set(FUNCTIONS)
    assert value("relu(-1)") == nn.activations["relu"](-1.0)


REFUSED = [
    ("(foo(x)-y)**2", "there is no function foo", 1, 3),
    ("__import__('os')", "there is no function __import__", 0, 10),
    ("x.real", "this can't stand in an expression", 0, 6),
    ("x[0]", "this can't stand in an expression", 0, 4),
    ("'a'", "this can't stand in an expression", 0, 3),
    ("lambda: 1", "this can't stand in an expression", 0, 9),
    ("x if y else 1", "this can't stand in an expression", 0, 13),
    ("a + (x := 2)", "this can't stand in an expression", 5, 6),
    ("x^2", "this operator is not known; a power is written **", 0, 3),
    ("x // 2", "this operator is not known", 0, 6),
    ("not x", "this can't stand in an expression", 0, 5),
    ("1 < x", "this can't stand in an expression", 0, 5),
    ("True", "this can't stand in an expression", 0, 4),
    ("2j", "this can't stand in an expression", 0, 2),
    ("relu", "relu is a function", 0, 4),
    ("relu(1, 2)", "relu takes 1 argument", 0, 10),
    ("dot(x)", "dot takes 2 arguments", 0, 6),
    ("relu(x=1)", "relu takes plain arguments only", 0, 9),
    ("relu(*x)", "relu takes plain arguments only", 0, 8),
    ("(x)(2)", "there is no function x", 1, 1),
    ("relu(x)(2)", "only named functions can be called", 0, 7),
    ("exp = 3; exp", "exp has a meaning already", 0, 3),
    ("x + 1; x", "this can't stand in an expression", 0, 5),
    ("import os", "this can't stand in an expression", 0, 9),
    ("for i in x: pass", "this can't stand in an expression", 0, 16),
    ("a = b = 1; a", "this can't stand in an expression", 0, 9),
    ("1e400", "this number is too large", 0, 5),
    ("[1, [2]]", "the rows of this list differ in length", 0, 8),
    ("[1, x]", "a list may hold numbers only", 4, 1),
    ("ä + bar(ä)", "there is no function bar", 4, 3),
]


@pytest.mark.parametrize(("text", "problem", "column", "width"), REFUSED)
def test_what_is_refused_has_carets_under_it(text: str, problem: str, column: int, width: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)(*[1.0] * len(parse(text).names))
    assert problem in caught.value.problem
    where = str(caught.value.where)
    assert where.splitlines()[0] == f"column {column + 1}"
    assert where.splitlines()[2] == "    " + " " * column + "^" * width
    assert caught.value.fix is not None


COMPUTED = [
    ("x/0", "division by zero", "inf from 1, 0"),
    ("1 + x/(y - y)", "division by zero", "inf from 1, 0"),
    ("0/0", "division by zero", "nan from 0, 0"),
    ("log(0*x)", "the result is not a finite number", "-inf from 0"),
    ("sqrt(-x)", "the result is not a finite number", "nan from -1"),
    ("exp(1000*x)", "the result is not a finite number", "inf from 1000"),
    ("[1, 2] + [1, 2, 3]", "this can't be computed", "shape (2,), shape (3,)"),
    ("[[1, 2]] @ [1, 2, 3]", "this can't be computed", "shape (1, 2), shape (3,)"),
]


@pytest.mark.parametrize(("text", "problem", "got"), COMPUTED)
@pytest.mark.parametrize("traced", [False, True])
def test_what_can_not_be_computed(text: str, problem: str, got: str, traced: bool) -> None:
    expression = parse(f"sum({text}) + 0*x" if traced else text)
    values = [1.0] * len(expression.names)
    with pytest.raises(ExpressionError) as caught:
        explain(expression, *values) if traced else expression(*values)
    assert problem in caught.value.problem
    assert got in str(caught.value.got)
    assert "^" in str(caught.value.where)


def test_a_million_characters_are_not_read() -> None:
    with pytest.raises(ExpressionError, match="the expression is too long") as caught:
        parse("x+" * 500_000)
    assert "at most 10,000 characters" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000, "-" * 9999 + "1", "[" * 150 + "]" * 150, "relu(" * 90 + "x" + ")" * 90, "1" * 9000, "x\x00y",
        "+".join(["x"] * 4000), "2**" * 900 + "2", ";" * 5000, "\ud800",
    ],
)  # fmt: skip
def test_deep_long_and_odd_texts(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert len(str(caught.value)) < 1500


def test_large_arrays_are_refused_before_they_are_computed() -> None:
    expression = parse("sum(transpose([[1, 2]]) @ x)")
    with pytest.raises(ExpressionError, match="this array is too large"):
        parse("x + y")(np.ones((1000, 1)), np.ones((1, 1000)))
    assert expression(np.ones((1, 2))) == 6


def test_an_empty_text() -> None:
    for text in ("", "   ", "# only this"):
        with pytest.raises(ExpressionError, match="the expression is empty"):
            parse(text)


def test_variables_need_values() -> None:
    expression = parse("w*x")
    with pytest.raises(ExpressionError, match="x has no value") as caught:
        expression.bound({"w": 1})
    assert str(caught.value.where) == "column 3\n    w*x\n      ^"
    with pytest.raises(ExpressionError, match="q is not in the expression"):
        expression.bound({"w": 1, "x": 2, "q": 3})
    with pytest.raises(ExpressionError, match="the value of w is not made of numbers"):
        expression.bound({"w": [[1], [1, 2]], "x": 2})
    with pytest.raises(ExpressionError, match="one value per variable"):
        expression(1.0)


def test_an_array_is_no_loss() -> None:
    with pytest.raises(ExpressionError, match="the result is not a single number") as caught:
        explain(parse("2*x"), np.ones(3))
    assert "sum(2*x)" in str(caught.value.fix)


def test_the_source_of_a_step_is_its_statement() -> None:
    expression = parse("z = w*x; relu(z)")
    explanation = explain(expression, 0.5, 2.0)
    assert [s.code for s in explanation.chain if s.phase == "forward"] == ["z = w*x", "relu(z)"]
    assert expression.lines() == ["z = w*x", "relu(z)"]


_pieces = st.sampled_from(
    ["x", "1", "2.5", "+", "-", "*", "/", "**", "@", "(", ")", "[", "]", ",", "relu", "exp", " ", ";", "=", ".", "'",
     "lambda", "if", "\n", "é", "{", ":", "0", "z", "\\", "#", "_", "e"]
)  # fmt: skip


@given(st.lists(_pieces, max_size=25).map("".join))
def test_any_text_gives_a_value_or_a_clear_error(text: str) -> None:
    problem: ExpressionError | None = None
    try:
        expression = parse(text)
        expression(*[0.5] * len(expression.names))
    except ExpressionError as error:  # any other exception fails the test
        problem = error
    assert problem is None or (problem.expected is not None and problem.fix is not None)


def test_all_short_combinations_of_two_operators_agree_with_numpy() -> None:
    x, y, z = 1.5, 0.25, 2.0
    for a, b in itertools.product(["+", "-", "*", "/", "**"], repeat=2):
        text = f"x {a} y {b} z"
        assert isinstance(parse(text), Expression)
        assert value(text, x=x, y=y, z=z) == pytest.approx(eval(text, {}, {"x": x, "y": y, "z": z}), rel=1e-15)


def test_the_limit_is_the_stated_one() -> None:
    parse("x" + " " * (MOST_CHARACTERS - 1))
    with pytest.raises(ExpressionError, match="too long"):
        parse("x" + " " * MOST_CHARACTERS)


def test_values_that_are_not_finite_may_pass_when_asked() -> None:
    expression = replace(parse("a = log(x); a*a"), finite=False)
    assert np.isnan(expression(-1.0))
    explanation = explain(expression, -1.0)
    assert np.isnan(explanation.value)
    with pytest.raises(ExpressionError, match="not a finite number"):
        parse("a = log(x); a*a")(-1.0)
