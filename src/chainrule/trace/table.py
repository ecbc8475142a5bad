"""The two tables the tracer looks NumPy's functions up in, and the decorator that fills them.

A row of ``ARRAY_FUNCTIONS`` has the signature of the NumPy function it stands for and works on Symbols, arrays and
scalars alike.  A row of ``UFUNCS`` also takes the ufunc's method (``__call__``, ``reduce``, ``accumulate``, ``outer``,
``at``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

from chainrule.base.errors import UnsupportedError
from chainrule.graph.source import user_source

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}
UFUNCS: dict[Any, Callable[..., Any]] = {}
LATE: list[Callable[[Any], Any]] = []
"""Who to ask for the row of a ufunc that no table has: each gives the row, or None."""

F = TypeVar("F", bound=Callable[..., Any])


def implements(*functions: Any) -> Callable[[F], F]:
    """Enter the decorated function in the table for each of these NumPy functions."""

    def enter(implementation: F) -> F:
        for function in functions:
            ARRAY_FUNCTIONS[function] = implementation
        return implementation

    return enter


def ufunc_row(ufunc: Any) -> Any:
    """The row of a ufunc, or None."""
    row = UFUNCS.get(ufunc)
    return row if row is not None else next((row for find in LATE if (row := find(ufunc)) is not None), None)


_ARRAY_API = ("logsumexp", "softmax", "log_softmax")


def scipy_needs_telling() -> str | None:
    """What to do about a SciPy function that is just turning a Symbol into an ndarray; None where none is."""
    name = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if f"{os.sep}scipy{os.sep}" in file:
            name = frame.f_code.co_name  # of its frames, the one the user called is the last
        elif name or not (file.startswith(_PACKAGE) or f"{os.sep}numpy{os.sep}" in file):
            break
        frame = frame.f_back
    if name in _ARRAY_API:
        return (
            f"set SCIPY_ARRAY_API=1 in the environment before SciPy is imported, so that scipy.special.{name} looks at "
            f"what it gets; or use cr.nn.{name}"
        )
    if name is not None:
        return (
            f"SciPy's {name} takes plain arrays only: write it with NumPy's functions and the ufuncs of scipy.special, "
            "or give its derivative with cr.custom_vjp"
        )
    return None


def no_such_function(function: Any, name: str) -> UnsupportedError:
    """The error for a NumPy function that has no row."""
    return UnsupportedError(
        f"{name} is not traced",
        expected="a NumPy function that chainrule knows the derivative of, or states to have none",
        got=name,
        where=user_source(),
        fix="write it with functions that are traced, or give its derivative with cr.custom_vjp",
    )


def refuse(function: str, option: str, value: object, fix: str) -> UnsupportedError:
    """The error for an option of a traced function that is not traced."""
    return UnsupportedError(
        f"{function} is traced, but not with {option}",
        expected="an option that is traced",
        got=f"{option}={value!r}",
        where=user_source(),
        fix=fix,
    )
