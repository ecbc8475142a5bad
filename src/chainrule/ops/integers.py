"""Pointwise ops about integers and the bits of floating-point numbers; none has a derivative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.ops.record import INTEGER_VALUED, PIECEWISE_CONSTANT, NotDifferentiable, Pointwise


def _row(name: str, ufunc: Any, latex: str, sentence: str, why: NotDifferentiable = INTEGER_VALUED) -> Pointwise:
    return Pointwise(name, ufunc, partials=(why,) * ufunc.nin, latex=latex, sentence=sentence, ufunc=ufunc,
                     domain=((-2.0, 2.0),) * ufunc.nin)  # fmt: skip


gcd = _row("gcd", np.gcd, r"\gcd(#0, #1)", "finds the greatest common divisor")
lcm = _row("lcm", np.lcm, r"\operatorname{lcm}(#0, #1)", "finds the least common multiple")
bitwise_count = _row("bitwise_count", np.bitwise_count, r"\operatorname{popcount} #0", "counts the bits that are set")
spacing = _row(
    "spacing", np.spacing, r"\operatorname{ulp} #0", "gives the distance to the next floating-point number",
    PIECEWISE_CONSTANT,
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Exponent(Pointwise):
    """The second result of ``np.frexp``, which is an int32."""

    def loop(self, kinds: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
        return super().loop(kinds)[0], np.dtype(np.int32)

    def infer(self, specs: Sequence[Spec], attrs: Any) -> Spec:
        return Spec(specs[0].shape, np.dtype(np.int32))


exponent = Exponent(
    "exponent",
    lambda x: np.frexp(x)[1],
    partials=(INTEGER_VALUED,),
    ufunc=np.frexp,
    latex=r"\operatorname{exponent} #0",
    sentence="gives the exponent of the power of 2 above it",
)

__all__ = ["bitwise_count", "exponent", "gcd", "lcm", "spacing"]
