"""The hash of an address: ``key=value&…`` with the reference playground's keys where it has them, and more.

A hash of the reference opens in mode ``compatible``: such a hash names no ``mode``, ours always do.  Beside settings a
hash may hold parameters, the optimizer's state and own points as base64 of little-endian doubles (``w``, ``o``,
``p``), and the position (``step``, ``epoch``, ``batch``), so that it leads to the very same weights.

What of the reference's keys belongs to the page alone (showTestData, discretize, …_hide, tutorial) is passed over.
Does not do: putting parameters together (``keep``).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

import numpy as np

from chainrule.base.errors import DataError, OptionError
from chainrule.play.settings import LIMITS, Settings, short, whole

Array = Any

_FEATURES = {"x": "x1", "y": "x2", "xSquared": "x1^2", "ySquared": "x2^2", "xTimesY": "x1*x2", "sinX": "sin(x1)",
             "sinY": "sin(x2)"}  # in the order of the network's inputs  # fmt: skip
_DATASETS = {"circle": "circle", "xor": "xor", "gauss": "gauss", "spiral": "spiral"}
_REGRESSIONS = {"reg-plane": "plane", "reg-gauss": "multi-gauss"}
_ACTIVATIONS = {"relu": "relu", "tanh": "tanh", "sigmoid": "sigmoid", "linear": "identity"}
_REGULARIZATIONS = {"none": "none", "L1": "l1", "L2": "l2"}
_OURS = ("samples", "classes", "data_seed", "normalise", "activations", "loss", "initialiser", "bias", "optimizer",
         "schedule", "schedule_epochs", "clip", "shuffle", "train_percent", "formulas")  # fmt: skip
_DEFAULTS = Settings()


def _reference_name(table: Mapping[str, str], value: str) -> str | None:
    return next((k for k, v in table.items() if v == value), None)


# -------------------------------------------------------------------------------------------------------------- out


def to_hash(settings: Settings) -> str:
    """The settings as ``key=value&…``."""
    s = settings
    pairs: list[tuple[str, str]] = [("mode", s.mode)]
    activation = _reference_name(_ACTIVATIONS, s.activation) or s.activation
    pairs += [("activation", activation), ("regularization", _reference_name(_REGULARIZATIONS, s.regularization) or "")]
    pairs += [("batchSize", str(s.batch_size))]
    if s.problem == "regression" and s.dataset in _REGRESSIONS.values():
        pairs.append(("regDataset", _reference_name(_REGRESSIONS, s.dataset) or ""))
    else:
        pairs.append(("dataset", s.dataset))
    pairs += [
        ("learningRate", repr(s.learning_rate)), ("regularizationRate", repr(s.regularization_rate)),
        ("noise", _short_number(s.noise)), ("networkShape", ",".join(map(str, s.hidden))), ("seed", s.seed),
        ("percTrainData", _short_number(s.train_percent)), ("problem", s.problem),
        ("initZero", "true" if s.initialiser == "zeros" and s.bias is None else "false"),
    ]  # fmt: skip
    pairs += [(key, "true" if name in s.features else "false") for key, name in _FEATURES.items()]
    own = [name for name in s.features if name not in _FEATURES.values()]
    fixed = [name for name in s.features if name in _FEATURES.values()]
    in_order = fixed == [name for name in _FEATURES.values() if name in fixed] and list(s.features) == [*fixed, *own]
    if own or not in_order:
        pairs.append(("features", ";".join(s.features)))
    for name in _OURS:
        value = getattr(s, name, None)
        if name not in ("train_percent", "formulas") and value != getattr(_DEFAULTS, name):
            pairs.append((name, _text(value)))
    return "&".join(f"{key}={quote(value, safe=',;()*.:-+')}".replace("+", "%2B") for key, value in pairs)


def _short_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(value)


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join("" if v is None else str(v) for v in value)
    return repr(value) if isinstance(value, float) else str(value)


# --------------------------------------------------------------------------------------------------------------- in


def pairs_of(text: str) -> dict[str, str]:
    """The pairs of a hash, with or without its ``#``.  Raises DataError for one that is too long."""
    if len(text) > LIMITS["hash"]:
        raise DataError("the address is too long", expected=f"at most {LIMITS['hash']:,.0f} characters",
                        got=f"{len(text):,}", where="address", fix="load the JSON state instead")  # fmt: skip
    try:
        return dict(parse_qsl(text.lstrip("#").replace("+", "%2B"), keep_blank_values=True, max_num_fields=200))
    except ValueError as error:
        raise DataError("the address can't be read", expected="key=value&…", got=short(str(error)), where="address",
                        fix="copy it again") from None  # fmt: skip


def from_hash(pairs: Mapping[str, str]) -> Settings:
    """The settings that a hash's pairs name; others are at their defaults (the reference's, without a ``mode``)."""
    mode = pairs.get("mode", "compatible" if pairs else "default")
    if mode not in ("default", "compatible"):
        raise _wrong("mode", mode, "default or compatible")
    found: dict[str, Any] = {"mode": mode}
    problem = pairs.get("problem", "classification")
    if problem not in ("classification", "regression"):
        raise _wrong("problem", problem, "classification or regression")
    found["problem"] = problem
    name = pairs.get("dataset", "circle")
    if problem == "regression" and ("regDataset" in pairs or "dataset" not in pairs or name in _DATASETS):
        name = pairs.get("regDataset", "reg-plane")
    found["dataset"] = {**_DATASETS, **_REGRESSIONS}.get(name, name)
    activation = pairs.get("activation", "tanh")
    found["activation"] = _ACTIVATIONS.get(activation, activation)
    kind = pairs.get("regularization", "none")
    found["regularization"] = _REGULARIZATIONS.get(kind, kind or "none")
    for key, field, default in (
        ("learningRate", "learning_rate", 0.03), ("regularizationRate", "regularization_rate", 0.0),
        ("batchSize", "batch_size", 10), ("noise", "noise", 0), ("percTrainData", "train_percent", 50),
    ):  # fmt: skip
        found[field] = _number(key, pairs[key]) if key in pairs else default
    noise = found["noise"]
    found["noise"] = 50 if noise > LIMITS["noise"] else max(noise, 0)  # as the reference does
    shape = pairs.get("networkShape", "4,2")
    found["hidden"] = [int(_number("networkShape", part)) for part in shape.split(",") if part.strip()]
    if "seed" in pairs:
        found["seed"] = pairs["seed"]
    found["features"] = _features(pairs)
    if mode == "compatible":
        found.update(initialiser="uniform", shuffle=False)
    if pairs.get("initZero") == "true":
        found["initialiser"] = "zeros"
    _ours(pairs, found)
    return Settings.from_json(found)


def _features(pairs: Mapping[str, str]) -> list[str]:
    if "features" in pairs:
        return [part for part in pairs["features"].split(";") if part]
    usual = {"x": "true", "y": "true"}
    found = [name for key, name in _FEATURES.items() if pairs.get(key, usual.get(key, "false")) == "true"]
    return found or ["x1", "x2"]


def _ours(pairs: Mapping[str, str], found: dict[str, Any]) -> None:
    for name in _OURS:
        if name not in pairs or name in ("train_percent", "formulas"):
            continue
        text = pairs[name]
        if name in ("normalise", "shuffle"):
            found[name] = text == "true"
        elif name in ("samples", "classes", "schedule_epochs", "bias", "clip"):
            found[name] = None if text == "null" else _number(name, text)
        elif name == "activations":
            found[name] = [part or None for part in text.split(",")]
        elif name == "data_seed":
            found[name] = None if text == "null" else text
        else:
            found[name] = text


def _number(key: str, text: str) -> float:
    try:
        value = float(text) if len(text) <= 40 and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong(key, text, "a number")
    return int(value) if whole(value) else value


def _wrong(key: str, got: str, expected: str) -> DataError:
    return DataError("the address has a value that can't be", expected=expected, got=short(got),
                     where=f"address, {key}", fix="correct it, or leave it out")  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ numbers


def packed(values: Array) -> str:
    """Doubles as base64 for an address."""
    data = np.asarray(values, "<f8").tobytes()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unpacked(key: str, text: str) -> Array:
    """The doubles.  Raises DataError for what is no such text."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return np.frombuffer(data, "<f8").astype(np.float64)
    except (binascii.Error, ValueError):
        raise _wrong(key, text[:30], "base64 of doubles") from None


# ---------------------------------------------------------------------------------------------------- the reference


def from_reference(config: Mapping[str, Any]) -> Settings:
    """The settings of a trajectory file's ``config``.  Raises OptionError for what the compatible mode has not."""
    known = {
        "seed", "noise", "percTrainData", "batchSize", "learningRate", "regularization", "regularizationRate",
        "problem", "initZero", "dataset", "regDataset", "activation", "features", "networkShape",
    }  # fmt: skip
    missing = [name for name in ("dataset", "activation", "features", "networkShape") if name not in config]
    if missing:
        raise OptionError("this is no configuration of the reference", expected=", ".join(sorted(known)),
                          got=f"no {', '.join(missing)}", where="config", fix="pass the file's config")  # fmt: skip
    plain = known - {"features", "dataset", "regDataset"}
    pairs = {key: _text(config[key]) for key in plain if key in config}
    pairs["networkShape"] = ",".join(map(str, config["networkShape"]))
    unknown = [name for name in config["features"] if name not in _FEATURES]
    if unknown:
        raise OptionError("the reference has no such feature", expected=", ".join(_FEATURES), got=short(unknown),
                          where="config.features", fix="leave it out")  # fmt: skip
    pairs["features"] = ";".join(_FEATURES[name] for name in config["features"])
    name = str(config["dataset"])
    pairs["regDataset" if name.startswith("reg-") else "dataset"] = name
    if name.startswith("reg-"):
        pairs["problem"] = "regression"
    pairs["mode"] = "compatible"
    return from_hash(pairs)

