"""Rows of bad input: what is called, the error's class, and the whole text of its message.

``HERE`` in a text stands for the line the row's function starts on, in the file it is written in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Row = tuple[type[Exception], Callable[[], Any], str]


def check(row: Row) -> None:
    """The call raises exactly this error."""
    kind, call, expected = row
    code = call.__code__
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    here = f"{code.co_filename}:{code.co_firstlineno} in <lambda>"
    assert str(caught.value).replace(here, "HERE") == expected


def check_parts(call: Callable[[], Any], error: type[Exception], parts: list[str]) -> None:
    """The call raises an ``error`` whose message holds all ``parts``."""
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)
