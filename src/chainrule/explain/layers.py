"""How much of the gradient came to each layer, and over which of its uses, where values are arrays.

A layer is a tree of parameters one level above the arrays, as in training (``layers[0].weight`` belongs to
``layers[0]``).  A layer that is used several times (shared weights, the turns of a loop) gets one entry per use.

Does not do: paths between single elements (see ``element_paths``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.explain.step import LayerFlow, LayerUse, Step
from chainrule.nn.layers import layer_of


def layer_flows(
    steps: Sequence[Step], wrt: Sequence[int], name_of: Callable[[int], str], symbol_of: Callable[[int], str],
    gradient: Callable[[int], Any],
) -> tuple[LayerFlow, ...]:  # fmt: skip
    """The layers of the inputs ``wrt``, in order; ``steps`` are those of the backward pass."""
    parameters: dict[str, list[int]] = {}
    for line in wrt:
        parameters.setdefault(layer_of(name_of(line)), []).append(line)
    given: dict[int, list[Step]] = {}
    for step in steps:
        if step.phase == "backward" and step.through is not None and step.line in wrt:
            given.setdefault(step.line, []).append(step)
    found = []
    for name, lines in parameters.items():
        whole = {line: gradient(line) for line in lines}
        square = sum(_product(g, g) for g in whole.values())
        uses: dict[int, list[Step]] = {}
        for line in lines:
            for step in given.get(line, ()):
                assert step.through is not None
                uses.setdefault(step.through, []).append(step)
        found.append(
            LayerFlow(name, math.sqrt(square), tuple(
                LayerUse(
                    symbol_of(head), head, _norm(parts[0].arriving),
                    math.sqrt(sum(_product(p.value, p.value) for p in parts)),
                    sum(_product(p.value, whole[p.line]) for p in parts) / square if square else math.nan,
                    parts[0].within,
                )
                for head, parts in sorted(uses.items())
            ))
        )  # fmt: skip
    return tuple(found)


def _product(a: Any, b: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.real(np.vdot(np.asarray(b).reshape(-1), np.asarray(a).reshape(-1))))


def _norm(value: Any) -> float:
    return math.nan if value is None else math.sqrt(_product(value, value))
