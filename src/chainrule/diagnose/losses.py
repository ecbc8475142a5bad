"""Pairs of output activation and loss that learn slowly or break, recognised in the graph behind the last layer.

Does not do: losses that are unusual but sound; whatever is not one of the patterns below is taken to be meant.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from chainrule.diagnose.structure import MOVES, Network, reached

# exp overflows beyond this.
_OVERFLOW = {"float16": 11.0, "float32": 88.7, "float64": 709.7}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A pattern that was found: its kind, the line to change, and the line of the raw outputs it starts from."""

    kind: str  # "squared", "twice", "shift"
    line: int
    logits: int
    limit: float = 0.0


def find_pair(network: Network, target: int | None, y: Any) -> Pair | None:
    """The first wrong pair of output activation and loss, or None."""
    return _twice(network) or _squared(network, target, y) or _unshifted(network)


def squared_difference(network: Network, target: int | None) -> tuple[int, int] | None:
    """(line of the prediction, line of the difference) of a squared error against the input ``target``."""
    if target is None:
        return None
    graph = network.graph
    from_target, from_model = reached(graph, [target]), reached(graph, range(network.parameters))
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if line.op.name != "sub":
            continue
        plain = [a for a in line.args if from_target[a] and not from_model[a]]
        predicted = [a for a in line.args if from_model[a] and not from_target[a]]
        if len(plain) == 1 and len(predicted) == 1 and any(_squares(network, u, index) for u in network.users[index]):
            return predicted[0], index
    return None


def _squares(network: Network, user: int, of: int) -> bool:
    line = network.graph.lines[user]
    if line.op.name == "mul":
        return line.args == (of, of)
    return line.op.name == "pow" and line.args[0] == of and _constant(network, line.args[1]) == 2.0


def _constant(network: Network, index: int) -> float | None:
    line = network.graph.lines[index]
    return float(line.attrs[0][1].array) if line.op.name == "constant" and not line.spec.shape else None


def source_of(network: Network, index: int) -> int:
    """The line whose values a line only moves."""
    while network.graph.lines[index].op.name in MOVES and network.graph.lines[index].args:
        index = network.graph.lines[index].args[0]
    return index


def _squared(network: Network, target: int | None, y: Any) -> Pair | None:
    """A squared error on probabilities: its gradient dies where the network is most wrong."""
    found = squared_difference(network, target)
    if found is None or not _binary(y):
        return None
    prediction = source_of(network, found[0])
    for layer in network.outputs:
        for activation in network.blocks[layer.blocks[-1]].activations:
            if activation.after == prediction and activation.curve.name == "sigmoid":
                return Pair("squared", found[1], activation.before)
    normaliser = next((n for n in _normalisers(network) if n[1] == prediction), None)
    return None if normaliser is None else Pair("squared", found[1], normaliser[2])


def _binary(y: Any) -> bool:
    labels = np.asarray(y)
    return bool(labels.size and labels.dtype.kind in "fiub" and np.isin(labels, (0, 1)).all())


def _normalisers(network: Network) -> list[tuple[int, int, int, int]]:
    """(sum of exp, line that divides by it or takes its log, raw outputs, exp) behind the last layers."""
    graph = network.graph
    last = {layer.blocks[-1] for layer in network.outputs}
    found = []
    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if line.op.name != "sum" or network.owner[index] not in last:
            continue
        raised = line.args[0]
        if graph.lines[raised].op.name != "exp" or not line.spec.shape:
            continue
        for user in _through_moves(network, index):
            name = graph.lines[user].op.name
            if name == "log" or (name == "div" and graph.lines[user].args[0] == raised):
                found.append((index, user, _raw(network, raised), raised))
                break
    return found


def _through_moves(network: Network, index: int) -> list[int]:
    """The lines that use a value, moved or not."""
    users: list[int] = []
    stack = [index]
    while stack:
        for user in network.users[stack.pop()]:
            (stack if network.graph.lines[user].op.name in MOVES else users).append(user)
    return sorted(users)


def _raw(network: Network, raised: int) -> int:
    """What exp was taken of, before a maximum was subtracted."""
    graph = network.graph
    argument = graph.lines[raised].args[0]
    line = graph.lines[argument]
    return line.args[0] if line.op.name == "sub" and _is_top(network, line.args[1]) else argument


def _is_top(network: Network, index: int) -> bool:
    """Whether a line is a maximum, guarded or not."""
    graph = network.graph
    for _ in range(8):
        line = graph.lines[index]
        if line.op.name == "max":
            return True
        if line.op.name == "where":
            index = next((a for a in line.args[1:] if graph.lines[a].op.name not in ("constant", "broadcast_to")), -1)
        elif line.op.name in MOVES:
            index = line.args[0]
        else:
            return False
        if index < 0:
            return False
    return False


def _twice(network: Network) -> Pair | None:
    """Probabilities that are squashed again by a loss that wants raw outputs."""
    graph = network.graph
    found = _normalisers(network)
    for _, first, raw, _ in found:
        if graph.lines[first].op.name != "div":
            continue
        after = reached(graph, [first])
        if any(after[other[2]] for other in found):
            return Pair("twice", first, raw)
    for layer in network.outputs:
        for activation in network.blocks[layer.blocks[-1]].activations:
            if activation.curve.name == "sigmoid":
                after = reached(graph, [activation.after])
                for index, line in enumerate(graph.lines):
                    if after[index] and line.op.name == "logaddexp" and _only_moved(network, index, activation.after):
                        return Pair("twice", activation.after, activation.before)
    return None


def _only_moved(network: Network, index: int, start: int) -> bool:
    """Whether an argument of a line is ``start`` moved or with its sign changed."""
    for arg in network.graph.lines[index].args:
        current = source_of(network, arg)
        if network.graph.lines[current].op.name == "neg":
            current = source_of(network, network.graph.lines[current].args[0])
        if current == start:
            return True
    return False


def _unshifted(network: Network) -> Pair | None:
    """A softmax of raw outputs from which no maximum is subtracted."""
    graph = network.graph
    for _, _, raw, raised in _normalisers(network):
        if graph.lines[raised].args[0] == raw:
            limit = _OVERFLOW.get(str(graph.lines[raw].spec.dtype), 709.7)
            return Pair("shift", raised, raw, limit)
    return None
