"""One weight or bias: its chain-rule product over all paths, with the numbers of the step that training takes next.

For one example ∂E/∂w is the sum, over all ways from the loss back to the weight, of products of local derivatives; the
largest are listed (:class:`chainrule.explain.paths.PathTable` on the graph of neurons, whose local derivatives are
those of ``cr``).  The gradient that training uses is the mean over the batch, plus the penalty's part; it is read from
the same measurement as the update.  Small networks are also told step by step by ``cr.explain``, as a graph of scalars.

Layers count from 0, the first hidden; ``from`` is a neuron of the layer before, or an input.
Does not do: formulas (``weight_lines``); gradients by inputs or data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule import nn
from chainrule.api import jacobian, vjp
from chainrule.base.errors import DataError, OptionError
from chainrule.explain.explanation import explain as tell
from chainrule.explain.jsonform import as_data, formula
from chainrule.explain.paths import Edge, PathSum, PathTable
from chainrule.play.context import Context
from chainrule.play.course import Seen
from chainrule.play.half import numbers
from chainrule.play.inspect import number
from chainrule.play.network import Network, bias_of
from chainrule.play.scalars import scalars_of
from chainrule.play.trainer import Measured, State, measured
from chainrule.play.weight_lines import Place, factors, lines, update, value_at

Array = Any

_MOST_LISTED = 10
_MANY_EDGES = 3_000
_MOST_EXAMPLES = 60  # of a batch, listed one by one


def place(context: Context, message: Mapping[str, Any]) -> Place:
    """The parameter that a message names.  Raises OptionError where there is none."""
    sizes, layer, to = context.sizes, int(message["layer"]), int(message["to"])
    if layer >= len(sizes) - 1:
        raise _no_such("layer", layer, len(sizes) - 1)
    if to >= sizes[layer + 1]:
        raise _no_such("to", to, sizes[layer + 1])
    if message["what"] == "bias":
        return Place(layer, to, None)
    if "from" not in message:
        raise OptionError("a weight has two ends", expected="from, to and layer", got="no from", where=message["do"],
                          fix="say which neuron it comes from")  # fmt: skip
    source = int(message["from"])
    if source >= sizes[layer]:
        raise _no_such("from", source, sizes[layer])
    return Place(layer, to, source)


def _no_such(name: str, got: int, count: int) -> OptionError:
    return OptionError(f"there is no such {name}", expected=f"0 to {count - 1}", got=got, where=name,
                       fix="count from 0; the first hidden layer is 0")  # fmt: skip


def edited(network: Network, at: Place, value: float) -> Network:
    """The network with one parameter replaced."""
    layer = network.layers[at.layer]
    weight, bias = np.array(layer.weight), np.array(layer.bias)
    if at.source is None:
        bias[at.to] = value
    else:
        weight[at.source, at.to] = value
    layers = list(network.layers)
    layers[at.layer] = nn.Linear(weight, bias)
    return dataclasses.replace(network, layers=tuple(layers))


# ------------------------------------------------------------------------------------------------------------ explain


def explain(seen: Seen, message: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to ``explain``."""
    context, state = seen.context, seen.state
    at = place(context, message)
    if not context.count:
        raise DataError("there is no example to explain with", expected="training points", got="none", where="explain",
                        fix="add a point")  # fmt: skip
    found = measured(seen.program, context, state)
    rows = context.batches(state.epoch, state.batch, 1)[0][0]
    rows = rows[rows >= 0]
    index = min(int(message.get("example", state.example)), len(rows) - 1)
    paths = paths_of(context, state.network, found, index, at)
    return {
        "name": formula(at.latex), "layer": at.layer, "to": at.to, "from": at.source,
        "value": value_at(state.network, at), "gradient": number(value_at(found.gradient, at)),
        "example": _example(context, found, index, int(rows[index]), at),
        "batch": _batch(context, state, found, len(rows), at),
        "paths": _listed(paths), "lines": lines(context, state, found, index, len(rows), at),
        "update": update(context, state, found, at),
        "explanation": _told(context, state, int(rows[index]), at) if message.get("full") else None,
    }  # fmt: skip


def _example(context: Context, found: Measured, index: int, row: int, at: Place) -> dict[str, Any]:
    data = context.data
    slopes, values = factors(found, at)
    slope, value = float(slopes[index]), float(values[index])
    return {
        "index": index, "row": row, "point": None if data.images else numbers(data.points[row]),
        "inputs": numbers(context.tables.x[row]), "label": float(data.labels[row]),
        "loss": number(float(found.losses[index])), "arriving": number(slope),
        "source": number(value), "gradient": number(slope * value),
    }  # fmt: skip


def _batch(context: Context, state: State, found: Measured, count: int, at: Place) -> dict[str, Any]:
    slopes, values = factors(found, at)
    products = slopes[:count] * values[:count]
    gradient = value_at(found.gradient, at)
    mean = float(np.sum(products) / count)
    held = state.held
    carried = None
    penalty = gradient - mean
    if held is not None:
        layer = held.sums[at.layer]
        summed = float(bias_of(layer)[at.to] if at.source is None else layer.weight[at.source, at.to])
        carried = {"examples": int(held.count), "sum": number(summed)}
        penalty = 0.0
    elif at.source is None:
        penalty = 0.0
    else:
        w = value_at(state.network, at)
        penalty = context.l1 * float(np.sign(w)) + context.l2 * w
    return {
        "examples": count, "products": numbers(products[:_MOST_EXAMPLES]), "mean": number(mean),
        "penalty": number(penalty), "carried": carried, "gradient": number(gradient),
    }  # fmt: skip


def paths_of(context: Context, network: Network, found: Measured, index: int, at: Place) -> PathSum:
    """The paths from the loss of one example to a parameter."""
    edges: list[Edge] = []
    last = len(network.layers) - 1
    for layer in range(last, at.layer - 1, -1):
        wanted = range(context.sizes[layer + 1]) if layer > at.layer else [at.to]
        if layer == last:
            arriving = found.cotangents[last][1][index]
            edges += [Edge("E", ("a", layer, j), float(arriving[j])) for j in range(context.sizes[layer + 1])]
        edges += _through_activation(network.activations[layer], layer, found.before[layer][index], wanted)
        if layer > at.layer:
            w = network.layers[layer].weight
            sources = range(context.sizes[layer]) if layer - 1 > at.layer else _feeding(network, at)
            edges += [
                Edge(("z", layer, j), ("a", layer - 1, i), float(w[i, j])) for j in wanted for i in sources
            ]  # fmt: skip
    edges.append(Edge(("z", at.layer, at.to), "w", float(factors(found, at)[1][index])))
    k = _MOST_LISTED if len(edges) <= _MANY_EDGES else 3
    return PathTable("E", edges, k).paths("w")


def _feeding(network: Network, at: Place) -> list[int]:
    """The activations of the parameter's layer that depend on its neuron."""
    if network.activations[at.layer] in ("softmax", "log_softmax"):
        return list(range(network.layers[at.layer].n_out))
    return [at.to]


def _through_activation(name: str, layer: int, z: Array, wanted: Any) -> list[Edge]:
    """The edges from activations to pre-activations: one each, or all pairs for softmax."""
    function = nn.activation(name)
    if name in ("softmax", "log_softmax"):
        local = jacobian(function)(z)
        return [Edge(("a", layer, i), ("z", layer, j), float(local[i, j])) for i in range(len(z)) for j in wanted]
    slopes = vjp(function, z)[1](np.ones_like(z))[0]
    return [Edge(("a", layer, j), ("z", layer, j), float(slopes[j])) for j in wanted]


def _listed(found: PathSum) -> dict[str, Any]:
    return {
        "listed": [
            {"nodes": [_node(n) for n in p.nodes], "factors": numbers(p.factors), "product": number(p.product)}
            for p in found.paths
        ],
        "count": found.count if found.count < 2**53 else float(found.count), "total": number(found.total),
        "rest": number(found.rest),
    }  # fmt: skip


def _node(node: Any) -> dict[str, Any]:
    if isinstance(node, str):
        return {"kind": "loss" if node == "E" else "parameter"}
    return {"kind": node[0], "layer": node[1], "neuron": node[2]}


def _told(context: Context, state: State, row: int, at: Place) -> dict[str, Any] | None:
    """``cr.explain`` on the network as a graph of scalars, where it is small enough."""
    made = scalars_of(state.network, context.task, context.tables.x[row], context.tables.t[row])
    if made is None:
        return None
    expression, values, names = made
    name = names[at]
    rate = float(context.rates(state.step, 1)[0])
    given = [values[n] for n in expression.names]
    return as_data(tell(expression, *given, wrt=name, lr=rate, paths=True, k=_MOST_LISTED))


# ------------------------------------------------------------------------------------------------------------ inspect


def inspect(seen: Seen, at: Any) -> dict[str, Any]:
    """One input through the network."""
    context, state = seen.context, seen.state
    data = context.data
    if at is None:
        if not context.count:
            raise DataError("there is no example", expected="a point", got="none", where="inspect", fix="pass at")
        rows = context.batches(state.epoch, state.batch, 1)[0][0]
        rows = rows[rows >= 0]
        row = int(rows[min(state.example, len(rows) - 1)])
        x = context.tables.x[row : row + 1]
        point = None if data.images else numbers(data.points[row])
    elif data.images:
        raise OptionError("digits are not points of the plane", expected="no at", got="a point", where="inspect",
                          fix="leave it out for the current example")  # fmt: skip
    else:
        x, point = context.inputs(np.array([at], np.float64)), [float(at[0]), float(at[1])]
    before, after = state.network.forward(x)
    task = context.task
    shown = np.asarray(task.shown(after[-1]))
    names = list(context.settings.features) if not data.images else [f"pixel {i}" for i in range(x.shape[1])]
    return {
        "point": point, "inputs": numbers(x), "z": [numbers(z) for z in before], "a": [numbers(a) for a in after],
        "outputs": numbers(after[-1]), "shown": numbers(shown),
        "decided": int(task.decided(after[-1])[0]) if task.classes else None, "names": names,
    }  # fmt: skip

