"""How many training steps go into one native call.

As many as take a twentieth of a second, so that the progress bar moves and Ctrl-C is heard: one number per run, since
each is compiled apart; dealt evenly over an epoch's whole batches.  Steps that something outside looks at (a monitor, a
checkpoint) end a call.

Does not do: batches that are not whole, which go one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.jitted import Jitted
from chainrule.train.monitor import Monitor
from chainrule.train.step import make_steps

_SECONDS = 0.05
_MOST = 1024
_TRIES = 2  # the first step compiles, the second tells how long one takes


class Together:
    """Steps in one call: :meth:`fits` says whether the next ``count`` may go together, :meth:`run` runs them."""

    def __init__(self, step: Callable[..., Any], batches: int, every: int | None, monitor: Monitor | None,
                 unseen: bool) -> None:  # fmt: skip
        """``batches``: whole ones in an epoch; ``every``: steps between checkpoints; ``unseen``: nobody sees each."""
        self.step = step
        self.count = 1
        self._batches, self._every, self._monitor = batches, every, monitor
        self._left = _TRIES if unseen else 0
        self._steps: Callable[..., Any] | None = None

    def took(self, seconds: float) -> None:
        """A single step took so long."""
        if self._left == 0:
            return
        self._left -= 1
        if self._left == 0 and isinstance(self.step, Jitted) and self.step.backend == "native":
            most = min(int(_SECONDS / max(seconds, 1e-7)), _MOST, self._batches, self._every or _MOST)
            if self._monitor is not None:
                most = min(most, self._monitor.every - 1)
            if most > 1:
                self.count = -(-self._batches // -(-self._batches // most))
                self._steps = make_steps(self.step)

    def fits(self, step: int, batch: int) -> bool:
        """Whether the next ``count`` steps, from number ``step`` and batch ``batch`` of the epoch on, go together."""
        if self._steps is None:
            return False
        room = self._batches - batch
        if self._every:
            room = min(room, self._every - step % self._every)
        if self._monitor is not None:
            room = min(room, self._monitor.next_step(step) - step)
        return self.count <= room

    def run(self, model: Any, state: Any, x: Any, y: Any, rows: Any, step: int, root: Any) -> Any:
        """``count`` steps from number ``step`` on: model, state, and losses, norms and sums of each."""
        assert self._steps is not None
        return self._steps(model, state, x, y, rows, np.arange(step, step + self.count), root)
