"""What jitted functions close over: small arrays are constants of the program, large ones its inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule import jitted as module
from chainrule import nn
from chainrule.trace.tracer import embed_small


def program(f: Any) -> Any:
    (found,) = f.programs.values()
    return found


@pytest.mark.parametrize("large", [False, True])
def test_closed_over_arrays_stay_as_they_were_when_traced(large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(module, "EMBEDDED", -1)
    kept, also = np.arange(6.0).reshape(2, 3), np.ones(3)
    f = cr.jit(lambda x: (x * kept + also, kept, np.sum(kept) + x[0, 0]), backend="native")
    x = np.full((2, 3), 2.0)
    wanted = [x * kept + also, kept.copy(), np.sum(kept) + 2.0]
    kept_before = kept.copy()
    for _ in range(3):
        for found, value in zip(f(x), wanted, strict=True):
            np.testing.assert_array_equal(found, value)
        kept[0] = 7.0
        also[:] = 0.0
    assert program(f).plan.graph.inputs == (3 if large else 1)
    returned = f(x)[1]
    returned[:] = 5.0  # a result of one's own
    np.testing.assert_array_equal(f(x)[1], kept_before)


def test_arrays_are_told_apart_by_their_size() -> None:
    small, large = np.ones(4), np.ones(5)
    g = cr.jit(lambda x: (x + small, x[0] * large)).lower((np.ones(4),))[0]
    graph, rest = embed_small(g.graph, g.captured, small.nbytes)
    assert graph.inputs == 2
    assert len(rest) == 1
    assert rest[0].shape == (5,)
    assert embed_small(g.graph, g.captured, 0)[0] is g.graph
    assert embed_small(g.graph, g.captured)[0].inputs == 1


def test_labels_are_seen_by_the_compiler() -> None:
    """The loss names one place in each row by numbers that it closes over: that fuses with the rows."""
    f = cr.jit(cr.grad(nn.cross_entropy), backend="native")
    z, labels = np.random.default_rng(0).normal(size=(5, 4)), np.array([0, 3, 1, 3, 2])
    np.testing.assert_allclose(f(z, labels), cr.grad(nn.cross_entropy)(z, labels))
    assert "move" not in {c.kind for c in program(f).plan.fused.clusters}
