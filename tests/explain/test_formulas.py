"""Formulas: every op's template as MathML and text, brackets, numbers, and the masks of the chain rule."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.arrays import Spec
from chainrule.explain.explanation import explain
from chainrule.explain.expression import parse
from chainrule.explain.formula import ATOM, Piece, Writer, added, array, fill, negated, number, product
from chainrule.explain.latex import read
from chainrule.explain.mathml import mathml
from chainrule.explain.names import identifier, input_symbols
from chainrule.explain.plain import plain
from chainrule.graph.builder import Builder
from chainrule.graph.graph import Graph
from chainrule.ops.expr import CATALOGUE, Expr

X, Y, Z, Q = (Piece(name) for name in "xyzq")


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_op_can_be_written(name: str) -> None:
    attrs = dict.fromkeys(("value", "name", "key", "axes", "dtype", "position", "order", "n"), 1)
    piece = fill(CATALOGUE[name].latex, [X, Y, Z, Q], attrs)
    assert "#" not in piece.latex
    ElementTree.fromstring(mathml(piece.latex).replace("&#160;", " "))
    assert plain(piece.latex)


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\frac{\partial L}{\partial w} = 2 \cdot (a - y)", "∂L/∂w = 2·(a − y)"),
        (r"\left(a - y\right)^{2}", "(a − y)²"),
        (r"\frac{a + b}{-c}", "(a + b)/(−c)"),
        (r"\frac{1}{7} \cdot \sum_{\text{axis 0}} x", "1/7·Σ_(axis 0) x"),
        (r"X^{\mathsf T} \cdot \frac{\partial L}{\partial z_{1}}", "Xᵀ·∂L/∂z₁"),
        (r"\begin{cases} 0.5 & z = 0 \\ 1 & \text{else} \end{cases}", "{0.5 if z = 0; 1 else}"),
        (r"\begin{pmatrix} 1 & 2 \\ 3 & -4 \end{pmatrix}", "[1 2; 3 −4]"),
        (r"1.5 \cdot 10^{-7}", "1.5·10⁻⁷"),
        (r"\sqrt{x} + \sqrt[3]{x}", "√(x) + ∛(x)"),
        (r"\tanh x", "tanh x"),
        (r"\ln(1 + x)", "ln(1 + x)"),
        (r"w_{\mathrm{out}} \gets -3", "w_out ← −3"),
        (r"\left.\frac{\partial L}{\partial x}\right|_{a}", "∂L/∂x|ₐ"),
        (r"e^{x^{2}}", "e^(x²)"),
    ],
)
def test_text(latex: str, text: str) -> None:
    assert plain(latex) == text


@pytest.mark.parametrize("latex", [r"\unknown{x}", "{x", r"\frac{x", r"\left(x", r"\begin{table} x \end{table}"])
def test_latex_outside_of_the_part_is_refused(latex: str) -> None:
    with pytest.raises(ValueError, match="in the formula"):
        read(latex)


def test_text_that_means_markup_is_escaped() -> None:
    assert "<b>" not in mathml(r"\text{<b>} < x")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("(w + x) * b", "(w + x)·b"),
        ("w - (x - b)", "w − (x − b)"),
        ("w + (x - b)", "w + x − b"),
        ("w - (x + b) - 1", "w − (x + b) − 1"),
        ("-(w + x)", "−(w + x)"),
        ("-w * x", "(−w)·x"),
        ("w * -x", "w·(−x)"),
        ("(w + x) ** 2", "(w + x)²"),
        ("-w ** 2 + x", "−w² + x"),
        ("(-w) ** 2 + x", "(−w)² + x"),
        ("(w * x) ** 3", "(w·x)³"),
        ("(w / x) ** 2", "(w/x)²"),
        ("w / (x + b)", "w/(x + b)"),
        ("w / x / b", "(w/x)/b"),
        ("w ** x ** 2", "w^z"),
    ],
)
def test_brackets_keep_the_meaning(text: str, told: str) -> None:
    expression = parse(f"L = {text}")
    at = {"w": 1.5, "x": 2.0, "b": 0.5}
    explanation = explain(expression, *expression.bound({n: at[n] for n in expression.names}))
    (step,) = [s for s in explanation.chain if s.phase == "forward"][-1:]
    assert plain(step.formula) == told


def test_filled_in_formulas_compute_to_the_value() -> None:
    values = {"w": -1.5, "x": 2.0, "b": 0.5, "y": -0.25}
    pieces = ["w", "x", "(w + b)", "-y", "w*x", "(x - y)", "w/x"]
    for left, operator, right in itertools.product(pieces, ["+", "-", "*", "/"], pieces):
        expression = parse(f"L = {left} {operator} {right}")
        explanation = explain(expression, *[values[n] for n in expression.names])
        step = [s for s in explanation.chain if s.phase == "forward"][-1]
        assert step.filled is not None
        said = plain(step.filled).replace("−", "-").replace("·", "*")
        assert eval(said) == pytest.approx(float(step.value), rel=1e-15), (expression.text, said)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"), (2.0, "2"), (-3.25, "−3.25"), (1e-9, "10⁻⁹"), (-2.5e-9, "−2.5·10⁻⁹"), (1e12, "10¹²"),
        (123456.0, "123456"), (float("nan"), "NaN"), (float("inf"), "∞"), (-float("inf"), "−∞"), (1 / 3, "0.333333"),
        (2 + 3j, "2 + 3i"), (np.bool_(True), "1"), (np.int64(7), "7"),
    ],
)  # fmt: skip
def test_numbers(value: complex, text: str) -> None:
    assert plain(number(value).latex) == text


def test_arrays() -> None:
    assert array(np.zeros(20)) is None
    assert array(np.zeros((2, 2, 2))) is None
    found = array(np.array([[1.0, -2.0], [0.5, 3.0]]))
    assert found is not None
    assert plain(found.latex) == "[1 −2; 0.5 3]"


def test_products_drop_factors_of_one() -> None:
    one, minus = Piece("1", number=1.0), Piece("-1", 1, -1.0)
    assert product(one, X) == X
    assert product(X, one) == X
    assert product(minus, X).latex == "-x"
    assert product(negated(X), Y).latex == r"-x \cdot y"
    assert added([X, negated(Y), Z]).latex == "x - y + z"


def _mask_graph() -> tuple[Graph, list[int]]:
    builder = Builder()
    z, ct = (builder.input(Spec((3,), np.dtype(np.float64)), n) for n in ("z", "ct"))
    where, less = CATALOGUE["where"], CATALOGUE["less_equal"]
    condition = less(z, 0.0)
    outs: list[Expr] = [where(condition, 0.0, z), where(condition, 0.0, ct), where(condition, ct, 0.0)]
    graph, _ = builder.finish(outs)
    return graph, list(graph.outputs)


def test_masks_are_told_as_conditions() -> None:
    graph, outputs = _mask_graph()
    writer = Writer(graph, {0: Piece("z"), 1: Piece("c", ATOM)}, simplify=True)
    assert [plain(writer.formula(i).latex) for i in outputs] == ["max(0, z)", "c ⊙ [z > 0]", "c ⊙ [z ≤ 0]"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w", "w"), ("w1", "w₁"), ("w_1", "w₁"), ("alpha", "α"), ("beta2", "β₂"), ("loss", "loss"),
        ("x_train", "x_train"), ("W_h", "W_h"), ("_", "value"), ("größe", "groe"), ("h12", "h₁₂"),
    ],
)  # fmt: skip
def test_identifiers(name: str, text: str) -> None:
    assert plain(identifier(name)) == text


def test_symbols_of_inputs_are_distinct() -> None:
    names = ["model.layers[0].weight", "model.layers[0].bias", "model.layers[1].weight", "model.layers[1].bias", "x"]
    assert [plain(s) for s in input_symbols(names)] == ["W₁", "b₁", "W₂", "b₂", "x"]
    assert len(set(input_symbols(["p['a']", "p['b']", "q[0]", "q[1]"]))) == 4


def test_the_rule_is_the_code_that_runs() -> None:
    """tanh′ is written as the record computes it, 1/cosh², not as a book would."""
    explanation = explain(np.tanh, 0.5)
    (step,) = [s for s in explanation.chain if s.local is not None]
    assert step.local is not None
    assert plain(step.local.rule) == "1/((cosh x)²)".replace("x", plain(explanation.symbol(0)))
    assert float(step.local.value) == cr.grad(np.tanh)(0.5)
