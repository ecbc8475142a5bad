"""What an explanation says: the worked example, equality with ``grad``, fan-out, reasons for zeros, bad calls."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from bad_input import check, check_parts
from chainrule import nn
from chainrule.base import trees
from chainrule.base.arrays import Spec
from chainrule.base.errors import NotDifferentiableError, OptionError, ShapeError, TreeError
from chainrule.explain.explanation import Explanation, explain
from chainrule.explain.expression import parse
from chainrule.explain.plain import plain
from chainrule.transforms.reverse import vjp_graph


def worked(y: float, wrt: str | None = "w") -> Explanation:
    """The issue's neuron: x = 2, w = 0.5, b = 0, ReLU, squared error."""
    expression = parse("(relu(w*x + b) - y)**2")
    return explain(expression, *expression.bound({"x": 2, "w": 0.5, "b": 0, "y": y}), wrt=wrt)


def numbers(explanation: Explanation) -> list[tuple[str, float]]:
    """(symbol, number) of each step in order; a backward step shows its local derivative, then the product."""
    found = []
    for step in explanation.chain:
        if step.local is not None and step.formula != step.local.rule:
            found.append((plain(step.local.symbol), float(step.local.value)))
        found.append((plain(step.symbol), float(step.value)))
    return found


def test_the_worked_example_in_order() -> None:
    assert numbers(worked(0.0)) == [
        ("z", 1.0), ("a", 1.0), ("L", 1.0), ("∂L/∂L", 1.0), ("∂L/∂a", 2.0),
        ("∂a/∂z", 1.0), ("∂L/∂z", 2.0), ("∂z/∂w", 2.0), ("∂L/∂w", 4.0),
    ]  # fmt: skip
    explanation = worked(0.0)
    assert [plain(s.formula) for s in explanation.chain[:3]] == ["w·x + b", "max(0, z)", "(a − y)²"]
    assert plain(explanation.key) == "∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 2·1·2 = 4"
    update = explanation.updates["w"]
    assert plain(f"{update.symbol} \\gets {update.formula} = {update.filled}") == "w ← w − α·∂L/∂w = 0.5 − 0.1·4"
    assert update.value == 0.5 - 0.1 * 4
    assert explanation.checks["w"].agrees
    assert math.isclose(explanation.checks["w"].difference, 4.0, rel_tol=1e-8)


def test_the_worked_example_at_its_optimum_is_zero_and_says_why() -> None:
    explanation = worked(1.0)
    assert numbers(explanation) == [
        ("z", 1.0), ("a", 1.0), ("L", 0.0), ("∂L/∂L", 1.0), ("∂L/∂a", 0.0),
        ("∂a/∂z", 1.0), ("∂L/∂z", 0.0), ("∂z/∂w", 2.0), ("∂L/∂w", 0.0),
    ]  # fmt: skip
    reasons = [s.why_zero for s in explanation.chain if s.why_zero]
    assert reasons == [
        "a − y is 0, and there the slope of a power is 0: it is at its lowest point",
        "nothing arrives at a: ∂L/∂a is 0 already",
        "nothing arrives at z: ∂L/∂z is 0 already",
    ]


def test_the_names_of_the_code_are_used() -> None:
    def loss(w: Any, x: Any) -> Any:
        weighted = w * x
        squashed = np.tanh(weighted)
        return squashed * squashed

    explanation = explain(loss, 0.5, 2.0)
    assert [plain(s.symbol) for s in explanation.chain if s.phase == "forward"] == ["weighted", "squashed", "L"]
    (first, second, _) = [s for s in explanation.chain if s.phase == "forward"]
    assert first.code == "weighted = w * x"
    assert first.source is not None
    assert first.source.function == "loss"
    assert plain(second.formula) == "tanh weighted"
    assert plain(second.filled or "") == "tanh 1"


def test_a_name_in_a_loop_is_numbered() -> None:
    def loop(w: Any) -> Any:
        h = w
        for _ in range(3):
            h = np.sin(w * h + 0.1)
        return h * 2

    explanation = explain(loop, 0.5)
    names = [plain(s.symbol) for s in explanation.chain if s.phase == "forward"]
    assert [n for n in names if n.startswith("h")] == ["h₁", "h₂", "h₃"]


def _mlp(x: Any, w1: Any, b1: Any, w2: Any) -> Any:
    return np.mean((np.tanh(x @ w1 + b1) @ w2) ** 2)


def _branching(x: Any, y: Any) -> Any:
    out = np.where(x > 0, np.exp(-x), np.sqrt(np.abs(x) + y * y)) + np.sin(x * y) / (1 + x * x)
    return np.sum(out) + np.max(x) * np.prod(y)


def _loops(x: Any, y: Any) -> Any:
    def body(carry: Any, row: Any) -> Any:
        return np.tanh(carry * row + y[0]), carry

    last, seen = cr.scan(body, x[0], x)
    return last + np.sum(seen**2) + np.linalg.norm(np.linalg.svd(np.outer(x, x) + np.eye(4))[1])


_rng = np.random.default_rng(3)
PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (_mlp, (_rng.normal(size=(5, 4)), _rng.normal(size=(4, 3)), _rng.normal(size=3), _rng.normal(size=(3, 2)))),
    (_mlp, tuple(_rng.normal(size=s).astype(np.float32) for s in ((5, 4), (4, 3), (3,), (3, 2)))),
    (_branching, (_rng.normal(size=6), _rng.normal(size=6))),
    (_loops, (_rng.normal(size=4), _rng.normal(size=4))),
    (lambda x, y: x * x * y + x / y, (1.3, 0.7)),
    (lambda x: np.real(np.sum(np.fft.fft(x) ** 2)), (_rng.normal(size=6),)),
]


@pytest.mark.parametrize(("f", "args"), PROGRAMS)
def test_gradients_are_those_of_grad_bit_for_bit(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    explanation = explain(f, *args)
    expected = cr.grad(f, argnums=tuple(range(len(args))))(*args)
    for found, wanted in zip(explanation.gradients.values(), expected, strict=True):
        assert np.asarray(found).dtype == np.asarray(wanted).dtype
        assert np.array_equal(found, wanted)
    assert explanation.value == f(*args)
    # Every value that is told is one of the lines that the backward graph computes.
    whole = vjp_graph(explanation.graph, explanation.record.wrt, (0,))
    told = {(line.op.name, line.attrs) for line in explanation.record.whole.lines}
    assert {(line.op.name, line.attrs) for line in whole.lines} <= told
    str(explanation)


@pytest.mark.parametrize(("f", "args"), PROGRAMS)
def test_steps_are_the_lines(f: Callable[..., Any], args: tuple[Any, ...]) -> None:
    explanation = explain(f, *args)
    graph = explanation.graph
    computed = [i for i in range(graph.inputs, len(graph)) if graph.lines[i].op.name != "constant"
                and isinstance(graph.lines[i].spec, Spec)]  # fmt: skip
    forward = [s.line for s in explanation.steps if s.phase == "forward"]
    assert forward == computed
    assert [s.number for s in explanation.steps] == list(range(1, len(explanation.steps) + 1))
    for step in explanation.steps:
        if step.phase == "backward" and step.local is not None and np.ndim(step.value) == 0:
            assert np.isclose(step.value, step.arriving * step.local.value, rtol=1e-12, atol=0)


def test_the_parts_of_a_model_and_other_arguments_have_names() -> None:
    model = nn.MLP.init((4, 5, 3), rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    labels = np.arange(7) % 3

    def loss(model: Any, x: Any, labels: Any) -> Any:
        return nn.cross_entropy(model(x), labels)

    explanation = explain(loss, model, x, labels, wrt="model")
    assert list(explanation.gradients) == [f"model.{p}" for p in trees.paths(model)]
    expected = trees.leaves(cr.grad(loss)(model, x, labels))
    for found, wanted in zip(explanation.gradients.values(), expected, strict=True):
        assert np.array_equal(found, wanted)
    step = next(s for s in explanation.chain if plain(s.symbol) == "∂L/∂W₁")
    assert plain(step.formula) == "xᵀ·∂L/∂z₁"
    assert step.shapes == "(4, 7) · (7, 5) = (4, 5)"


def test_a_number_in_a_product_is_shown_with_the_axes_it_was_given() -> None:
    explanation = cr.explain(lambda z: np.dot(np.array([1.0, 2.0, 3.0]), z), np.array([1.0, 2.0, 3.0]))
    assert explanation.chain[-1].shapes == "(3, 1) · (1, 1) = (3)"
    assert all(c.agrees for c in explanation.checks.values())


def test_fan_out_is_a_sum_with_one_term_per_use() -> None:
    def f(x: Any) -> Any:
        a = np.sin(x)
        return a * x + np.exp(a)

    explanation = explain(f, 0.4)
    (total,) = [s for s in explanation.chain if s.phase == "sum" and plain(s.symbol) == "∂L/∂a"]
    assert sum(float(t.value) for t in total.terms) == pytest.approx(float(total.value), rel=1e-15)
    assert [float(t.value) for t in total.terms] == pytest.approx([0.4, math.exp(math.sin(0.4))])
    assert sum(t.share for t in total.terms) == pytest.approx(1.0)
    sums = [s for s in explanation.chain if s.phase == "sum"]
    assert float(sums[-1].value) == cr.grad(f)(0.4)


def test_one_line_that_uses_a_value_twice() -> None:
    explanation = explain(lambda x: x * x, 3.0)
    (step,) = [s for s in explanation.chain if s.line == 0]
    assert step.local is not None
    assert plain(step.local.rule) == "x + x"
    assert float(step.value) == 6.0


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("relu(w) * 2", {"w": -1}, "w ≤ 0, the ReLU is off"),
        ("w * x", {"w": 1, "x": 0}, "the other factor, x, is 0"),
        ("abs(w)", {"w": 0}, "the derivative of |·| is taken as 0"),
        ("tanh(1000 * w)", {"w": 1}, "tanh is flat"),
        ("max(w, x)", {"w": 1, "x": 2}, "w is not chosen: the other one is"),
        ("sum(relu(w))", {"w": [-1, -2]}, "off everywhere"),
    ],
)
def test_a_zero_has_its_reason(text: str, at: dict[str, Any], words: str) -> None:
    expression = parse(text)
    explanation = explain(expression, *expression.bound(at), wrt="w")
    reasons = [s.why_zero for s in explanation.chain if s.why_zero]
    assert words in reasons[0]
    assert words in str(explanation)


def test_no_reason_is_given_where_it_is_not_zero() -> None:
    assert not [s for s in worked(0.0, None).chain if s.why_zero]


def test_an_input_that_nothing_reaches_has_a_gradient_of_zeros() -> None:
    explanation = explain(lambda x, y: np.sum(x) + 0 * np.floor(y), np.ones(3), 1.5)
    assert explanation.gradients["y"] == 0
    assert "∂L/∂y" in str(explanation)


def test_other_values_run_the_same_graph() -> None:
    first = worked(0.0)
    second = first.again(y=1.0)
    assert second.record is first.record
    assert second.gradients["w"] == 0
    assert first.gradients["w"] == 4
    assert first.again(w=-1.0).value == 0.0
    with pytest.raises(TreeError, match="there is no input of this name"):
        first.again(q=1.0)
    with pytest.raises(TreeError, match="another shape"):
        first.again(w=[1.0, 2.0])


def test_kinks_are_told_from_errors() -> None:
    assert explain(np.abs, 0.0).checks["argument0"].verdict == "agrees"  # the mean of both slopes is 0
    assert explain(lambda x: np.where(x <= 0, 0.0, x), 0.0).checks["x"].verdict == "kink"
    with np.errstate(all="ignore"):
        assert explain(np.log, -1.0).checks["argument0"].verdict == "not finite"


def test_a_wrong_rule_is_found_by_the_check() -> None:
    @cr.custom_vjp
    def double(x: Any) -> Any:
        return 2 * x

    double.defvjp(lambda x: (2 * x, x), lambda kept, ct: (3 * ct,))
    explanation = explain(lambda x: double(x) * 1.0, 1.5)
    assert explanation.gradients["x"] == 3
    assert explanation.checks["x"].verdict == "disagrees"


def test_an_explanation_does_not_change_with_its_arguments() -> None:
    x = np.array([1.0, 2.0])
    explanation = explain(lambda x: np.sum(x * x), x)
    x[:] = 0
    assert np.array_equal(explanation.gradients["x"], [2.0, 4.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        explanation.learning_rate = 1.0  # type: ignore[misc]


def test_a_gradient_function_is_explained_too() -> None:
    explanation = explain(cr.grad(lambda x: x**3), 2.0)
    assert explanation.value == 12.0
    assert explanation.gradients["x"] == 12.0  # the second derivative
    assert explanation.checks["x"].agrees


def test_a_long_chain_needs_no_recursion() -> None:
    def long(x: Any) -> Any:
        for _ in range(3000):
            x = np.sin(x) + 0.001
        return x

    explanation = explain(long, 0.5, paths=True)
    assert explanation.gradients["x"] == cr.grad(long)(0.5)
    assert len(explanation.steps) > 9000
    assert explanation.paths["x"].count == 1


def test_wrong_calls() -> None:
    check((OptionError, lambda: explain(3, 1.0), "explain needs a function\n  expected: a function of arrays with a "  # type: ignore[arg-type]
           "scalar result\n  got: 3\n  where: HERE\n"
           "  what to do: cr.explain(loss, w, x), with the arguments behind it"))  # fmt: skip
    check((NotDifferentiableError, lambda: explain(lambda n: n, 3), "explain has nothing to differentiate by\n"
           "  expected: at least one argument of float dtype\n  got: 1 arguments, none of them of float dtype\n"
           "  where: HERE\n  what to do: pass floats: 2.0, not 2; x.astype(float)"))  # fmt: skip
    check_parts(lambda: explain(lambda x: x, 1.0, wrt="y"), OptionError, ["wrt names no argument", "one of x", "'y'"])
    check_parts(lambda: explain(lambda x: x, 1.0, wrt=3), OptionError, ["wrt names no argument", "got: 3"])
    check_parts(lambda: explain(lambda x: x, 1.0, wrt=()), OptionError, ["leave wrt out for all"])
    check_parts(lambda: explain(lambda x, n: x, 1.0, 2, wrt="n"), NotDifferentiableError, ["n can't be", "pass floats"])
    check_parts(lambda: explain(lambda x: x, 1.0, lr=math.nan), OptionError, ["the learning rate", "got: nan"])
    check_parts(lambda: explain(lambda x: x, 1.0, k=0), OptionError, ["k is not a number of paths", "1 to 1000"])
    check_parts(lambda: explain(lambda x: x, np.ones(3)), ShapeError, ["needs a scalar result", "shape (3,)"])
