"""Random programs in plain NumPy: seeded, smooth, with values of several shapes that feed each other.

A program is a list of steps (function, positions of its arguments); it runs on arrays and on Symbols alike.  Every
function keeps its values within a few units, so that differences stay accurate however deep the program is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

M = np.linspace(-0.6, 0.7, 9).reshape(3, 3)
PICK = np.array([2, 0, 2, 1])
ODD = np.array([True, False, True])


def in_place(x: Any, y: Any) -> Any:
    """Writes, as NumPy users write them."""
    out = np.zeros_like(x)
    out[...] = x
    out[1:] += y[:-1]
    out[0] = y[2] * x[1]
    out *= 0.5
    return out


def branch(x: Any) -> Any:
    """A choice by element, with a NaN on the side that is not taken."""
    return np.where(x > 5.0, np.log(5.0 - x), np.sin(x))


# Functions of vectors of three to vectors of three, and of pairs of them.
UNARY: list[Callable[[Any], Any]] = [
    np.sin, np.cos, np.tanh, np.arctan, lambda x: np.exp(-x * x), lambda x: np.log1p(x * x),
    lambda x: np.sqrt(1 + x**2), lambda x: 1 / (2 + np.cos(x)), lambda x: np.sinh(np.tanh(x)),
    lambda x: np.expm1(np.sin(x)), lambda x: x[::-1], lambda x: np.cumsum(x) / 3, lambda x: M @ x, lambda x: x @ M,
    lambda x: x - np.mean(x), lambda x: np.roll(x, 1), lambda x: x[PICK][1:],
    lambda x: np.concatenate([x[1:], x[:1]]), lambda x: np.stack([x, 2 * x], axis=1).sum(axis=1) / 3,
    lambda x: np.einsum("i,ij->j", x, M), lambda x: np.outer(x, np.sin(x)).sum(axis=0) / 3,
    lambda x: np.diff(x, append=1.0) / 2, lambda x: np.tile(x, 2)[2:5], lambda x: np.pad(x, 1)[:3],
    lambda x: np.prod(np.sin(x)) + x / 2, branch, lambda x: np.var(x) * np.sin(x) / (1 + np.sum(x * x)),
    lambda x: np.linalg.solve(np.eye(3) * 3 + M, x), lambda x: np.where(ODD, x, -x), lambda x: np.repeat(x, 2)[1:4],
    lambda x: np.trace(np.outer(x, x) / 9) * np.cos(x) / 3, lambda x: np.exp(x) / np.sum(np.exp(x)),
    lambda x: np.log(np.sum(np.exp(x))) - x / 2, lambda x: np.convolve(x, M[0], "same"),
    lambda x: np.logaddexp(x, 0.3), lambda x: x.reshape(3, 1).T[0], lambda x: np.broadcast_to(x, (2, 3)).mean(axis=0),
    lambda x: np.split(x, 3)[1] * x / 2, lambda x: np.take(x, PICK)[:3],
    lambda x: np.linalg.norm(x) * M[1] + np.sin(x), lambda x: np.real(np.fft.ifft(np.fft.fft(x) * (1 + 0.2j))),
    lambda x: np.tril(np.outer(x, x)).sum(axis=1) / (1 + x @ x),
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: (x + y) / 2, lambda x, y: x - y / 2, lambda x, y: np.sin(x) * y, lambda x, y: x / (2 + np.sin(y)),
    lambda x, y: np.hypot(1 + x, y) / 2, lambda x, y: np.arctan2(x, 3 + np.sin(y)),
    lambda x, y: (2 + np.sin(x)) ** np.tanh(y), lambda x, y: np.logaddexp(x, y) / 2,
    lambda x, y: x * np.dot(np.tanh(x), np.sin(y)) / 3, in_place, lambda x, y: np.cross(np.sin(x), np.cos(y)),
    lambda x, y: np.where(ODD, x, y), lambda x, y: np.concatenate([x[:2], y[2:]]),
    lambda x, y: (np.outer(np.sin(x), y) @ M)[1], lambda x, y: np.kron(np.sin(x[:1]), y),
    lambda x, y: np.tensordot(x, M, 1) * np.sin(y),
]  # fmt: skip


class Step(NamedTuple):
    """One call: the function, and which values it takes."""

    function: Callable[..., Any]
    arguments: tuple[int, ...]


def draw(rng: np.random.Generator, longest: int) -> list[Step]:
    """A program of two inputs and up to ``longest`` steps, each on late values more often than on early ones."""
    steps: list[Step] = []
    for at in range(int(rng.integers(3, longest + 1))):
        known = 2 + at
        count = 1 + int(rng.random() < 0.4)
        table: Sequence[Callable[..., Any]] = BINARY if count == 2 else UNARY
        places = known - 1 - np.minimum(rng.geometric(0.3, count) - 1, known - 1)
        steps.append(Step(table[int(rng.integers(len(table)))], tuple(int(p) for p in places)))
    return steps


def run(steps: Sequence[Step], x: Any, y: Any) -> Any:
    """The scalar a program makes of two vectors of three."""
    values = [x, y]
    for function, arguments in steps:
        values.append(function(*[values[a] for a in arguments]))
    return np.sum(values[-1] * M[0]) + np.sum(np.sin(values[-2])) / 2
