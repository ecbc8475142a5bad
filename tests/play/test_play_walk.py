"""The walkthrough's end points: numbers are those of ``grad``, pictures those of the function, errors have words."""

from __future__ import annotations

import contextlib
import copy
import itertools
import json
import math
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.base.errors import ChainruleError, DataError, ExpressionError, OptionError
from chainrule.explain.expression import parse
from chainrule.explain.functions import FUNCTIONS
from chainrule.explain.jsonform import schema
from chainrule.play.features import columns
from chainrule.play.keep import layers_of
from chainrule.play.network import Network, Task
from chainrule.play.player import Player
from chainrule.play.settings import Settings
from chainrule.play.walk import ENDPOINTS, MOST_STEPS
from chainrule.play.walk_curves import rate_window, window
from chainrule.play.walk_examples import EXAMPLES
from chainrule.play.walk_saved import first_wrong

NEURON: dict[str, Any] = {
    "expression": "z = w*x + b; a = relu(z); L = (a - y)**2", "at": {"x": 2, "w": 0.5, "b": 0, "y": 0}, "wrt": ["w"],
}  # fmt: skip


def walk(expression: str, at: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = ENDPOINTS["explain"]({"expression": expression, "at": at, **more})["walk"]
    json.dumps(found, allow_nan=False)
    return found


def texts(one: dict[str, Any]) -> list[list[str]]:
    return [[f["text"] for f in step["formulas"]] for step in one["steps"]]


def test_the_neuron_step_by_step() -> None:
    found = walk(**NEURON)
    assert [s["phase"] for s in found["steps"]] == ["start", *["forward"] * 3, *["backward"] * 4, "update", "after"]
    assert texts(found)[1] == ["z = w·x + b = 0.5·2 + 0 = 1"]
    assert texts(found)[7] == ["∂z/∂w = x = 2", "∂L/∂w = ∂L/∂z·∂z/∂w = 2·2 = 4"]
    assert texts(found)[8] == ["w ← w − α·∂L/∂w = 0.5 − 0.1·4 = 0.1"]
    assert "So w goes down, by 0.4." in found["steps"][8]["sentence"]
    assert found["after"] == pytest.approx(0.04)
    assert "falls from 1 to 0.04" in found["steps"][9]["sentence"]
    assert "would have led to −0.6" in found["steps"][9]["sentence"]
    assert found["key"]["text"] == "∂L/∂w = ∂L/∂a·∂a/∂z·∂z/∂w = 2·1·2 = 4"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.id)
def test_each_example_has_the_numbers_of_grad(example: Any) -> None:
    found = walk(example.expression, example.at, wrt=list(example.wrt), learning_rate=example.learning_rate)
    assert found["nonfinite"] is None
    assert {check["verdict"] for check in found["checks"]} == {"agrees"}
    expression = parse(example.expression)
    values = expression.bound(found["at"])
    positions = tuple(expression.names.index(name) for name in found["wrt"])
    gradients = cr.grad(expression, positions)(*values)
    for name, gradient in zip(found["wrt"], gradients, strict=True):
        node = next(n for n in found["nodes"] if n["name"] == name)
        assert np.array_equal(node["gradient"]["values"], gradient), name
        moved = next(u for u in found["updates"] if u["name"] == name)["value"]["values"]
        assert np.array_equal(moved, np.asarray(found["at"][name]) - example.learning_rate * np.asarray(gradient))
    stepped = {**found["at"], **{u["name"]: u["value"]["values"] for u in found["updates"]}}
    assert found["after"] == float(expression(*expression.bound(stepped)))


def test_examples_have_reasons_and_ids_of_their_own() -> None:
    listed = ENDPOINTS["examples"]({})["examples"]
    assert listed[0]["id"] == "neuron"
    assert listed[0]["at"] == {"x": 2.0, "w": 0.5, "b": 0.0, "y": 0.0}
    assert len({e["id"] for e in listed}) == len(listed) == len({e["expression"] + str(e["at"]) for e in listed})
    assert all(e["reason"].endswith(".") and len(e["reason"]) > 40 for e in listed)


def test_the_page_can_follow_a_drag() -> None:
    places = None
    for w in (0.5, 0.51, -1.0, 3.0):
        found = walk(NEURON["expression"], {**NEURON["at"], "w": w}, wrt=["w"])
        a = max(2 * w, 0.0)
        loss = next(n for n in found["nodes"] if n["kind"] == "loss")
        assert loss["value"]["values"] == a * a == found["loss"]["value"]["values"]
        now = [(n["line"], n["rank"], n["height"], n["symbol"]) for n in found["nodes"]]
        assert places in (None, now), "boxes must not move while a value is dragged"
        places = now


def test_a_dead_relu_says_why() -> None:
    found = walk(NEURON["expression"], {"x": 2, "w": -0.5, "b": 0, "y": 1}, wrt=["w"])
    reasons = [s["why_zero"] for s in found["steps"] if s["why_zero"]]
    assert any("the ReLU is off" in reason for reason in reasons)
    assert found["steps"][-2]["sentence"] == "∂L/∂w is 0: w stays where it is."
    assert found["steps"][-1]["sentence"] == "L stays at 1: every gradient is 0."


def test_fan_out_is_a_sum_of_its_terms() -> None:
    found = walk("a = sin(x); a*x + exp(a)", {"x": 0.4})
    sums = [s for s in found["steps"] if s["phase"] == "sum"]
    assert [s["name"] for s in sums] == ["∂L/∂a", "∂L/∂x"]
    for step in sums:
        assert sum(t["value"]["values"] for t in step["terms"]) == step["value"]["values"]
        parts = [s for s in found["steps"] if s["phase"] == "backward" and s["line"] == step["line"]]
        assert [p["value"] for p in parts] == [t["value"] for t in step["terms"]]
        assert all(p["part"] for p in parts)


# --------------------------------------------------------------------------------------------------------------- curves


def test_curves_are_the_local_functions_with_their_slopes() -> None:
    found = walk("z = w*x + b; a = tanh(z); (a - y)**2", {"w": 0.8, "x": 1.5, "b": -0.2, "y": 0.3})
    names = {n["line"]: n["symbol"] for n in found["nodes"]}
    by = {(names[c["line"]], names[c["argument"]]): c for c in found["curves"]}
    assert set(by) == {("z", "w"), ("z", "x"), ("z", "b"), ("a", "z"), ("L", "a"), ("L", "y")}
    z = 0.8 * 1.5 - 0.2
    functions = {
        ("z", "w"): (lambda v: v * 1.5 - 0.2, 1.5, 0.8),
        ("z", "x"): (lambda v: 0.8 * v - 0.2, 0.8, 1.5),
        ("a", "z"): (np.tanh, 1 - np.tanh(z) ** 2, z),
        ("L", "a"): (lambda v: (v - 0.3) ** 2, 2 * (np.tanh(z) - 0.3), np.tanh(z)),
    }
    for key, (function, slope, at) in functions.items():
        curve = by[key]
        x = np.linspace(curve["low"], curve["high"], len(curve["y"]))
        np.testing.assert_allclose(curve["y"], function(x), rtol=6e-5, atol=1e-9)
        assert curve["slope"] == pytest.approx(slope, rel=1e-12)
        assert curve["at"] == pytest.approx(at)
        assert curve["value"] == pytest.approx(function(at))
        assert curve["low"] <= at <= curve["high"]
        assert curve["kink"] is None


def test_a_kink_has_two_slopes_and_poles_are_gaps() -> None:
    kinks = [c["kink"] for c in walk("abs(x - c)", {"x": 1, "c": 1}, wrt=["x"])["curves"]]
    assert kinks == [None, None, [-1.0, 1.0]]
    curves = walk("a = log(x); a*a", {"x": 0.5})["curves"]
    assert curves[0]["y"][:30] == [None] * 30, "the logarithm has no value left of 0"
    assert curves[0]["kink"] is None


def test_functions_that_are_not_elementwise_are_sampled_one_by_one() -> None:
    [curve] = walk("sum([3, 4]*x)", {"x": 0.5})["curves"][:1]
    x = np.linspace(curve["low"], curve["high"], len(curve["y"]))
    np.testing.assert_allclose(curve["y"], 7 * x, rtol=6e-5, atol=1e-9)


def test_a_large_graph_sends_the_curve_that_is_looked_at() -> None:
    text = "a0 = tanh(w*x); " + "; ".join(f"a{i} = tanh(w*a{i - 1} + x)" for i in range(1, 30)) + "; sum(a29)"
    found = walk(text, {"w": 0.5, "x": 1}, wrt=["x"])
    assert found["curves"] == []
    step = next(s for s in found["steps"] if s["phase"] == "backward" and s["through"] is not None and s["local"])
    asked = walk(text, {"w": 0.5, "x": 1}, wrt=["x"], focus=[step["through"], step["line"]])
    assert [(c["line"], c["argument"]) for c in asked["curves"]] == [(step["through"], step["line"])]


def test_windows_stand_still_while_a_value_moves_inside() -> None:
    assert [window(v) for v in (0.0, 1.5, 1.6, -3.0, 3.1, 100.0)] == [2.0, 2.0, 4.0, 4.0, 8.0, 256.0]
    assert rate_window(0.1) == pytest.approx(0.2)
    assert rate_window(0.5) == pytest.approx(1.0)
    assert rate_window(0.0) > 0


@pytest.mark.parametrize(("text", "at"), [
    ("z = w*x + b; a = sigmoid(z); (a - y)**2", {"w": 1.0, "x": 2.0, "b": 0.1, "y": 0.0}),
    ("z = W@x; sum((z - y)**2)", {"W": [[1.0, 2.0], [0.5, -1.0]], "x": [1.0, 0.5], "y": [0.0, 1.0]}),
])  # fmt: skip
def test_the_loss_against_the_learning_rate(text: str, at: dict[str, Any]) -> None:
    found = walk(text, at, learning_rate=0.3)
    expression = parse(text)
    values = expression.bound(found["at"])
    gradients = cr.grad(expression, tuple(range(len(values))))(*values)
    rates = np.linspace(0, found["rates"]["high"], len(found["rates"]["y"]))
    wanted = [float(expression(*[v - r * g for v, g in zip(values, gradients, strict=True)])) for r in rates]
    np.testing.assert_allclose(found["rates"]["y"], wanted, rtol=6e-5)
    assert found["rates"]["slope"] == pytest.approx(-sum(np.sum(g**2) for g in gradients))


def test_overshooting_is_said() -> None:
    found = walk(**NEURON | {"at": {"x": 2, "w": 0.5, "b": 0, "y": 1.5}, "learning_rate": 1.0})
    assert found["after"] > found["loss"]["value"]["values"]
    assert found["steps"][-1]["sentence"].startswith("The step was too long: L rises from 0.25 to ")


# ----------------------------------------------------------------------------------------------------------- not finite


def test_what_is_not_finite_is_shown_where_it_begins() -> None:
    found = walk("a = log(x); (a - y)**2", {"x": -1, "y": 0})
    assert found["nonfinite"]["step"] == 1
    assert found["steps"][1]["value"]["values"] == "nan"
    assert found["nonfinite"]["words"]["what"] == "the result is not a finite number"
    assert "log(x)" in found["nonfinite"]["words"]["where"]
    assert "NaN" in texts(found)[1][0]
    assert "is not a finite number, so there is no step to take" in walk("log(x)", {"x": 0})["steps"][-2]["sentence"]


def test_a_gradient_that_alone_is_not_finite() -> None:
    found = walk("sqrt(x)", {"x": 0})
    assert found["nonfinite"]["name"] == "∂L/∂x"
    assert found["nonfinite"]["words"] is None, "the expression itself is finite"
    assert walk("r = 1/x; (r - 1)**2", {"x": 0})["nonfinite"]["words"]["what"] == "division by zero"


# ------------------------------------------------------------------------------------------------------------ requests


def test_values_are_filled_in_and_left_over_ones_are_dropped() -> None:
    found = walk("(relu(w*x + b) - y)**2", {"x": 3, "old": 7})
    assert found["at"] == {"w": 0.5, "x": 3.0, "b": 0.0, "y": 0.0}
    assert found["wrt"] == ["w", "x", "b", "y"]
    assert walk("w*x", {}, wrt=["gone"])["wrt"] == ["w", "x"]
    assert walk("w*x", {"w": "1/4", "x": "sqrt(16)"})["at"] == {"w": 0.25, "x": 4.0}
    assert walk("sum(W@x)", {"W": [[1, 2]], "x": "[3, 4]"})["loss"]["value"]["values"] == 11


def test_variables_are_known_while_the_expression_has_no_value() -> None:
    text = "z = W@x; sum(z*z)"
    with pytest.raises(ExpressionError, match="can't be computed"):
        walk(text, {"W": 1, "x": 2})
    found = ENDPOINTS["variables"]({"expression": text, "at": {"W": 1}})
    assert found == {"names": ["W", "x"], "at": {"W": 1.0, "x": 2.0}}


BAD: list[tuple[dict[str, Any], type[ChainruleError], str]] = [
    ({}, ExpressionError, "there is no expression"),
    ({"expression": 3}, ExpressionError, "there is no expression"),
    ({"expression": ""}, ExpressionError, "empty"),
    ({"expression": "2 + 3"}, ExpressionError, "no variable"),
    ({"expression": "x +"}, ExpressionError, "can't be read"),
    ({"expression": "foo(x)"}, ExpressionError, "there is no function foo"),
    ({"expression": "__import__('os').system('x')"}, ExpressionError, "only named functions"),
    ({"expression": "x" * 4001}, ExpressionError, "too long"),
    ({"expression": "+".join(f"v{i}" for i in range(201))}, ExpressionError, "nested too deeply"),
    ({"expression": "sum([1,2]*x)", "at": {"x": [1, 2, 3]}}, ExpressionError, "can't be computed"),
    ({"expression": "x*[1, 2]"}, ExpressionError, "not a single number"),
    ({"expression": "x\ud800"}, ExpressionError, "can't be read"),
    ({"expression": "x", "at": [1]}, OptionError, "not given by name"),
    ({"expression": "x", "at": {"x": None}}, OptionError, "not made of finite numbers"),
    ({"expression": "x", "at": {"x": True}}, OptionError, "not made of finite numbers"),
    ({"expression": "x", "at": {"x": 1e301}}, OptionError, "not made of finite numbers"),
    ({"expression": "x", "at": {"x": math.nan}}, OptionError, "not finite"),
    ({"expression": "x", "at": {"x": 10**400}}, OptionError, "too large"),
    ({"expression": "x", "at": {"x": []}}, OptionError, "empty"),
    ({"expression": "x", "at": {"x": [[1], [2, 3]]}}, OptionError, "differ in length"),
    ({"expression": "x", "at": {"x": [[[[[[1]]]]]]}}, OptionError, "not made of finite numbers"),
    ({"expression": "sum(x)", "at": {"x": [0] * 2001}}, OptionError, "too large"),
    ({"expression": "sum(x) + sum(y)", "at": {"x": [0] * 1500, "y": [0] * 1500}}, OptionError, "too many elements"),
    ({"expression": "x", "at": {"x": "y"}}, ExpressionError, "no number"),
    ({"expression": "x", "wrt": "x"}, OptionError, "not a list of names"),
    ({"expression": "x", "wrt": [1]}, OptionError, "not a list of names"),
    ({"expression": "x", "learning_rate": "0.1"}, OptionError, "learning rate"),
    ({"expression": "x", "learning_rate": math.inf}, OptionError, "learning rate"),
    ({"expression": "x", "learning_rate": 10**400}, OptionError, "learning rate"),
]


@pytest.mark.parametrize(("body", "kind", "words"), BAD, ids=range(len(BAD)))
def test_bad_requests_are_refused_with_words(body: dict[str, Any], kind: type[ChainruleError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        ENDPOINTS["explain"](body)
    assert caught.value.expected
    assert caught.value.fix


def test_long_chains_are_refused() -> None:
    text = "; ".join(f"a{i} = {'x' if not i else f'a{i - 1}'}*w{i % 9} + sin(x)" for i in range(130))
    with pytest.raises(DataError, match="too long to walk through") as caught:
        walk(text)
    assert caught.value.expected == f"at most {MOST_STEPS} steps"


def test_large_arrays_in_between_are_refused() -> None:
    at = {"a": [[1.0]] * 300, "b": [[1.0] * 300]}
    with pytest.raises(DataError, match="too much to walk through"):
        walk("c = a@b; d = tanh(c); e1 = sin(d); sum(e1*e1)", at)


def test_the_place_of_an_error_is_in_the_text_that_was_typed() -> None:
    with pytest.raises(ExpressionError) as caught:
        walk("(relu(w*x + b) - foo(y))**2")
    column, row, carets = str(caught.value.where).splitlines()
    assert column == "column 18"
    assert row[carets.index("^") : carets.rindex("^") + 1] == "foo"


def test_hostile_bodies_get_words_or_an_answer() -> None:
    """Random mixtures of good and bad parts: each is answered, or refused with words; nothing else."""
    rng = random.Random(0)
    pieces = ["x", "w*x", "log(x)", "exp(exp(x))", "x**x", "1/(x-x)", "W@x", "sum(W@x)", "abs(x)**0.5", "max(x, w)",
              "x;", "(", "x.y", "lambda: 0", "[1,2]", "norm(x)", "tan(x)", "dot(x, w)", "x if x else 1"]  # fmt: skip
    values: list[Any] = [0, 1, -1, 1e-300, 1e300, -1e300, 0.5, [1, 2], [[1, 2], [3, 4]], "x", "1/0", "1e999", None,
                         {}, "", True, [], [[]], 10**30]  # fmt: skip
    answered = 0
    for _ in range(300):
        text = rng.choice(["{}", "{} + {}", "a = {}; sum(a*{})", "({})**2"]).format(*rng.choices(pieces, k=2))
        body = {"expression": text, "at": {name: rng.choice(values) for name in rng.sample(["x", "w", "W"], 2)}}
        body["learning_rate"] = rng.choice([0.1, -1, 0, 1e6, None, "1"])
        body["focus"] = rng.choice([None, [0, 1], "x", [9, "a"]])
        with contextlib.suppress(ChainruleError):
            json.dumps(ENDPOINTS["explain"](body), allow_nan=False)
            answered += 1
    assert answered > 40


def test_answers_do_not_depend_on_threads() -> None:
    bodies = [{**NEURON, "at": {"x": 2, "w": w / 10, "b": 0, "y": 0}} for w in range(24)]
    alone = [ENDPOINTS["explain"](body) for body in bodies]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ENDPOINTS["explain"], bodies)) == alone


# --------------------------------------------------------------------------------------------------- saved explanations


def saved(expression: str = NEURON["expression"], at: Any = NEURON["at"]) -> dict[str, Any]:
    body = {"expression": expression, "at": at, "wrt": ["w"], "learning_rate": 0.25, "explanation": True}
    found: dict[str, Any] = ENDPOINTS["explain"](body)["explanation"]
    copied: dict[str, Any] = json.loads(json.dumps(found))
    return copied


def test_a_saved_expression_is_replayed_and_can_be_changed() -> None:
    found = ENDPOINTS["open"]({"data": saved()})["walk"]
    assert found == walk(**NEURON | {"learning_rate": 0.25})
    assert found["editable"]


def test_a_saved_function_is_shown_as_it_was() -> None:
    def model(W: Any, b: Any, x: Any) -> Any:
        a = np.tanh(W @ x + b)
        return np.sum(a * a)

    rng = np.random.default_rng(0)
    explanation = cr.explain(model, rng.normal(size=(3, 2)), rng.normal(size=3), rng.normal(size=2), wrt=["W", "b"])
    found = ENDPOINTS["open"]({"data": json.loads(explanation.to_json())})["walk"]
    assert not found["editable"]
    assert [s["phase"] for s in found["steps"][1:-1]] == [s.phase for s in explanation.chain]
    told = [s["formulas"][-1]["text"] for s in found["steps"][1:-1]]
    assert any(text.startswith("∂L/∂W = ∂L/∂z·xᵀ") for text in told)
    assert found["steps"][-1]["phase"] == "update", "the loss after it can't be computed without the function"
    assert [n["symbol"] for n in found["nodes"]] == ["W", "b", "x", "z", "a", "L"]
    without = saved()
    without["expression"] = None
    live = walk(**NEURON | {"learning_rate": 0.25})
    opened = ENDPOINTS["open"]({"data": without})["walk"]
    assert texts(opened) == texts(live)[:-1]
    for key in ("edges", "updates", "checks", "loss", "key"):
        assert opened[key] == live[key]


def test_files_that_are_no_explanation_are_refused() -> None:
    for data in (None, [], "x", {}, {"format": "other"}, {"format": "chainrule.explanation"}):
        with pytest.raises(DataError):
            ENDPOINTS["open"]({"data": data})
    cyclic = saved()
    cyclic["expression"] = None
    cyclic["nodes"][5]["arguments"] = [7, 7]
    with pytest.raises(DataError, match="out of order"):
        ENDPOINTS["open"]({"data": cyclic})
    latex = saved()
    latex["expression"] = None
    latex["chain"][0]["formula"]["latex"] = r"\input{secret}"
    with pytest.raises(DataError, match="can't be read"):
        ENDPOINTS["open"]({"data": latex})


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in items for place in _places(value, (*path, key)))]


def test_damaged_files_get_words_or_an_answer() -> None:
    """One part of a saved explanation replaced or taken out: refused with words, or shown; never another error."""
    rng = random.Random(1)
    good = saved("L = (w*x)**2", {"x": 2, "w": 0.5})
    good["expression"] = None
    good["steps"] = good["steps"][:1]
    places = _places(good)[1:]
    wrong: list[Any] = [None, -1, 10**6, 1.5, "", "nan", [], {}, [[1]], "{" * 50, r"\frac{", True,
                        {"shape": [], "values": "x"}]  # fmt: skip
    validator = jsonschema.Draft202012Validator(schema())
    refused = 0
    for place in rng.sample(places, 120):
        data = copy.deepcopy(good)
        at = data
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = rng.choice(wrong)
        assert (first_wrong(data) is None) == validator.is_valid(data), place
        try:
            json.dumps(ENDPOINTS["open"]({"data": data}), allow_nan=False)
        except ChainruleError:
            refused += 1
    assert refused > 60


# ----------------------------------------------------------------------------------------- networks of the playground


def kept(settings: Settings, classes: int = 2) -> tuple[dict[str, Any], Network, Task]:
    """A state as the playground keeps it, with weights of its own, and the network it stands for."""
    task = Task(settings.loss, classes if settings.problem == "classification" else 0)
    sizes = (len(settings.features), *settings.hidden, task.outputs)
    rng = np.random.default_rng(3)
    layers = tuple(
        nn.Linear(rng.normal(size=(a, b)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)
    )
    network = Network(layers, (*settings.hidden_activations, task.activation))
    state = {"format": "chainrule.playground", "settings": settings.to_json(), "layers": layers_of(network)}
    return state, network, task


@pytest.mark.parametrize(("changes", "classes", "label"), [
    ({"hidden": [3, 2]}, 2, -1),
    ({"hidden": [2], "activation": "relu", "features": ["x1", "x1^2", "sin(x2)"], "loss": "cross-entropy"}, 2, 1),
    ({"hidden": [6, 6], "activations": ["selu", "log_sigmoid"]}, 2, 1),
    ({"hidden": [5, 4], "dataset": "blobs", "loss": "cross-entropy", "classes": 4}, 4, 2),
    ({"hidden": [8, 4], "dataset": "plane", "loss": "huber"}, 0, 0.25),
    ({"hidden": [3], "dataset": "plane", "loss": "absolute", "activation": "elu"}, 0, 3),
])  # fmt: skip
def test_a_network_of_the_playground_has_its_gradients(changes: dict[str, Any], classes: int, label: float) -> None:
    settings = Settings().changed(changes)
    state, network, task = kept(settings, classes)
    found = ENDPOINTS["network"]({"state": json.loads(json.dumps(state)), "x": [0.7, -1.2], "label": label})["walk"]
    inputs = columns(settings.features, np.array([[0.7, -1.2]]))
    targets = task.targets(np.array([label]))

    def loss(network: Network) -> Any:
        return np.sum(task.per_example(network(inputs), targets))

    assert found["loss"]["value"]["values"] == pytest.approx(loss(network), rel=1e-12)
    gradient = cr.grad(loss)(network)
    wanted = np.concatenate([np.concatenate([g.weight.T.reshape(-1), g.bias]) for g in gradient.layers])
    told = {n["name"]: n["gradient"]["values"] for n in found["nodes"] if n["kind"] == "weight"}
    scalars = "w_1_1_1" in told
    assert scalars == (sum(w.size for w in wanted) <= 40)
    if scalars:
        flat = [np.concatenate([[told[f"w_{k}_{j + 1}_{i + 1}"] for j in range(g.n_out) for i in range(g.n_in)],
                                [told[f"b_{k}_{j + 1}"] for j in range(g.n_out)]])
                for k, g in enumerate(network.layers, 1)]  # fmt: skip
    else:
        flat = [np.concatenate([np.ravel(told[f"W{k}"]), told[f"b{k}"]]) for k in range(1, len(network.layers) + 1)]
    np.testing.assert_allclose(np.concatenate(flat), wanted, rtol=1e-11, atol=1e-14)
    assert found["editable"]


@pytest.mark.parametrize("changes", [{"hidden": [3]}, {"dataset": "digits", "hidden": [4]}], ids=["plane", "digits"])
def test_the_playground_leads_here_with_its_example(changes: dict[str, Any]) -> None:
    """What the playground answers about a weight is what the walk through its network computes."""
    player = Player(Settings().changed(changes))
    try:
        told = player.answer({"do": "explain", "what": "weight", "layer": 0, "to": 1, "from": 1})["example"]
        state = player.answer({"do": "state"})["state"]
    finally:
        player.close()
    body = {"state": state, "inputs": told["inputs"], "label": told["label"]}
    found = ENDPOINTS["network"](json.loads(json.dumps(body)))["walk"]
    assert found["loss"]["value"]["values"] == pytest.approx(told["loss"], rel=1e-12)
    by = {n["name"]: n["gradient"]["values"] for n in found["nodes"] if n["gradient"] is not None and n["name"]}
    gradient = by["w_1_2_2"] if "w_1_2_2" in by else by["W1"][1][1]
    assert gradient == pytest.approx(told["gradient"], rel=1e-9, abs=1e-15)


def test_a_saved_playground_is_opened_as_its_network() -> None:
    state, *_ = kept(Settings())
    assert ENDPOINTS["open"]({"data": state})["walk"] == ENDPOINTS["network"]({"state": state})["walk"]


def test_states_that_are_no_network_are_refused() -> None:
    good, *_ = kept(Settings())
    bad: list[dict[str, Any]] = [
        {}, {"state": None}, {"state": {**good, "format": "x"}}, {"state": {**good, "settings": None}},
        {"state": {**good, "layers": good["layers"][:1]}}, {"state": {**good, "layers": [None] * 3}},
        {"state": {**good, "settings": {"hidden": [1000]}}}, {"state": good, "x": [1]}, {"state": good, "x": "11"},
        {"state": good, "x": [1, math.inf]}, {"state": good, "inputs": [1, 2, 3]}, {"state": good, "label": 0},
        {"state": good, "label": "1"},
    ]  # fmt: skip
    for place, value in ((("weight", 0, 0), "1"), (("weight", 0), [1]), (("bias", 0), None), (("bias",), []),
                         (("weight",), [[]]), (("weight", 0, 0), 10**400)):  # fmt: skip
        broken = copy.deepcopy(good)
        at: Any = broken["layers"][1]
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
        bad.append({"state": broken})
    for body in bad:
        with pytest.raises(ChainruleError):
            ENDPOINTS["network"](body)


# -------------------------------------------------------------------------------------------------- while it is dragged


def test_a_light_answer_has_the_same_numbers_and_one_steps_formulas() -> None:
    body = {"expression": "a = sin(x); a*x + exp(a*w)", "at": {"x": 0.4, "w": 1.5}}
    whole = ENDPOINTS["explain"](body)["walk"]
    for step in range(len(whole["steps"])):
        curve = whole["curves"][step % len(whole["curves"])]
        light = ENDPOINTS["explain"](body | {"light": step, "focus": [curve["line"], curve["argument"]]})["walk"]
        assert light["steps"][step] == whole["steps"][step]
        for one, other in zip(light["steps"], whole["steps"], strict=True):
            assert one["formulas"] in (None, other["formulas"])
            assert {**one, "formulas": 0} == {**other, "formulas": 0}
        assert light["curves"] == [curve]
        assert light["key"] in (None, whole["key"])
        for key in ("nodes", "edges", "inputs", "updates", "loss", "after", "rates", "nonfinite"):
            assert light[key] == whole[key]


SCALAR_FUNCTIONS = [name for name in FUNCTIONS if name not in ("dot", "transpose")]


@pytest.mark.parametrize("name", SCALAR_FUNCTIONS)
def test_a_kept_graph_is_right_at_other_values(name: str) -> None:
    """What was traced at one point is what is traced at any other: the walk of each equals a fresh explanation."""
    inputs = "x*[1, -2, 0.5] + y" if name in ("softmax", "log_softmax", "logsumexp", "norm", "mean", "sum") else "x"
    text = f"z = sum({name}({inputs}{', y' if name in ('max', 'min') else ''})*1); z*z"
    for x, y in ((0.5, 0.25), (-0.7, 0.3), (0.3, -0.9), (0.0, 0.0)):
        at = {"x": x, "y": y} if "y" in parse(text).names else {"x": x}
        body = {"expression": text, "at": at, "explanation": True, "learning_rate": 0.25}
        expression = replace(parse(text), finite=False)
        fresh = cr.explain(expression, *expression.bound(at), lr=0.25)
        assert ENDPOINTS["explain"](body)["explanation"] == json.loads(fresh.to_json())
