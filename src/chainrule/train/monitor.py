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
    """What ``fit`` tells of its steps.  Arrays that are passed are given up by the step: a monitor copies them.

    ``every``: about how many steps lie between two that are looked at.
    """

    every: int

    def before(self, step: int, model: Any, optimizer_state: Any, x: Any, y: Any, key: Any) -> bool:
        """Called before step number ``step`` (from 0); whether :meth:`after` is to be called behind it."""
        ...

    def next_step(self, step: int) -> int:
        """The first step, of number ``step`` or more, that is worth a call of :meth:`before`."""
        ...

    def after(self, model: Any) -> None:
        """Called with the model after a step that was looked at."""
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
