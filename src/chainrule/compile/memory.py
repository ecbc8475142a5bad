"""The memory plan: every temporary gets a place in one arena, places are used again once their value is dead.

Greedy, largest first: each buffer takes the lowest place that is free while it lives (Lee and others, 2019, "greedy by
size").  Lives are intervals of groups of clusters, whose kernels may run in any order (see ``schedule``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

_ALIGN = 64  # a cache line, and the widest vector


class Life(NamedTuple):
    """A buffer of ``size`` bytes that lives from group ``first`` to group ``last`` of clusters, both included."""

    key: Any
    size: int
    first: int
    last: int


def plan(lives: list[Life]) -> tuple[dict[Any, int], int]:
    """The offset of each buffer in the arena, and the arena's size, in bytes."""
    placed: list[tuple[int, int, Life]] = []
    offsets: dict[Any, int] = {}
    total = 0
    for life in sorted(lives, key=lambda x: (-x.size, x.first)):
        size = -(-max(life.size, 1) // _ALIGN) * _ALIGN
        busy = sorted(
            (start, stop) for start, stop, other in placed if other.first <= life.last and life.first <= other.last
        )
        at = 0
        for start, stop in busy:
            if at + size <= start:
                break
            at = max(at, stop)
        offsets[life.key] = at
        placed.append((at, at + size, life))
        total = max(total, at + size)
    return offsets, total
