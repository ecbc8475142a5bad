"""Python's cycle collector, held off while many small objects that are no cycles are made."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def without_collector(f: Callable[P, R]) -> Callable[P, R]:
    """``f`` run with the cycle collector off: building a long graph is a third faster.

    Only for functions that run no code of the user.
    """

    @wraps(f)
    def quiet(*args: P.args, **kwargs: P.kwargs) -> R:
        if not gc.isenabled():
            return f(*args, **kwargs)
        gc.disable()
        try:
            return f(*args, **kwargs)
        finally:
            gc.enable()

    return quiet
