"""Messages that no page would send, drawn from a seed: broken text, wrong types, huge numbers, real ones changed."""

from __future__ import annotations

import json
import random
from typing import Any

TEXTS = [
    "", " ", "nan", "circle", "spiral", "own", "x1", "sin(x1)", "__import__('os').system('true')", "1/0", "x1**x1**9",
    "<script>alert(1)</script>", "../../etc/passwd", "\u0000", "é𝔘\u202e", "a" * 3000, "x1;x2", "(" * 300, "-1e308",
    "seed=1&x=true", "state=" + "A" * 500, "%00%ff", "1,2,3\n4,5", 'a,b\n"1', "a,b,c\n" + "1,2,3\n" * 50,
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 7, 100, 10**6, 2**31, 2**53 - 1, 2**63, -(2**63), 0.5, -0.0, 1e-320, 1e308, -1e308, 3.14]
DOES = [
    "hello", "choices", "set", "play", "pause", "step", "half", "back", "rewind", "edit", "explain", "verdict", "apply",
    "data", "state", "load", "url", "view", "inspect", "export", "ack", "", "eval", "__class__", "SET",
]  # fmt: skip
NAMES = [
    "settings", "speed", "unit", "count", "example", "what", "layer", "to", "from", "value", "remedy", "action",
    "x1", "x2", "label", "text", "columns", "target", "problem", "state", "url", "colour", "grid", "hover",
    "thumbnails", "discretise", "gradients", "cotangents", "test", "at", "full", "new_seed", "resume", "of", "id", "do",
    "constructor", "__proto__",
]  # fmt: skip
SETTINGS = [
    "mode", "dataset", "problem", "samples", "classes", "noise", "train_percent", "seed", "features", "normalise",
    "hidden", "activation", "activations", "loss", "initialiser", "bias", "optimizer", "learning_rate", "schedule",
    "regularization", "regularization_rate", "clip", "batch_size", "shuffle",
]  # fmt: skip
PIECES = ["{", "[", '"', "\\", "\x00", "NaN", "1e999", "\\ud800", ",", "é"]
LONG = '{"id":' + "9" * 4000
REAL: list[dict[str, Any]] = [
    {"do": "set", "settings": {"learning_rate": 0.1}},
    {"do": "set", "settings": {"hidden": [3]}},
    {"do": "step", "unit": "batch", "count": 3},
    {"do": "step", "unit": "epoch"},
    {"do": "half"},
    {"do": "back", "unit": "batch"},
    {"do": "rewind"},
    {"do": "edit", "what": "weight", "layer": 0, "to": 1, "from": 0, "value": 0.5},
    {"do": "explain", "what": "weight", "layer": 0, "to": 0, "from": 1},
    {"do": "data", "action": "add", "x1": 1.0, "x2": -2.0, "label": 1},
    {"do": "data", "action": "csv", "text": "a,b,c\n1,2,1\n3,4,-1\n5,6,1\n"},
    {"do": "data", "action": "get"},
    {"do": "view", "grid": 20, "hover": [0, 1]},
    {"do": "inspect", "at": [1.0, 2.0]},
    {"do": "load", "url": "learningRate=0.1&seed=3"},
    {"do": "url"},
    {"do": "state"},
]


def value(rng: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind <= 2:
        return rng.choice(NUMBERS)
    if kind <= 4:
        return rng.choice(TEXTS)
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == 6:
        return {rng.choice(SETTINGS): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return {rng.choice(NAMES): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def _mutated(rng: random.Random, message: dict[str, Any]) -> dict[str, Any]:
    """A real message with one thing wrong."""
    found: dict[str, Any] = json.loads(json.dumps(message))
    name = rng.choice([*found, rng.choice(NAMES)])
    match rng.randrange(4):
        case 0:
            found.pop(name, None)
        case 1:
            found[name] = value(rng)
        case 2 if isinstance(found.get("settings"), dict):
            found["settings"][rng.choice(SETTINGS)] = value(rng)
        case _:
            found[rng.choice(NAMES)] = value(rng)
    return found


def _broken(rng: random.Random, text: str) -> str:
    """Text that is JSON no more, most of the time."""
    at = rng.randrange(len(text) + 1)
    match rng.randrange(5):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + rng.choice(PIECES) + text[at:]
        case 2:
            return text[:at] + chr(rng.choice([0, 9, 10, 34, 92, 127, 0xE000, 0xFFFF, 0x1F600])) + text[at + 1 :]
        case 3:
            return rng.choice(["[", '{"a":', '{"id":1,"do":["']) * rng.randrange(1, 2000)
        case _:
            return rng.choice(["", " ", "null", "1", '"x"', "[]", "{}", "-", "Infinity", "\ufeff{}", LONG])


ASKED: list[dict[str, Any]] = [  # of the rooms' end points
    {"expression": "maximum(w*x + b, 0)**2", "at": {"w": 0.5, "x": 2.0, "b": 0.0}, "wrt": ["w"], "learning_rate": 0.1},
    {"expression": "sin(x)*x", "at": {"x": 1.5}, "focus": [0, 0], "light": True},
    {"data": {"format": "other"}},
    {"state": {"format": "chainrule.playground", "settings": {}}, "label": 1, "inputs": [1.0, 2.0]},
    {"kind": "fanout", "level": 2, "seed": 7},
    {"kind": "path", "level": 1, "seed": 3, "answer": {"gradient": "3/4"}, "hints": 1},
    {"kind": "relu", "level": 3, "seed": 1, "answer": "x**2", "field": "gradient", "text": "2x sin(x)"},
]


def body(rng: random.Random) -> dict[str, Any]:
    """What to post to an end point."""
    if rng.random() < 0.2:
        return {rng.choice(NAMES): value(rng) for _ in range(rng.randrange(4))}
    found = json.loads(json.dumps(rng.choice(ASKED)))
    for _ in range(rng.randrange(3)):
        found[rng.choice([*found, rng.choice(NAMES)])] = value(rng)
    return dict(found)


def message(rng: random.Random, number: int) -> str | bytes:
    """What to send as message ``number``: one in five is a binary message or no JSON."""
    kind = rng.randrange(20)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    made: dict[str, Any] = {"id": number, "do": rng.choice(DOES)}
    if kind <= 6:
        made |= {rng.choice(NAMES): value(rng) for _ in range(rng.randrange(4))}
    elif kind <= 9:
        made = {"id": number, "do": "set", "settings": {rng.choice(SETTINGS): value(rng) for _ in range(2)}}
    elif kind <= 16:
        made = {"id": number, **_mutated(rng, rng.choice(REAL))}
    text = json.dumps(made, ensure_ascii=rng.random() < 0.5)
    return text if kind > 3 else _broken(rng, text)
