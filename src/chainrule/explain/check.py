"""The finite-difference check beside each gradient: a second opinion that knows nothing of derivative rules.

A scalar is moved by ±h, an array along a direction of random signs, with central differences (f(x+h) - f(x-h)) / 2h;
h balances truncation (h²) and rounding (ε/h) at ε^(1/3).  One-sided quotients that differ from each other tell a kink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.graph.evaluate import run_plan
from chainrule.graph.graph import Graph


@dataclass(frozen=True)
class Check:
    """A derivative beside the difference quotient.  ``along``: "" for a scalar, else what direction was taken.

    ``verdict``: ``agrees``, ``kink`` (the one-sided slopes differ, so no single number is right), ``disagrees``, or
    ``not finite``.
    """

    derivative: float
    difference: float
    verdict: str
    along: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the two are the same up to rounding."""
        return self.verdict == "agrees"


@np.errstate(all="ignore")
def check(graph: Graph, inputs: Sequence[Any], position: int, gradient: Any, seed: int = 0) -> Check:
    """The gradient by input ``position`` of the first output of ``graph``, against central differences."""
    x = np.asarray(inputs[position])
    single = x.dtype.name in ("float32", "complex64", "float16")
    eps = float(np.finfo(np.float32 if single else np.float64).eps)
    rng = np.random.default_rng(seed)
    direction = np.ones((), x.dtype) if x.ndim == 0 else rng.choice([-1.0, 1.0], x.shape).astype(x.dtype)
    scale = float(np.max(np.abs(x), initial=0.0))
    step = eps ** (1 / 3) * max(1.0, scale if np.isfinite(scale) else 1.0)

    def at(move: float) -> float:
        moved = (x + np.asarray(move, x.real.dtype) * direction).astype(x.dtype)
        arrays = [moved[()] if i == position else v for i, v in enumerate(inputs)]
        return float(np.real(run_plan(graph, arrays)[0]))

    ahead, here, behind = at(step), at(0.0), at(-step)
    slope = float(np.real(np.sum(np.asarray(gradient) * direction)))
    quotient = (ahead - behind) / (2 * step)
    along = "" if x.ndim == 0 else "along a direction of random signs"
    return Check(slope, quotient, _verdict(slope, quotient, ahead, here, behind, step, eps), along)


def _verdict(
    slope: float, quotient: float, ahead: float, here: float, behind: float, step: float, eps: float
) -> str:
    if not np.isfinite([slope, quotient, here]).all():
        return "not finite"
    noise = 20 * eps * max(abs(here), abs(ahead), abs(behind)) / step
    room = 1e-3 * max(abs(slope), abs(quotient)) + noise + step
    right, left = (ahead - here) / step, (here - behind) / step
    kink = abs(right - left) > 0.02 * max(abs(right), abs(left)) + 2 * noise + 100 * step
    if abs(slope - quotient) <= min(room, 0.05 * max(abs(slope), abs(quotient)) + noise + 1e-9):
        return "agrees"
    return "kink" if kink else "disagrees"
