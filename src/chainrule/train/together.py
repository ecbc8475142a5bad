"""How many training steps go into one native call.

As many as take a twentieth of a second, so that the progress bar moves and Ctrl-C is heard: one number per run, since
each is compiled apart.  An epoch's whole batches are dealt into even parts, which a monitor looks at the first step
of (without one, the epoch is one part), and each part into even calls.  A checkpoint ends a call.

Does not do: batches that are not whole, and the few that are left over by the dealing; they go one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.jitted import Jitted
from chainrule.train.step import make_steps

_SECONDS = 0.05
_MOST = 1024
_TRIES = 2  # the first step compiles, the second tells how long one takes


class Together:
    """Steps in one call: :meth:`fits` says whether the next ``count`` may go together, :meth:`run` runs them."""

    def __init__(
        self, step: Callable[..., Any], batches: int, every: int | None, looks: int | None, unseen: bool
    ) -> None:
        """``batches``: whole ones in an epoch; ``every``: steps between checkpoints; ``looks``: the least number of
        steps between two looks of a monitor; ``unseen``: nobody sees each."""
        self.step = step
        self.count = 1
        self._batches, self._every = batches, every
        self._parts = max(1, batches // looks) if looks else 1
        self._part = max(1, batches // self._parts)
        self._left = _TRIES if unseen else 0
        self._steps: Callable[..., Any] | None = None

    def took(self, seconds: float) -> None:
        """A single step took so long."""
        if self._left == 0:
            return
        self._left -= 1
        if self._left == 0 and isinstance(self.step, Jitted) and self.step.backend == "native":
            most = min(int(_SECONDS / max(seconds, 1e-7)), _MOST, self._part, self._every or _MOST)
            if most > 1:
                least = 1 << max(0, math.ceil(math.log2(self._part / most)))  # few lengths, so that caches have them
                left = {calls: self._part % (self._part // calls) for calls in range(least, 2 * least)
                        if calls <= self._part}  # fmt: skip
                self.count = self._part // min(left, key=lambda calls: (left[calls], calls), default=self._part)
                self._steps = make_steps(self.step)

    def starts(self, batch: int) -> bool:
        """Whether batch number ``batch`` of the epoch is the first of a part."""
        return batch % self._part == 0 and batch // self._part < self._parts

    def fits(self, step: int, batch: int) -> bool:
        """Whether the next ``count`` steps, from number ``step`` and batch ``batch`` of the epoch on, go together."""
        if self._steps is None:
            return False
        room = self._batches - batch
        if batch < self._part * self._parts:
            room = self._part - batch % self._part
        if self._every:
            room = min(room, self._every - step % self._every)
        return self.count <= room

    def run(self, model: Any, state: Any, x: Any, y: Any, rows: Any, step: int, root: Any) -> Any:
        """``count`` steps from number ``step`` on: model, state, and losses, norms and sums of each."""
        assert self._steps is not None
        return self._steps(model, state, x, y, rows, np.arange(step, step + self.count), root)
