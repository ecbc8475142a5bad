"""Messages: the check agrees with the JSON Schema, and whatever is sent gets an answer or a clear error."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from chainrule.base.errors import ChainruleError, DataError
from chainrule.play.actions import ACTIONS, LOOKS
from chainrule.play.messages import actions, checked, schema
from chainrule.play.player import Player

FIGURES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.0, 1e9, 1e308, -1e308, 2**53, 10**25, 1e-320, "", "x", "x1", "tanh",
    "adam", "relu", "own", "epoch", "batch", "é\ud800", "a" * 300, [], {}, [1, 2], [[]], {"a": 1}, [None], "null", 5e3,
]  # fmt: skip


def test_every_action_of_the_schema_is_there() -> None:
    assert set(actions()) == {*ACTIONS, *LOOKS}
    assert all(schema()["$defs"][name]["description"] for name in actions())


def test_the_schema_is_one() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    ("message", "words"),
    [(3, "a message is an object"), ({}, "no such action"), ({"do": "fly"}, "no such action"),
     ({"do": ["set"]}, "no such"), ({"do": "set"}, "settings is missing"), ({"do": "set", "settings": []}, "an object"),
     ({"do": "step", "unit": "year"}, "one of example, batch, epoch"),
     ({"do": "step", "unit": "batch", "count": 0}, "1 to"),
     ({"do": "step", "unit": "batch", "count": 1.5}, "whole number"), ({"do": "play", "fast": 1}, "no such member"),
     ({"do": "edit", "what": "weight", "layer": 0, "to": 0, "value": float("nan")}, "finite number"),
     ({"do": "view", "hover": [1]}, "2 entries"), ({"do": "data", "action": "csv", "columns": [1, None]}, "text"),
     ({"do": "play", "speed": True}, "finite number or null"), ({"do": "set", "settings": {"hidden": ["a"]}}, "whole")],
)  # fmt: skip
def test_what_is_wrong_is_said(message: Any, words: str) -> None:
    with pytest.raises(DataError) as caught:
        checked(message)
    assert words in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.fix is not None


def hostile(rng: random.Random) -> Any:
    """A message: often nearly right, sometimes nonsense."""
    action = rng.choice(actions())
    rule = schema()["$defs"][action]
    message: dict[str, Any] = {"do": action}
    for name, member in rule["properties"].items():
        if name != "do" and (name in rule.get("required", ()) or rng.random() < 0.5):
            message[name] = like(rng, member)
    if action == "set" and rng.random() < 0.9:
        message["settings"] = some_settings(rng)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        if rng.random() < 0.7 and len(message) > 1:
            message[rng.choice([k for k in message if k != "do"])] = rng.choice(FIGURES)
        else:
            message[rng.choice(["extra", "layer", "count", "value"])] = rng.choice(FIGURES)
    return message if rng.random() < 0.97 else rng.choice(FIGURES)


def like(rng: random.Random, rule: dict[str, Any]) -> Any:
    """A value of the schema's kind, often a fitting one."""
    while "$ref" in rule:
        rule = schema()["$defs"][rule["$ref"].rpartition("/")[2]]
    if "enum" in rule:
        return rng.choice(rule["enum"])
    if "oneOf" in rule:
        return like(rng, rng.choice(rule["oneOf"]))
    kind = rule.get("type", "string")
    kind = rng.choice(kind) if isinstance(kind, list) else kind
    if kind == "integer":
        return rng.choice([0, 0, 1, 1, 2, 3, rule.get("maximum", 9)])
    if kind == "number":
        return rng.choice([0, 0.5, -1, 3, rng.uniform(-6, 6), rule.get("maximum", 1e6)])
    if kind == "array":
        return [like(rng, rule["items"]) for _ in range(rng.choice([rule.get("minItems", 0), 2]))]
    if kind == "object":
        return some_settings(rng) if "properties" in rule else rng.choice([{}, {"format": "chainrule.playground"}])
    return {"boolean": rng.random() < 0.5, "null": None}.get(kind, rng.choice(TEXTS))


TEXTS = ["", "x1", "tanh", "1,2,0\n3,4,1\n5,6,1\n", "a,b\n1,x", "vanishing-0", "nonfinite-0",
         "#noise=5&dataset=xor", "mode=default&w=AAAA&step=3", "dataset=own&p=AAAA", "\ud800", "steps=40&mode=default",
         "symmetric-0"]  # fmt: skip


def some_settings(rng: random.Random) -> dict[str, Any]:
    from chainrule.play.settings import DATASETS, INITIALISERS, choices

    known = choices()
    found: dict[str, Any] = {
        "hidden": [rng.choice([1, 2, 3, 5]) for _ in range(rng.choice([0, 1, 2, 3]))],
        "activation": rng.choice(known["activations"]), "optimizer": rng.choice(known["optimizers"]),
        "dataset": rng.choice([d for d in DATASETS if d != "digits"]), "loss": rng.choice(known["losses"]),
        "learning_rate": rng.choice([0, 0.01, 1, 1000, 1e-9]), "batch_size": rng.choice([1, 10, 31, 5000]),
        "features": rng.choice([["x1"], ["x1", "x2"], ["x1*x2", "sin(x1)"], ["x1**x2"], ["exp(x1*x2)"], ["1/x1"]]),
        "initialiser": rng.choice(INITIALISERS), "mode": rng.choice(["default", "default", "compatible"]),
        "problem": rng.choice(["classification", "regression"]), "samples": rng.choice([None, 10, 40]),
        "normalise": rng.random() < 0.5, "noise": rng.choice([0, 20, 80]), "bias": rng.choice([None, 0, 100]),
        "classes": rng.choice([2, 3, 10]), "schedule": rng.choice(known["schedules"]),
        "regularization": rng.choice(["none", "l1", "l2"]), "regularization_rate": rng.choice([0, 0.1, 1000, -10]),
        "clip": rng.choice([None, 0.1, 1e6]), "train_percent": rng.choice([1, 50, 99]), "seed": rng.choice(TEXTS),
    }  # fmt: skip
    return {name: found[name] for name in rng.sample(sorted(found), rng.choice([1, 1, 2, 3]))}


def bombard(count: int, seed: int) -> dict[str, int]:
    """``count`` messages to one player; how many were answered and how many refused."""
    rng = random.Random(seed)
    player = Player({"samples": 20, "hidden": [2]}, native="never")
    tally = {"answered": 0, "refused": 0, "slowest_ms": 0}
    for number in range(count):
        message = hostile(rng)
        began = time.perf_counter()
        try:
            answer = player.answer(message)
        except ChainruleError as error:
            said = str(error)
            tally["refused"] += bool(error.problem) and "Traceback" not in said
        else:
            json.dumps(answer, allow_nan=False, ensure_ascii=False).encode("utf-8")
            tally["answered"] += 1
        tally["slowest_ms"] = max(tally["slowest_ms"], int(1000 * (time.perf_counter() - began)))
        if number % 7 == 0:
            player.run(0.001)
            player.events()
        if number % 50 == 0:
            assert len(player.frame()) > 100
    player.close()
    return tally


def test_the_check_agrees_with_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(schema())
    rng = random.Random(4)
    seen = set()
    for _ in range(600):
        message = hostile(rng)
        try:
            checked(message)
            mine = True
        except DataError:
            mine = False
        seen.add(mine)
        assert validator.is_valid(message) == mine, message
    assert seen == {True, False}


def test_two_thousand_hostile_messages() -> None:
    tally = bombard(2_000, seed=1)
    assert tally["answered"] + tally["refused"] == 2_000
    assert min(tally["answered"], tally["refused"]) > 300


@pytest.mark.slow
def test_a_hundred_thousand_hostile_messages() -> None:
    for seed in range(20):
        tally = bombard(5_000, seed=100 + seed)
        assert tally["answered"] + tally["refused"] == 5_000
