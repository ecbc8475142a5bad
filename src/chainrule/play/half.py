"""Half-steps: forward, loss, backward and update of the next batch, one after the other, with every node's numbers.

All four are read from one measurement (:func:`chainrule.play.trainer.measured`), taken at the first; what a phase has
not reached is None in its answer.  The update itself is made by the training's own step.
Does not do: half-steps of single examples; every example of the batch can be looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.play.course import Course
from chainrule.play.inspect import number
from chainrule.play.trainer import Measured, measured

Array = Any

PHASES = ("forward", "loss", "backward", "update")


class HalfSteps:
    """Where the half-steps of a batch stand: "ready" before the first."""

    def __init__(self) -> None:
        self.phase = "ready"
        self._found: Measured | None = None
        self._rows: Array = None

    def clear(self) -> None:
        """The next half-step is a forward pass."""
        self.phase, self._found = "ready", None

    def next(self, course: Course, example: int | None) -> dict[str, Any]:
        """The next phase's answer; the update itself is the caller's."""
        at = PHASES.index(self.phase) if self.phase in PHASES else len(PHASES) - 1
        self.phase = PHASES[(at + 1) % len(PHASES)]
        state, context = course.state, course.context
        if self.phase == "forward" or self._found is None:
            self._found = measured(course.program, context, state)
            self._rows = context.batches(state.epoch, state.batch, 1)[0][0]
        found, reached = self._found, PHASES.index(self.phase)
        rows = self._rows[self._rows >= 0]
        chosen = min(int(example) if example is not None else state.example, len(rows) - 1)
        row = int(rows[chosen])
        data, tables = context.data, context.tables
        one = {
            "index": chosen, "of": len(rows), "row": row,
            "point": None if data.images else [float(v) for v in data.points[row]],
            "label": float(data.labels[row]), "target": numbers(tables.t[row]), "inputs": numbers(tables.x[row]),
            "z": [numbers(z[chosen]) for z in found.before], "a": [numbers(a[chosen]) for a in found.after],
            "loss": number(float(found.losses[chosen])) if reached >= 1 else None,
            "da": [numbers(da[chosen]) for _, da in found.cotangents] if reached >= 2 else None,
            "dz": [numbers(dz[chosen]) for dz, _ in found.cotangents] if reached >= 2 else None,
        }  # fmt: skip
        return {
            "phase": self.phase, "example": one,
            "batch_loss": number(float(found.loss)) if reached >= 1 else None,
            "penalty": number(float(found.penalty)) if reached >= 1 else None,
            "gradients": links(found.gradient) if reached >= 2 else None,
            "updates": links(found.update) if reached >= 3 else None,
        }  # fmt: skip


def numbers(array: Array) -> list[float | None]:
    """A row of numbers as JSON has them."""
    return [number(float(v)) for v in np.asarray(array).reshape(-1)]


def links(tree: Any) -> dict[str, Any]:
    """Arrays of a network's structure as lists: weights by [layer][to][from], biases by [layer][to]."""
    return {
        "weights": [[numbers(row) for row in layer.weight.T] for layer in tree.layers],
        "biases": [numbers(layer.bias) for layer in tree.layers],
    }
