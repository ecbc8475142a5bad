"""The two tables the tracer looks NumPy's functions up in, and the decorator that fills them.

A row of ``ARRAY_FUNCTIONS`` has the signature of the NumPy function it stands for and works on Symbols, arrays and
scalars alike.  A row of ``UFUNCS`` also takes the ufunc's method (``__call__``, ``reduce``, ``accumulate``, ``outer``,
``at``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from chainrule.base.errors import UnsupportedError
from chainrule.graph.source import user_source

ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {}
UFUNCS: dict[Any, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def implements(*functions: Any) -> Callable[[F], F]:
    """Enter the decorated function in the table for each of these NumPy functions."""

    def enter(implementation: F) -> F:
        for function in functions:
            ARRAY_FUNCTIONS[function] = implementation
        return implementation

    return enter


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
        f"{function} is traced, but not with {option}", got=f"{option}={value!r}", where=user_source(), fix=fix
    )
