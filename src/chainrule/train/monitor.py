"""Who may look at single steps of a training run: the seam between ``fit`` and the diagnosis.

``fit(..., diagnose=100)`` asks for a monitor.  What makes one stands above this folder in the import order and enters
itself in ``MAKERS``; importing ``chainrule`` does that.

Does not do: measuring (see ``chainrule.diagnose``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from chainrule.base.errors import UnsupportedError


class Monitor(Protocol):
    """What ``fit`` tells of its steps.

    ``every``: about how many steps lie between two that are looked at.  ``fit`` asks at the first step of an epoch, or
    of an even part of one (see ``together``), so that the steps between run in one call.
    """

    every: int

    def due(self, step: int) -> bool:
        """Whether step number ``step`` (from 0) is to be looked at."""
        ...

    def look(self, step: int, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> None:
        """Called before a step that is due.  The arrays are given up by the step: a monitor copies what it keeps."""
        ...

    def report(self) -> Any:
        """What was found so far."""
        ...


MAKERS: list[Callable[..., Monitor]] = []
"""Called with (every, loss, optimizer, batch_size); the last one entered makes the monitor."""


def make_monitor(every: int, loss: Callable[..., Any], optimizer: Any, batch_size: int) -> Monitor:
    """A monitor that looks at every ``every``-th step of a run.  Raises :class:`UnsupportedError` if none is known."""
    if not MAKERS:
        raise UnsupportedError(
            "nothing is there to diagnose with", expected="the package chainrule, imported as a whole", got="a part",
            where="fit, diagnose", fix="import chainrule, which enters its diagnosis here",
        )  # fmt: skip
    return MAKERS[-1](every, loss, optimizer, batch_size)
