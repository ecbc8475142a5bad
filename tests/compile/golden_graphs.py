"""Ten small functions whose loops and LLVM text are kept in ``golden/``: one for each shape of kernel and loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import chainrule as cr
from chainrule.graph.graph import Graph
from chainrule.graph.source import without_sources


class Golden(NamedTuple):
    """A function, and the shapes of its float32 arguments; an int64 vector is given by its values."""

    function: Callable[..., Any]
    args: tuple[Any, ...]

    def graph(self) -> Graph:
        """Its graph, without the lines of this file: they move when it is edited."""
        arrays = [np.array(a, np.int64) if isinstance(a, list) else np.ones(a, np.float32) for a in self.args]
        return without_sources(cr.trace(self.function)(*arrays))


def scaled(x: Any) -> Any:
    return np.maximum(2 * x + 1, 0)


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def layer_norm(x: Any, gain: Any) -> Any:
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return gain * centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)


def column_sums(x: Any) -> Any:
    return np.sum(x * x, axis=0)


def dense(x: Any, w: Any, b: Any) -> Any:
    return np.tanh(x @ w + b)


def adam(w: Any, m: Any, v: Any, g: Any) -> Any:
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return w - 0.001 * m / (np.sqrt(v) + 1e-8), m, v


def copy_transposed(x: Any) -> Any:
    return x.T.reshape(-1)


def rows_by_index(table: Any, index: Any) -> Any:
    return table[index]


def running(x: Any) -> Any:
    return cr.scan(lambda h, row: (np.tanh(h + row), np.sum(h)), x[0], x)


def squares_until(x: Any) -> Any:
    grown = cr.while_loop(lambda s: np.sum(s) < 100, lambda s: s + s, x)
    return cr.cond(grown[0] > 1, lambda: grown, lambda: -grown)


GOLDEN = {
    "scaled": Golden(scaled, ((6,),)),
    "softmax": Golden(softmax, ((3, 8),)),
    "layer_norm": Golden(layer_norm, ((3, 8), (8,))),
    "column_sums": Golden(column_sums, ((5, 70),)),
    "dense": Golden(dense, ((3, 5), (5, 9), (9,))),
    "adam": Golden(adam, ((20,), (20,), (20,), (20,))),
    "copy_transposed": Golden(copy_transposed, ((4, 6),)),
    "rows_by_index": Golden(rows_by_index, ((7, 3), [1, -1])),
    "running": Golden(running, ((5, 4),)),
    "squares_until": Golden(squares_until, ((3,),)),
}
