"""A network of the playground as an expression with one example: neuron by neuron where it is small, else by layers.

    a_1_1 = tanh(w_1_1_1*x_1 + w_1_1_2*x_2 + b_1_1); …; 0.5*(y - t)**2      as chainrule.play.scalars writes it
    z1 = W1@x + b1; a1 = tanh(z1); …; L = 0.5*sum((y - t)**2)               with weights by [to][from]

The example is a point of the plane that goes through the network's features, or the network's inputs themselves.
Does not do: regularisation (which is not part of an example's loss), the statistics of normalised inputs (they are in
the data: pass ``inputs`` then).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.base.errors import DataError
from chainrule.play.features import formula
from chainrule.play.network import Network, Task
from chainrule.play.scalars import scalars_of
from chainrule.play.settings import LIMITS, Settings, real, short

FORMAT = "chainrule.playground"
MOST_SCALARS = 40
"""Parameters of a network that is told neuron by neuron: a person can read as many boxes."""
MOST_PARAMETERS = 1_500

_POINT = (1.0, -1.0)
_AS_ARRAYS = {"identity": "{}", "log_sigmoid": "-softplus(-({}))",
              "selu": "1.0507009873554805*(relu({0}) + 1.6732632423543772*expm1(min({0}, 0)))"}  # fmt: skip


def expression_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """``{state, x?, inputs?, label?}`` → {expression, at, wrt, learning_rate} of one example's loss.

    ``state``: what the playground keeps.  ``x``: a point of the plane, ``inputs``: the network's inputs in its place;
    ``label``: ±1, a class, or the number aimed at.  Raises ChainruleError for anything that does not fit together.
    """
    state = body.get("state")
    if not isinstance(state, Mapping) or state.get("format") != FORMAT:
        raise _wrong("state", short(state), "the state that the playground keeps")
    given = state.get("settings")
    if not isinstance(given, dict):
        raise _wrong("state.settings", short(given), "an object")
    settings = Settings.from_json(given)
    network, task = _network(settings, state.get("layers"))
    x = _inputs(settings, network, body)
    targets = task.targets(np.array([_label(body, task)]))[0]
    found = _by_neurons(network, task, x, targets) or _by_layers(network, task, x, targets)
    return {**found, "learning_rate": settings.learning_rate}


def _by_neurons(network: Network, task: Task, x: Any, targets: Any) -> dict[str, Any] | None:
    if _parameters(network.layers) > MOST_SCALARS:
        return None
    scalars = scalars_of(network, task, x, targets)
    if scalars is None:
        return None
    expression, at, names = scalars
    return {"expression": expression.text, "at": dict(at), "wrt": list(names.values())}


def _parameters(layers: Iterable[nn.Linear]) -> int:
    return sum((layer.n_in + 1) * layer.n_out for layer in layers)


def _by_layers(network: Network, task: Task, x: Any, targets: Any) -> dict[str, Any]:
    at: dict[str, Any] = {"x": x.tolist(), "t": targets.tolist()}
    parts, before = [], "x"
    wrt = []
    for number, (layer, activation) in enumerate(zip(network.layers, network.activations, strict=True), 1):
        at[f"W{number}"], at[f"b{number}"] = layer.weight.T.tolist(), np.asarray(layer.bias).tolist()
        wrt += [f"W{number}", f"b{number}"]
        parts.append(f"z{number} = W{number}@{before} + b{number}")
        before = f"a{number}"
        parts.append(f"{before} = {_AS_ARRAYS.get(activation, activation + '({})').format(f'z{number}')}")
    parts.append(_loss(task, before))
    return {"expression": "; ".join(parts), "at": at, "wrt": wrt}


def _loss(task: Task, out: str) -> str:
    """The loss of one example, as :meth:`chainrule.play.network.Task.per_example` has it."""
    if task.loss == "cross-entropy":
        return f"L = logsumexp({out}) - dot(t, {out})" if task.outputs > 1 else f"L = sum(softplus({out}) - t*{out})"
    if task.loss == "absolute":
        return f"L = sum(abs({out} - t))"
    if task.loss == "huber":
        return f"d = {out} - t; m = min(abs(d), 1); L = sum(m*(abs(d) - 0.5*m))"
    return f"L = 0.5*sum(({out} - t)**2)"


# ------------------------------------------------------------------------------------------------------------- reading


def _wrong(where: str, got: str, expected: str) -> DataError:
    return DataError("this is no network of the playground", expected=expected, got=got, where=where,
                     fix="open a state that the playground saved")  # fmt: skip


def _network(settings: Settings, layers: Any) -> tuple[Network, Task]:
    if not isinstance(layers, list) or len(layers) != len(settings.hidden) + 1:
        raise _wrong("state.layers", short(layers), f"{len(settings.hidden) + 1} layers")
    found: list[nn.Linear] = []
    for number, layer in enumerate(layers):
        where = f"state.layers[{number}]"
        parts = layer if isinstance(layer, dict) else {}
        bias, weight = _row(parts.get("bias"), f"{where}.bias"), parts.get("weight")
        if not isinstance(weight, list) or len(weight) != len(bias):
            raise _wrong(f"{where}.weight", short(weight), f"{len(bias)} rows")
        rows = [_row(row, f"{where}.weight[{i}]") for i, row in enumerate(weight)]
        n_in = found[-1].n_out if found else len(rows[0])
        if any(len(row) != n_in for row in rows):
            raise _wrong(f"{where}.weight", "rows of other lengths", f"rows of {n_in} numbers")
        if number < len(settings.hidden) and len(rows) != settings.hidden[number]:
            raise _wrong(f"{where}.weight", f"{len(rows)} rows", f"{settings.hidden[number]} rows")
        found.append(nn.Linear(np.ascontiguousarray(np.array(rows, np.float64).T), np.array(bias, np.float64)))
    count = _parameters(found)
    if count > MOST_PARAMETERS:
        raise DataError("this network is too large to walk through", expected=f"at most {MOST_PARAMETERS:,} parameters",
                        got=f"{count:,}", where="state.layers", fix="take fewer or narrower layers")  # fmt: skip
    outputs = found[-1].n_out
    classes = 0 if settings.problem == "regression" else 2 if outputs == 1 else outputs
    task = Task(settings.loss, classes)
    if task.outputs != outputs:
        raise _wrong("state.layers", f"{outputs} outputs", f"{task.outputs}")
    return Network(tuple(found), (*settings.hidden_activations, task.activation)), task


def _row(value: Any, where: str) -> list[float]:
    if not isinstance(value, list) or not 0 < len(value) <= 1024 or not all(map(real, value)):
        raise _wrong(where, short(value), "a list of finite numbers")
    if any(abs(v) > 1e100 for v in value):
        raise _wrong(where, "a number beyond 1e100", "a list of finite numbers")
    return [float(v) for v in value]


def _inputs(settings: Settings, network: Network, body: Mapping[str, Any]) -> Any:
    """What goes into the network."""
    wanted = network.layers[0].n_in
    if body.get("inputs") is not None:
        inputs = _row(body["inputs"], "inputs")
        if len(inputs) != wanted:
            raise DataError("these are not the network's inputs", expected=f"{wanted} numbers", got=len(inputs),
                            where="inputs", fix="pass one number per input")  # fmt: skip
        return np.array(inputs)
    point = _row(list(_POINT) if body.get("x") is None else body["x"], "x")
    if settings.dataset == "digits" or len(point) != 2:
        raise DataError("this network's inputs are not given", expected=f"{wanted} numbers, or a point of the plane",
                        got=f"{len(point)} numbers", where="inputs", fix="pass inputs")  # fmt: skip
    if len(settings.features) != wanted:
        raise _wrong("state.layers[0].weight", f"rows of {wanted}", f"rows of {len(settings.features)}: the features")
    x, y = (np.array([v]) for v in point)
    with np.errstate(all="ignore"):
        found = np.array([float(formula(text)(x, y)[0]) for text in settings.features])
    return np.nan_to_num(np.clip(found, -LIMITS["weight"], LIMITS["weight"]))


def _label(body: Mapping[str, Any], task: Task) -> float:
    label = body.get("label")
    if label is None:
        return 1.0
    good = real(label) and abs(label) <= 1e6
    if good and task.classes > 2:
        good = float(label).is_integer() and 0 <= label < task.classes
    elif good and task.classes == 2:
        good = label in (-1, 1)
    if not good:
        expected = f"0 to {task.classes - 1}" if task.classes > 2 else "-1 or 1" if task.classes else "a number"
        raise DataError("this is no label", expected=expected, got=short(label), where="label",
                        fix="pass the label of the example")  # fmt: skip
    return float(label)
