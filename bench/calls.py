"""What a call of a compiled function costs: a function of ten small arrays, in which there is almost nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

ARRAYS = 10

Call = Callable[[], Any]
Maker = Callable[[], tuple[Call, Callable[[Any], list[float]]]]
"""Makes the call, and what turns its result into numbers."""


def function(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any, j: Any) -> Any:
    """A result that depends on each of the ten."""
    return a + b * c + d * e + f * g + h * i + j


def arrays() -> list[Any]:
    """Ten arrays of 8 numbers, float32."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(8, np.float32) for _ in range(ARRAYS)]


def _numbers(value: Any) -> list[float]:
    return [float(x) for x in value]


def _ours() -> tuple[Call, Any]:
    import chainrule as cr

    call, given = cr.jit(function, backend="native"), arrays()
    return lambda: call(*given), _numbers


def _numpy() -> tuple[Call, Any]:
    given = arrays()
    return lambda: function(*given), _numbers


def _torch(compiled: bool) -> tuple[Call, Any]:
    import torch

    given = [torch.from_numpy(a) for a in arrays()]
    call = torch.compile(function) if compiled else function
    return lambda: call(*given), _numbers


def _jax() -> tuple[Call, Any]:
    import jax

    call, given = jax.jit(function), [jax.numpy.asarray(a) for a in arrays()]
    return lambda: jax.block_until_ready(call(*given)), _numbers


CALLS: dict[str, Maker] = {
    "ours": _ours,
    "numpy": _numpy,
    "torch": lambda: _torch(False),
    "torch.compile": lambda: _torch(True),
    "jax": _jax,
}
