"""Transforms of equal graphs are computed once, and what is remembered is bounded by lines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.graph import memo
from chainrule.graph.graph import Graph
from chainrule.graph.memo import remembered


def chain(length: int) -> Graph:
    def f(x: Any) -> Any:
        for _ in range(length):
            x = np.sin(x)
        return x

    return cr.trace(f)(1.0)


def test_equal_graphs_share_a_result_and_old_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memo, "MOST_LINES", 100)
    calls: list[tuple[int, int]] = []

    @remembered
    def transform(graph: Graph, times: int) -> list[int]:
        calls.append((len(graph), times))
        return [len(graph)] * times

    first = transform(chain(30), 2)
    assert transform(chain(30), 2) is first  # traced again, equal
    assert transform(chain(30), 3) is not first
    assert len(calls) == 2
    transform(chain(60), 2)  # 31 + 31 + 61 lines are too many: the one used longest ago goes
    assert transform(chain(30), 3) == [31] * 3
    assert len(calls) == 3
    assert transform(chain(30), 2) is not first
    transform(chain(500), 1)  # alone past the bound, and still remembered
    count = len(calls)
    transform(chain(500), 1)
    assert len(calls) == count
