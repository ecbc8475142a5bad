"""A small network with one example as an expression of scalars, for ``cr.explain`` to tell.

    z_1_1 = w_1_1_1*x_1 + w_1_1_2*x_2 + b_1_1; a_1_1 = tanh(z_1_1); …; 0.5*(y - t)**2

Weights are w_layer_to_from, counted from 1.  Does not do: softmax as a hidden activation (each of its outputs depends
on all its inputs), and networks whose text is longer than an expression may be.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.explain.expression import MOST_CHARACTERS, Expression, parse
from chainrule.play.network import Network, Task, bias_of

Array = Any

_MOST_PARAMETERS = 150

_WRITTEN = {
    "identity": "{z}", "log_sigmoid": "-softplus(-{z})",
    "selu": "1.0507009873554805*(max({z}, 0) + 1.6732632423543772*expm1(min({z}, 0)))",
}  # fmt: skip
_JOINT = ("softmax", "log_softmax")


def scalars_of(
    network: Network, task: Task, x: Array, t: Array
) -> tuple[Expression, dict[str, float], dict[tuple[int, int, int | None], str]] | None:
    """(expression of the loss, value of each variable, name of the variable at (layer, to, from or None)).

    None where the network is too large, or has an activation that can't be written element by element.
    """
    count = sum(layer.weight.size + bias_of(layer).size for layer in network.layers)
    if count > _MOST_PARAMETERS or any(name in _JOINT for name in network.activations):
        return None
    values: dict[str, float] = {f"x_{i + 1}": float(v) for i, v in enumerate(x)}
    names: dict[tuple[int, int, int | None], str] = {}
    parts: list[str] = []
    before = list(values)
    for number, (layer, activation) in enumerate(zip(network.layers, network.activations, strict=True), 1):
        last = number == len(network.layers)
        after = []
        for j in range(layer.n_out):
            bias = f"b_{number}_{j + 1}"
            names[number - 1, j, None] = bias
            values[bias] = float(bias_of(layer)[j])
            terms = []
            for i, source in enumerate(before):
                weight = f"w_{number}_{j + 1}_{i + 1}"
                names[number - 1, j, i] = weight
                values[weight] = float(layer.weight[i, j])
                terms.append(f"{weight}*{source}")
            z = f"z_{number}_{j + 1}"
            parts.append(f"{z} = {' + '.join([*terms, bias])}")
            out = ("y" if layer.n_out == 1 else f"y_{j + 1}") if last else f"a_{number}_{j + 1}"
            if activation == "identity":
                out = z
            else:
                parts.append(f"{out} = " + _WRITTEN.get(activation, activation + "({z})").format(z=z))
            after.append(out)
        before = after
    for k in range(task.outputs):
        values["t" if task.outputs == 1 else f"t_{k + 1}"] = float(t[k])
    parts.append(_loss(task, before, np.asarray(t)))
    text = "; ".join(parts)
    if len(text) > MOST_CHARACTERS:
        return None
    expression = parse(text)
    return expression, {name: values[name] for name in expression.names}, names


def _loss(task: Task, outputs: list[str], t: Array) -> str:
    aims = ["t"] if len(outputs) == 1 else [f"t_{k + 1}" for k in range(len(outputs))]
    if task.loss == "cross-entropy":
        if len(outputs) == 1:
            return f"t*softplus(-{outputs[0]}) + (1 - t)*softplus({outputs[0]})"
        right = outputs[int(np.argmax(t))]
        return f"log({' + '.join(f'exp({o})' for o in outputs)}) - {right}"
    each = {
        "squared": "0.5*({y} - {t})**2", "absolute": "abs({y} - {t})",
        "huber": "min(abs({y} - {t}), 1)*(abs({y} - {t}) - 0.5*min(abs({y} - {t}), 1))",
    }[task.loss]  # fmt: skip
    return " + ".join(each.format(y=y, t=a) for y, a in zip(outputs, aims, strict=True))
