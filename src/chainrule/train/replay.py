"""Back to a step that went wrong: the weights before it, so that what made them NaN can be looked for.

A training step gives its arrays up (they are donated), so after a step whose loss is NaN the weights before it are
gone.  A copy is kept every ``EVERY`` steps, and the steps from there on are run again: they are pure functions of the
seed, and end with the same bits.

What looks for the cause stands above this folder in the import order and enters itself in ``EXPLAINERS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import TrainingError

EVERY = 100

EXPLAINERS: list[Callable[..., str | None]] = []
"""Called with (loss, model, x, y, key) of a step that was not finite; what they return is added to the error."""


class Replay:
    """The weights and optimizer state of a recent step."""

    def __init__(self) -> None:
        self._step = -1
        self._model: Any = None
        self._state: Any = None

    def keep(self, step: int, model: Any, state: Any) -> None:
        """Copy what is there before step number ``step``, unless that was done less than ``EVERY`` steps ago."""
        if self._step < 0 or not self._step <= step < self._step + EVERY:
            self._step, self._model, self._state = step, trees.map(np.array, model), trees.map(np.array, state)

    def model_before(self, step: int, run: Callable[[int, Any, Any], tuple[Any, Any]]) -> Any:
        """The model before step number ``step``; ``run(n, model, state)`` runs step n again."""
        model, state = self._model, self._state
        for number in range(self._step, step):
            model, state = run(number, model, state)
        return model


def explain(error: TrainingError, loss: Callable[..., Any], model: Any, x: Any, y: Any, key: Any) -> None:
    """Add to ``error`` what is found of its cause.  An explanation that fails says so and hides nothing."""
    for explainer in EXPLAINERS:
        try:
            text = explainer(loss, model, x, y, key)
        except Exception as failure:
            text = f"(no cause was found: {type(failure).__name__}: {failure})"
        if text:
            error.add_note(text)
