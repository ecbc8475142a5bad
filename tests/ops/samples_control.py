"""Samples for the ops that hold graphs: call, cond, custom_vjp, scan, while_loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from samples import Sample, add, normal

import chainrule as cr
from chainrule.graph.graph import Graph


def graph(f: Callable[..., Any], *shapes: tuple[int, ...]) -> Graph:
    """The graph of ``f`` for float64 arguments of these shapes."""
    return cr.trace(f)(*(np.ones(shape) for shape in shapes))


def _two(x: Any, w: Any) -> Any:
    return np.tanh(w @ x), np.sum(np.sin(x))


add("call", Sample((normal(3), normal(2, 3)), {"graph": graph(_two, (3,), (2, 3))}, value=_two, float32=False))

for _pred in (True, False):
    add(
        "cond",
        Sample(
            (np.array(_pred), normal(3), normal()),
            {
                "if_true": graph(lambda x, a: (a * x**2,), (3,), ()),
                "if_false": graph(lambda x, a: (np.cos(x),), (3,), ()),
            },
            value=lambda p, x, a: a * x**2 if p else np.cos(x),
            float32=False,
        ),
    )

add(
    "custom_vjp",
    Sample(
        (normal(3), normal(3)),
        {
            "primal": graph(lambda x, y: (np.sin(x) * y,), (3,), (3,)),
            "forward": graph(lambda x, y: (np.sin(x) * y, x, y), (3,), (3,)),
            "backward": graph(lambda x, y, ct: (ct * np.cos(x) * y, ct * np.sin(x)), (3,), (3,), (3,)),
        },
        value=lambda x, y: np.sin(x) * y,
        float32=False,
        modes=("rev",),
    ),
)


def _step(w: Any, h: Any, x: Any) -> Any:
    h = np.tanh(w @ h + x)
    return h, np.sum(h * x)


def _unrolled(reverse: bool) -> Callable[..., Any]:
    def run(w: Any, h: Any, xs: Any) -> Any:
        out: list[Any] = [None] * len(xs)
        for t in reversed(range(len(xs))) if reverse else range(len(xs)):
            h, out[t] = _step(w, h, xs[t])
        return h, np.array(out).reshape(len(xs))

    return run


for _reverse, _length in ((False, 4), (True, 4), (False, 1), (False, 0)):
    add(
        "scan",
        Sample(
            (normal(2, 2), normal(2), normal(_length, 2)),
            {
                "body": graph(_step, (2, 2), (2,), (2,)),
                "consts": 1, "carries": 1, "length": _length, "reverse": _reverse,
            },
            value=_unrolled(_reverse),
            float32=False,
        ),
    )  # fmt: skip


def _doubling(limit: Any, w: Any, x: Any) -> Any:
    while np.sum(x) < limit:
        x = x * w + 1
    return x


add(
    "while_loop",
    Sample(
        (np.array(30.0), np.array(1.5), np.array([0.2, 0.4])),
        {
            "test": graph(lambda limit, x: (np.sum(x) < limit,), (), (2,)),
            "body": graph(lambda w, x: (x * w + 1,), (), (2,)),
            "test_consts": 1, "body_consts": 1,
        },
        value=_doubling,
        float32=False,
        modes=("fwd",),
    ),
)  # fmt: skip

