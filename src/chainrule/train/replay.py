"""Back to a step that went wrong: the weights before it, so that what made them NaN can be looked for.

A training step gives its arrays up (they are donated), so after a step whose loss is NaN the weights before it are
gone.  A copy is kept every ``EVERY`` steps, or every tenth of a second where that is longer, and the steps from there
on are run again: they are pure functions of the seed, and end with the same bits.

What looks for the cause stands above this folder in the import order and enters itself in ``EXPLAINERS``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.base import trees
from chainrule.base.errors import TrainingError

EVERY = 100
_SECONDS = 0.1  # of small steps, a thousand are run again in little time, and copying would be felt

EXPLAINERS: list[Callable[..., str | None]] = []
"""Called with (loss, model, x, y, key) of a step that was not finite; what they return is added to the error."""


class Replay:
    """The weights and optimizer state of a recent step."""

    def __init__(self) -> None:
        self._step = -1
        self._time = 0.0
        self._structure: Any = None
        self._kept: list[Any] = []

    def keep(self, step: int, model: Any, state: Any) -> None:
        """Copy what is there before step number ``step``, unless that was done a short while ago."""
        now = time.perf_counter()
        if 0 <= self._step <= step and (step < self._step + EVERY or now < self._time + _SECONDS):
            return
        self._time = now
        leaves, structure = trees.flatten((model, state))
        if self._structure == structure:
            for kept, leaf in zip(self._kept, leaves, strict=True):
                np.copyto(kept, leaf)  # into memory that is there: new memory costs more than the copying
        else:
            self._structure, self._kept = structure, [np.array(leaf) for leaf in leaves]
        self._step = step

    def model_before(self, step: int, run: Callable[[int, Any, Any], tuple[Any, Any]]) -> Any:
        """The model before step number ``step``; ``run(n, model, state)`` runs step n again."""
        model, state = trees.unflatten(self._structure, [np.array(kept) for kept in self._kept])
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
