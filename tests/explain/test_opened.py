"""Loops, branches and checkpoints are told line by line, with the numbers of ``grad``."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

import chainrule as cr
from chainrule.explain.jsonform import schema
from chainrule.explain.plain import plain
from chainrule.explain.unroll import LONGEST, opened
from chainrule.transforms.arguments import trace_call

XS = np.random.default_rng(0).normal(size=60)


def recurrent(w: Any, u: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = np.tanh(w * x + u * h)
        return h, h

    last, seen = cr.scan(step, 0.1, xs)
    return last**2 + np.sum(seen)


def steps_of(explanation: cr.Explanation, phase: str) -> list[Any]:
    return [step for step in explanation.chain if step.phase == phase]


def test_each_turn_of_a_short_loop_is_told() -> None:
    explanation = cr.explain(recurrent, 0.5, 0.8, XS[:3], wrt=("w", "u"))
    places = [step.within for step in steps_of(explanation, "forward")]
    assert places[:6] == ["t = 1 of 3"] * 2 + ["t = 2 of 3"] * 2 + ["t = 3 of 3"] * 2
    assert set(places[6:]) == {""}
    assert [plain(s.symbol) for s in steps_of(explanation, "forward")][:6] == ["z₁", "h₁", "z₂", "h₂", "z₃", "h₃"]
    text = str(explanation)
    assert text.index("t = 1 of 3") < text.index("z₁ = w·xs₀") < text.index("t = 2 of 3") < text.index("outside of it")


def test_the_gradient_of_a_shared_weight_is_a_sum_over_time() -> None:
    explanation = cr.explain(recurrent, 0.5, 0.8, XS[:4], wrt=("w", "u"), paths=True)
    (shared,) = [s for s in explanation.sent if s.symbol == "u"]
    assert [term.within for term in shared.terms] == [f"t = {t} of 4" for t in (4, 3, 2, 1)]
    assert sum(term.value for term in shared.terms) == pytest.approx(explanation.gradients["u"], rel=1e-14)
    assert sum(term.share for term in shared.terms) == pytest.approx(1)
    assert "through z₂ (t = 2 of 4)" in str(explanation)
    assert "(t = 2 of 4)" in explanation.to_html()
    assert "(t = 2 of 4)" in explanation.to_latex().replace("{-}", "-")


def test_paths_go_through_time() -> None:
    def loss(u: Any, h: Any) -> Any:
        return cr.scan(lambda h, _: (np.tanh(u * h), None), h, None, length=6)[0]

    explanation = cr.explain(loss, 0.9, 0.4, paths=True)
    assert explanation.paths["u"].count == 6
    assert explanation.paths["u"].total == pytest.approx(explanation.gradients["u"], rel=1e-12)


@pytest.mark.parametrize("length", [1, 2, LONGEST, LONGEST + 1, 60])
@pytest.mark.parametrize("reverse", [False, True])
def test_values_and_gradients_stay_what_they_were(length: int, reverse: bool) -> None:
    def loss(w: Any, u: Any, h: Any, xs: Any) -> Any:
        def step(carry: Any, x: Any) -> Any:
            h, total = carry
            h = np.tanh(w * x + u * h)
            return (h, total + h * x), h * w

        (last, total), seen = cr.scan(step, (h, np.float64(0.0)), xs, reverse=reverse)
        return last * total + np.sum(seen * xs)

    given = (0.5, -1.2, 0.3, XS[:length])
    explanation = cr.explain(loss, *given)
    assert explanation.value == pytest.approx(loss(*given), rel=1e-13)
    for name, expected in zip(("w", "u", "h", "xs"), cr.grad(loss, argnums=(0, 1, 2, 3))(*given), strict=True):
        assert np.array_equal(explanation.gradients[name], expected)  # bit for bit
    for step in steps_of(explanation, "sum"):  # the story adds in its own order
        if step.line < explanation.graph.inputs:
            np.testing.assert_allclose(step.value, explanation.gradient(step.line), rtol=1e-12, atol=1e-15)
    assert all(check.agrees for check in explanation.checks.values())


def test_of_a_long_loop_the_first_and_the_last_turn_are_told() -> None:
    explanation = cr.explain(recurrent, 0.5, 0.8, XS, wrt="w")
    places = list(dict.fromkeys(step.within for step in steps_of(explanation, "forward")))
    assert places == ["t = 1 of 60", "t = 2 … 59 of 60", "t = 60 of 60", ""]
    assert [line.op.name for line in explanation.graph.lines].count("scan") == 1
    jsonschema.validate(json.loads(explanation.to_json()), schema())


def test_loops_in_loops() -> None:
    def loss(w: Any) -> Any:
        def outer(a: Any, _: Any) -> Any:
            return cr.scan(lambda b, _: (np.sin(w * b), None), a, None, length=2)[0], None

        return cr.scan(outer, w, None, length=2)[0]

    explanation = cr.explain(loss, 0.7)
    places = list(dict.fromkeys(step.within for step in steps_of(explanation, "forward")))
    assert places == [f"t = {t} of 2, s = {s} of 2" for t in (1, 2) for s in (1, 2)]
    assert explanation.gradients["w"] == cr.grad(loss)(0.7)


def test_of_a_condition_the_branch_that_is_taken() -> None:
    def loss(x: Any) -> Any:
        return 3 * cr.cond(x > 0, lambda v: np.exp(v) * v, lambda v: v**2, x)

    positive = cr.explain(loss, 0.5)
    assert {step.within for step in steps_of(positive, "forward")} == {"condition true", ""}
    assert "exp" in {line.op.name for line in positive.graph.lines}
    assert positive.gradients["x"] == cr.grad(loss)(0.5)
    negative = positive.again(x=-0.5)
    assert {step.within for step in steps_of(negative, "forward")} == {"condition false", ""}
    assert "exp" not in {line.op.name for line in negative.graph.lines}
    assert negative.gradients["x"] == cr.grad(loss)(-0.5) == -3.0


def test_a_condition_in_a_loop_takes_another_branch_each_turn() -> None:
    def loss(x: Any, ys: Any) -> Any:
        def step(h: Any, y: Any) -> Any:
            return cr.cond(y > 0, lambda v: v * x, lambda v: v + x, h), None

        return cr.scan(step, x, ys)[0]

    explanation = cr.explain(loss, 1.5, np.array([1.0, -1.0, 1.0]), wrt="x")
    taken = [s.within for s in steps_of(explanation, "forward") if "condition" in s.within]
    assert taken == ["t = 1 of 3, condition true", "t = 2 of 3, condition false", "t = 3 of 3, condition true"]
    assert explanation.value == (1.5 * 1.5 + 1.5) * 1.5


def test_a_checkpoint_is_only_a_matter_of_memory() -> None:
    def block(x: Any) -> Any:
        z = x * x + 1
        return np.log(z)

    kept = cr.explain(lambda x: block(x) * 2, 1.5)
    opened_up = cr.explain(lambda x: cr.checkpoint(block)(x) * 2, 1.5)
    assert [(s.symbol, s.formula, s.value) for s in opened_up.chain] == [
        (s.symbol, s.formula, s.value) for s in kept.chain
    ]
    assert not any(step.within for step in opened_up.chain)


def test_what_would_be_too_long_stays_closed() -> None:
    def body(h: Any, _: Any) -> Any:
        for _ in range(3000):
            h = np.sin(h)
        return h, None

    call = trace_call(lambda x: cr.scan(body, x, None, length=5)[0], (0.5,), {}, (0,), "explain", differentiable=False)
    story = opened(call.graph, call.inputs)
    assert [line.op.name for line in story.graph.lines].count("scan") == 1
    assert story.within == {}


def test_a_graph_without_loops_is_left_alone() -> None:
    graph = trace_call(np.sin, (0.5,), {}, (0,), "explain", differentiable=False).graph
    assert opened(graph, [0.5]).graph is graph
