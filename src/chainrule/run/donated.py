"""Which arrays were donated: their memory is a result's, so passing one of them again is an error."""

from __future__ import annotations

import weakref
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from chainrule.base.errors import DonatedError
from chainrule.graph.graph import Graph

_GIVEN: dict[int, weakref.ref[Any]] = {}  # arrays whose memory results have taken, by identity
_MOST_GIVEN = 4096


def mark_given(arrays: Sequence[Any]) -> None:
    """Note that the memory of these arrays is a result's now."""
    _GIVEN.update(zip(map(id, arrays), map(weakref.ref, arrays), strict=True))
    if len(_GIVEN) > _MOST_GIVEN:
        for key in [key for key, ref in list(_GIVEN.items()) if ref() is None]:
            _GIVEN.pop(key, None)


def refuse_given(graph: Graph, arrays: Sequence[np.ndarray[Any, Any]], lent: Container[int]) -> None:
    """Raise DonatedError where an array was donated to an earlier call, as noted here or (by identity) in ``lent``."""
    for position, array in enumerate(arrays):
        known = _GIVEN.get(id(array))
        if (known is not None and known() is array) or id(array) in lent:
            raise DonatedError(
                f"{graph.input_name(position) or f'argument {position}'} was donated to an earlier call",
                expected="an array that nobody else writes to",
                got=f"an array of shape {array.shape} whose memory the result of that call has taken",
                fix="go on with the result of that call, pass a copy to it, or leave donate_argnums out",
            )
