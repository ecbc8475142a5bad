"""Reading what was typed, deciding whether two formulas are the same function, and the outcomes of grading."""

from __future__ import annotations

import random
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.api import grad
from chainrule.explain.expression import parse
from chainrule.play.practice import equality, reading
from chainrule.play.practice.equality import (
    LEAST,
    Formula,
    NotAFormula,
    compute,
    decide,
    derivative,
    of_text,
    points,
    require_formula,
    typed,
)
from chainrule.play.practice.exercise import ORDER, Exercise, Field, Mistake, Option, exercise
from chainrule.play.practice.grading import Order, close, entered, grade, preview, read, rounded_early
from chainrule.play.practice.reading import NotGradable

X = ("x",)


def formula(text: str, letters: tuple[str, ...] = X) -> Formula:
    return typed(reading.expression(text, letters))


# ------------------------------------------------------------------------------------------------------------ equality


@pytest.mark.parametrize(
    ("one", "other"),
    [("2x", "x+x"), ("sin(x)^2 + cos(x)^2", "1"), ("x^2/x", "x"), ("exp(2x)", "exp(x)^2"), ("6x(3x²+1)", "18x³+6x"),
     ("1 - tanh(x)^2", "1/cosh(x)^2"), ("(x+1)^10", "(x+1)^5 (x+1)^5"), ("exp(1000x)", "exp(500x)^2"), ("0x", "0"),
     ("sigmoid(x)(1-sigmoid(x))", "exp(-x)/(1+exp(-x))^2"), ("tan(x)", "sin(x)/cos(x)"), ("1/x", "x⁻¹"),
     ("-2sin(2x)", "-4 sin(x) cos(x)"), ("abs(x)", "max(x, -x)"), ("e^x", "exp(x)"), ("3", "6/2"),
     ("sqrt(x^2)", "abs(x)"),
     ("(x-1)(x+1)", "x²-1"), ("ln(exp(x))", "x"), ("x", "x + 1e-13")],
)  # fmt: skip
def test_the_same_function(one: str, other: str) -> None:
    assert decide(formula(one), formula(other), X).verdict == "same"
    assert decide(formula(other), formula(one), X).verdict == "same"


@pytest.mark.parametrize(
    ("one", "other"),
    [("2x", "2x + 0.000001"), ("x", "-x"), ("abs(x)", "x"), ("x^2", "x^3"), ("sin(x)", "x"),
     ("exp(x)", "exp(1.000001x)"),
     ("x", "x*1.00000001"), ("relu(x)", "x"), ("0", "1e-12 x"), ("cos(x)", "sin(x)"), ("x/3", "0.3333 x"), ("1", "x")],
)  # fmt: skip
def test_different_functions(one: str, other: str) -> None:
    found = decide(formula(one), formula(other), X)
    assert found.verdict == "different"
    assert decide(formula(other), formula(one), X).verdict == "different"
    at = {"x": np.array([(found.point or {})["x"]])}
    assert abs(formula(one).compute(at).values[0] - formula(other).compute(at).values[0]) > 0


@pytest.mark.parametrize(
    ("given_text", "right"),
    [("sqrt(x)^2", "x"), ("sqrt(-1-x^2)", "x"), ("x/(x-x)", "1"), ("exp(exp(exp(x^2+5)))", "x"), ("ln(-x^2)", "x"),
     ("x*exp(1000*x^2 + 1000)/exp(1000*x^2 + 1000)", "x"), ("tan(1e30 x) - tan(1e30 x) + x", "x")],
)  # fmt: skip
def test_too_few_finite_points_decide_nothing(given_text: str, right: str) -> None:
    assert decide(formula(given_text), formula(right), X).verdict == "undecided"


def test_two_values_that_are_not_finite_are_no_agreement() -> None:
    """Both are NaN everywhere, or infinite everywhere: a comparison that counts that as equal lets anything through."""
    assert decide(formula("ln(-x^2 - 1)"), formula("sqrt(-x^2 - 1)"), X).verdict == "undecided"
    assert decide(formula("exp(1000 + x^2)"), formula("-exp(1000 + x^2)"), X).verdict == "undecided"


def test_a_domain_of_positive_numbers() -> None:
    assert decide(formula("sqrt(x)^2"), formula("x"), X, X).verdict == "same"
    assert decide(formula("ln(x^2)"), formula("2ln(x)"), X, X).verdict == "same"
    assert (points(X, X)["x"] > 0).all()
    both = points(("x", "y"))
    signs = {(a > 0, b > 0) for a, b in zip(both["x"], both["y"], strict=True)}
    assert len(signs) == 4
    assert decide(formula("x y", ("x", "y")), formula("y*x", ("x", "y")), ("x", "y")).verdict == "same"


def test_the_guard_on_derivatives_sees_what_values_hide() -> None:
    """The values differ by 1e-11 of them; the derivatives by a thousandth."""
    assert decide(formula("x + 1e-11*sin(1e8*x)"), formula("x"), X).verdict == "different"


def test_an_engine_derivative_is_compared_without_a_typed_answer() -> None:
    right = derivative("sin(x**2)", "x", "2*x*cos(x**2)")
    assert decide(formula("cos(x²)·2x"), right, X).verdict == "same"
    assert decide(formula("cos(x²)"), right, X).verdict == "different"
    at = points(X)
    assert np.allclose(right.compute(at).values, [grad(parse("sin(x**2)"))(x) for x in at["x"]], rtol=1e-13)


def test_rounding_errors_are_bounded() -> None:
    """The bound holds against 60 digits, and is not so wide that nothing would differ."""
    mpmath = pytest.importorskip("mpmath")
    at = points(X)
    texts = ("(x + 1)**7 - x**7", "sin(10*x)/x", "1 - tanh(x)**2", "exp(x) - exp(-x)", "(x - 1)/(x**2 - 1)", "x**-3")
    for text in texts:
        found = compute(parse(text), at)
        with mpmath.workdps(60):
            names = {n: getattr(mpmath, n) for n in ("sin", "tanh", "exp")}
            for x, value, error in zip(at["x"], found.values, found.error, strict=True):
                if np.isfinite(value):
                    exact = eval(text, {"__builtins__": {}}, {**names, "x": mpmath.mpf(float(x))})
                    assert abs(float(mpmath.mpf(float(value)) - exact)) <= error + 1e-300, (text, x)
    assert (compute(parse("x + 1"), at).error < 1e-13).all()


LEAVES = st.sampled_from(["x", "y", "1", "2", "0.5", "3", "pi"])
CALLED = ("sin", "cos", "tanh", "exp", "abs", "sqrt")
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(CALLED), inner).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, st.sampled_from([2, 3])).map(lambda t: f"({t[0]})**{t[1]}"),
        inner.map(lambda t: f"(-{t})"),
    ),
    max_leaves=8,
)
BOTH = ("x", "y")


@given(TREES)
@settings(max_examples=120, deadline=None)
def test_a_formula_is_itself_in_any_dress(text: str) -> None:
    """Never different from itself, from itself plus 0, times 1, negated twice, or doubled and halved."""
    own = formula(text, BOTH)
    for other in (f"0 + ({text})", f"({text})*1", f"-(-({text}))", f"2*({text})/2", f"({text}) + x - x"):
        assert decide(formula(other, BOTH), own, BOTH).verdict in ("same", "undecided")
    assert decide(own, own, BOTH).verdict in ("same", "undecided")


@given(TREES, TREES)
@settings(max_examples=80, deadline=None)
def test_deciding_is_symmetric(one: str, other: str) -> None:
    a, b = formula(one, BOTH), formula(other, BOTH)
    assert {decide(a, b, BOTH).verdict, decide(b, a, BOTH).verdict} != {"same", "different"}


@given(TREES, st.sampled_from(["1e-3", "2", "x", "sin(y)"]))
@settings(max_examples=80, deadline=None)
def test_a_formula_is_not_itself_and_something(text: str, more: str) -> None:
    """Adding something that is not 0 is seen wherever the values are not drowned in rounding."""
    own = formula(text, BOTH)
    found = decide(formula(f"({text}) + {more}", BOTH), own, BOTH)
    values = own.compute(points(BOTH))
    clear = np.isfinite(values.values) & (np.abs(values.values) < 1e4) & (values.error < 1e-9)
    if clear.sum() >= LEAST:
        assert found.verdict == "different"


@given(TREES)
@settings(max_examples=80, deadline=None)
def test_what_is_shown_back_reads_as_the_same(text: str) -> None:
    """A typed formula goes to LaTeX; the fully bracketed text and its preview mean the same tree."""
    parsed = reading.expression(text, BOTH)
    assert reading.latex(parsed)
    again = reading.expression(parsed.text, BOTH)
    assert decide(typed(again), typed(parsed), BOTH).verdict in ("same", "undecided")


# ------------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.5", 0.5), ("3/4", 0.75), ("-½", -0.5), ("−3", -3.0), ("+5", 5.0), ("2^3", 8.0), ("2³", 8.0),
     ("√(4)", 2.0), ("2e5", 2e5),
     ("dy/dx = 4", 4.0), ("∂L/∂w=−1.5", -1.5), ("3(4)", 12.0), ("2 pi", 2 * np.pi), ("exp(0)", 1.0),
     ("1.", 1.0), (".5", 0.5),
     ("10⁻²", 0.01), ("2·3", 6.0), ("6÷4", 1.5), (" 7 ", 7.0), ("-2**2", -4.0), ("max(1, 2)", 2.0), ("1–3", -2.0)],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    assert reading.number(text) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "Nothing is entered"), ("   ", "Nothing is entered"), ("3,5", "behind a point"),
     ("x", "put in the value of x"),
     ("2+", "something is missing"), ("sin", "in brackets"), ("sin 3", "in brackets"),
     ("9**9**9**9", "no finite value"),
     ("1/0", "no finite value"), ('__import__("os")', "no function __import__"), ("[1,2]", "can't stand"),
     ("1e400", "too large"),
     ("(1", "never closed"), ("3 4", "something is missing"), ("lambda: 1", "can't"), ('"a"', "can't stand"),
     ("\ud800", "can't be read"),
     ("max(3)", "works on lists"), ("softmax(3)", "works on lists"), ("1 if 2 else 3", "can't"), ("x.y", "can't"),
     ("f(3)", "write a product with f"), ("1" * 400, "too long"), ("(" * 200, "can't"),
     ("٣", "can't be read"), ("NaN", "NaN"),
     ("inf", "inf"), ("True", "can't stand"), ("\0", "can't be read"), ("1; 2", "can't"),
     ("3 = 4 = 5", "can't"), ("x := 2", "can't")],
)  # fmt: skip
def test_what_is_no_number_is_told_why(text: str, words: str) -> None:
    with pytest.raises(NotGradable, match=r"\w") as caught:
        reading.number(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "words"),
    [("y", "There is no y in this question"), ("xy", "There is no xy"), ("2x + a", "There is no a"),
     ("sin x", "sin(x)"),
     ("x @ x", "not a list"), ("x**", "something is missing"), ("dot(x, x)", "works on lists"), ("x(", "never closed")],
)  # fmt: skip
def test_what_is_no_formula_of_x_is_told_why(text: str, words: str) -> None:
    with pytest.raises(NotGradable) as caught:
        reading.expression(text, X)
    assert words in str(caught.value)


def test_a_product_written_as_one_name_is_explained() -> None:
    with pytest.raises(NotGradable, match=r"write x\*y for the product"):
        reading.expression("xy", ("x", "y"))


@pytest.mark.parametrize(
    ("text", "latex"),
    [("2x", r"2 \cdot x"), ("x^2", "{x}^{2}"), ("1/x", r"\frac{1}{x}"), ("sqrt(x)", r"\sqrt{x}"),
     ("exp(2x)", r"e^{2 \cdot x}"),
     ("-x^2", "-{x}^{2}"), ("(x+1)^2", r"{\left(x + 1\right)}^{2}"), ("x - (1 - x)", r"x - \left(1 - x\right)"),
     ("abs(x)", r"\left|x\right|"), ("x+-1", r"x + \left(-1\right)"), ("log2(x)", r"\log_{2}\left(x\right)")],
)  # fmt: skip
def test_the_preview_shows_what_was_typed(text: str, latex: str) -> None:
    assert reading.latex(reading.expression(text, X)) == latex


@pytest.mark.parametrize(
    ("text", "shape"),
    [("(3, 4)", (3, 4)), ("3x4", (3, 4)), ("3 × 4", (3, 4)), ("(3,)", (3,)), ("5", (5,)), ("()", ()),
     ("[2, 3, 4]", (2, 3, 4))],
)
def test_shapes(text: str, shape: tuple[int, ...]) -> None:
    assert reading.shape(text) == shape


@pytest.mark.parametrize("text", ["", "a", "1e3", "-1", "3 4 5 6 7", "٣", "3.5", "(3, four)", "9" * 50, "²"])
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(NotGradable):
        reading.shape(text)


@pytest.mark.parametrize("text", ["[1, 2]", "x @ x", "sum(x)", "norm(x)", "max(x)", "z = x; z", "transpose(x)"])
def test_formulas_of_numbers_only(text: str) -> None:
    with pytest.raises(NotAFormula):
        require_formula(parse(text))


# ------------------------------------------------------------------------------------------------------------ outcomes


def made(*fields: Field, **answers: Any) -> Exercise:
    wrong = Mistake("sign", {"n": -answers["n"]}) if "n" in answers else Mistake("sign", {})
    return Exercise("path", 1, 0, "t", (), fields, answers, (wrong,), ())


def outcome(item: Exercise, **answer: Any) -> str:
    return str(grade(item, answer)["outcome"])


def test_numbers_agree_to_a_millionth() -> None:
    item = made(Field("n", "n"), n=3.0)
    assert outcome(item, n="3") == outcome(item, n="3.000002") == outcome(item, n="9/3") == "right"
    assert outcome(item, n="1+2") == "right"
    assert outcome(item, n="3.00001") == "wrong"
    assert outcome(item, n="3.1") == "wrong"
    assert grade(item, {"n": "-3"})["mistake"] == "sign"
    assert outcome(made(Field("n", "n"), n=0.0), n="0") == "right"
    assert outcome(made(Field("n", "n"), n=0.0), n="0.001") == "wrong"


def test_a_number_that_is_cut_too_early_is_not_a_mistake() -> None:
    item = made(Field("n", "n"), n=2 / 3)
    assert outcome(item, n="2/3") == "right"
    found = grade(item, {"n": "0.667"})
    assert found["outcome"] == "not gradable"
    assert "rounded too early" in found["message"][0]
    assert outcome(item, n="0.7") == "wrong"  # 5 % off is more than rounding
    assert outcome(item, n="0.6") == "wrong"
    assert not rounded_early("1", 1.0, 1.02)
    assert outcome(made(Field("n", "n"), n=0.5), n="0.500001") == "wrong"


def test_digits_that_are_asked_for() -> None:
    field = Field("n", "n", digits=2)
    assert close(field, 0.013, 0.0134)
    assert close(field, 0.01339, 0.0134)
    assert not close(field, 0.0142, 0.0134)
    assert not close(field, -0.0134, 0.0134)
    assert close(field, 0.0, 0.0)
    assert not close(field, 1e-6, 0.0)


def test_several_order_shape_and_choice() -> None:
    options = (Option("a", "$a$"), Option("b", "$b$"), Option("c", "$c$"))
    several = made(Field("s", "s", "several", options), s=frozenset({"a", "b"}))
    assert outcome(several, s=["b", "a"]) == "right"
    assert outcome(several, s=["a"]) == "wrong"
    for bad in ([], ["z"], ["a", "a"], "a", [1], None, {}, [["a"]]):
        assert outcome(several, s=bad) == "not gradable"
    ordering = made(Field("o", "o", "ordering", options), o=Order(("a", "b", "c"), {"c": ("a",)}))
    assert outcome(ordering, o=["b", "a", "c"]) == outcome(ordering, o=["a", "c", "b"]) == "right"
    assert outcome(ordering, o=["c", "a", "b"]) == "wrong"
    assert outcome(ordering, o=["a", "b"]) == "not gradable"
    shape = made(Field("h", "h", "shape"), h=(3, 4))
    assert outcome(shape, h="3x4") == "right"
    assert outcome(shape, h="(4, 3)") == "wrong"
    choice = made(Field("c", "c", "choice", options), c="b")
    assert [outcome(choice, c=c) for c in "baz"] == ["right", "wrong", "not gradable"]


def test_one_part_right_is_said() -> None:
    item = made(Field("n", "n"), Field("m", "m"), n=3.0, m=4.0)
    found = grade(item, {"n": "3", "m": "5"})
    assert found["fields"] == {"n": True, "m": False}
    assert found["message"] == ["One part is right, another is not."]


def test_a_formula_without_values_is_not_gradable() -> None:
    item = made(Field("f", "f", "expression", letters=X), f=of_text("x + 1"))
    assert outcome(item, f="1+x") == "right"
    assert outcome(item, f="sqrt(x)^2 + 1") == "not gradable"
    assert "has no value at x = " in grade(item, {"f": "sqrt(x)^2 + 1"})["message"][0]
    assert outcome(item, f="y") == outcome(item, f="") == outcome(item, f="x +") == "not gradable"
    assert outcome(item, f="x") == "wrong"


def test_reading_names_the_field() -> None:
    with pytest.raises(NotGradable, match="Nothing is entered yet: the slope"):
        read(Field("n", "the slope"), None)
    with pytest.raises(NotGradable, match="can't be read as an answer"):
        read(Field("n", "the slope"), 3)


def test_previews() -> None:
    number, letters = Field("n", "n"), Field("f", "f", "expression", letters=X)
    assert preview(number, "3/4")["value"] == "0.75"
    assert preview(number, "0.75")["value"] is None  # says nothing new
    assert preview(letters, "2x")["formula"]["latex"] == r"2 \cdot x"
    assert preview(letters, "2x")["formula"]["mathml"].startswith("<math>")
    assert preview(letters, "2x +")["problem"]
    assert preview(number, "1/0")["problem"]
    assert "3, 4" in preview(Field("s", "s", "shape"), "3x4")["formula"]["latex"]


# ---------------------------------------------------------------------------------------------------------------- fuzz

PARTS = [
    *"xyzuvw0123456789.+-*/^()[]{}=,;:!@#$%&|~`'\"\\ \t\n_<>?∂²⁻½é٣\u202e\ud800\0\ufb01\U0001f600",
    *("**", "sin(", "exp(", "tan(", "log(", "sqrt(", "1e308", "pi", "lambda", "__class__", "import", "0x", "1j"),
    *("9**9", "max(", "sum([1,2])", "softmax("),
    *["x**x**x", "norm(", "if", "z=", "2e", ".."],
    "not ",
]


def hostile(rng: random.Random) -> Any:
    """Something that may arrive as an answer."""
    shape = rng.random()
    if shape < 0.75:
        return "".join(rng.choice(PARTS) for _ in range(rng.randint(0, 24)))
    if shape < 0.8:
        return "".join(rng.choice(string.printable) for _ in range(rng.randint(200, 900)))
    if shape < 0.83:
        return rng.choice(["(", "-", "sin(", "[", "x**", "1+"]) * rng.randint(1, 140)
    odd: list[Any] = [None, True, 3, 1.5, float("nan"), 10**400, "A", "1"]
    odd += [[], ["a"], [["A"]], ["x"] * 15, [None], ["A", "B"], {}, {"a": 1}]
    return rng.choice(odd)


def fuzz(count: int, seed: int) -> None:
    rng = random.Random(seed)
    items = [exercise(name, level, seed % 5) for name in ORDER for level in (1, 2, 3)]
    for _ in range(count):
        item = rng.choice(items)
        answer = {f.name: hostile(rng) if rng.random() < 0.8 else entered(f, item.answers[f.name]) for f in item.fields}
        found = grade(item, answer, rng.randint(0, 3))
        for field in item.fields:
            text = answer[field.name]
            if field.form in ("number", "expression", "shape") and isinstance(text, str):
                shown = preview(field, text)
                assert (shown["problem"] is None) != (shown["formula"] is None)
        assert found["outcome"] in ("right", "wrong", "not gradable")
        assert found["message"]
        assert found["outcome"] != "right" or all(found["fields"].values())


def test_hostile_answers_get_an_outcome() -> None:
    fuzz(2_000, 1)


@pytest.mark.slow
def test_very_many_hostile_answers_get_an_outcome() -> None:
    fuzz(100_000, 2)


def test_the_longest_answers_cost_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations on arrays of points, counted: a multiple of the answer's length, whatever is typed."""
    item = exercise("path", 3, 0)
    done, one = [0], equality._node

    def counted(*args: Any) -> Any:
        done[0] += 1
        return one(*args)

    monkeypatch.setattr(equality, "_node", counted)
    deep, wide = "sin(" * 55 + "x" + ")" * 55, "+".join(["sin(x)"] * 42)
    tower, nested = "x**" * 90 + "x", "(" * 100 + "x" + ")" * 100
    for text in (tower, deep, wide, nested, "tan(exp(x**9))" * 20, "x" * 299, "x " * 149):
        done[0] = 0
        assert grade(item, {"derivative": text})["outcome"] in ("wrong", "not gradable")
        assert done[0] <= (2 + 2 * len(item.mistakes)) * reading.MOST_TYPED
    assert outcome(item, derivative="x" * 301) == "not gradable"
