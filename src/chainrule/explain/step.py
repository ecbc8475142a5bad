"""What an explanation is made of: steps, the derivative of one step by another, and summaries of arrays.

Formulas are LaTeX; :mod:`chainrule.explain.plain` and :mod:`chainrule.explain.mathml` write them as text and MathML.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.graph.graph import Source


@dataclass(frozen=True)
class Summary:
    """An array in a few numbers.  ``zeros``: the share of elements that are 0; ``nonfinite``: how many are not finite.

    ``norm``, ``least``, ``largest`` and ``mean`` are those of the finite elements.
    """

    shape: tuple[int, ...]
    dtype: str
    norm: float
    least: float
    largest: float
    mean: float
    zeros: float
    nonfinite: int

    @classmethod
    @np.errstate(all="ignore")
    def of(cls, value: Any) -> Summary:
        """The summary of an array."""
        array = np.asarray(value)
        numbers = np.abs(array) if array.dtype.kind == "c" else array
        flat = numbers.reshape(-1).astype(np.float64)
        finite = flat[np.isfinite(flat)]
        some = bool(finite.size)
        return cls(
            shape=array.shape,
            dtype=array.dtype.name,
            norm=float(np.sqrt(np.sum(finite * finite))),
            least=float(finite.min()) if some else float("nan"),
            largest=float(finite.max()) if some else float("nan"),
            mean=float(finite.mean()) if some else float("nan"),
            zeros=float(np.mean(flat == 0)) if flat.size else 0.0,
            nonfinite=int(flat.size - finite.size),
        )


@dataclass(frozen=True)
class Local:
    """The derivative of one step's value by another's: ∂a/∂z = [z > 0] = 1.

    ``symbol``, ``rule`` and ``filled`` are LaTeX; the rule is printed from the lines of the derivative graph.
    ``value`` is a number, or for element-by-element functions an array of the values' shape.
    """

    symbol: str
    rule: str
    filled: str | None
    value: Any


@dataclass(frozen=True)
class Term:
    """What one use of a value adds to its gradient: ``through`` is the symbol of the step that uses it.

    ``share``: its part of the whole gradient, ⟨term, gradient⟩ / ⟨gradient, gradient⟩; the shares add up to 1.
    ``within``: the turn of a loop that the step is in.
    """

    through: str
    head: int
    value: Any
    share: float
    within: str = ""


@dataclass(frozen=True)
class LayerUse:
    """One use of a layer's parameters: the step that uses them (its symbol and line), the norm of the gradient that
    arrives there, the norm of what it sends to the parameters, and its share of their gradient."""

    symbol: str
    line: int
    arriving: float
    sent: float
    share: float
    within: str = ""


@dataclass(frozen=True)
class LayerFlow:
    """What came back to one layer: its name, the norm of its parameters' gradient, and one entry per use."""

    name: str
    gradient: float
    uses: tuple[LayerUse, ...]


@dataclass(frozen=True)
class Step:
    """One step of an explanation.

    ``phase``: ``forward``, ``backward`` (a local derivative and its product), ``sum`` (all uses of one value added)
    or ``update``.  ``symbol`` = ``formula`` = ``filled`` = ``value``.  ``line``: the line of the forward graph whose
    value or gradient this is; ``through``: on a backward step, the line the gradient comes from; ``lines``: the lines
    told by this step.  ``of``: (forward line, argument) as on the lines of the backward graph.

    ``arriving`` is the cotangent that ``local`` is multiplied with; ``shapes`` the equation of shapes; ``why_zero``
    says why a gradient is 0 that need not be.  ``part``: whether ``value`` is only one of several terms.
    ``within``: the turn of a loop, ``t = 2 of 5``, or the branch, ``condition true``, that the step is in; else empty.
    """

    number: int
    phase: str
    symbol: str
    formula: str
    filled: str | None
    value: Any
    sentence: str
    line: int
    lines: tuple[int, ...]
    source: Source | None = None
    code: str | None = None
    through: int | None = None
    of: tuple[int, int] | None = None
    local: Local | None = None
    arriving: Any = None
    arriving_symbol: str | None = None
    terms: tuple[Term, ...] = ()
    shapes: str | None = None
    why_zero: str | None = None
    part: bool = False
    within: str = ""

    @property
    def summary(self) -> Summary:
        """The value in a few numbers."""
        return Summary.of(self.value)


def turns(steps: Sequence[Step]) -> Iterator[tuple[str, Step]]:
    """Each step with the heading that stands before it: where a turn of a loop, or a branch, begins or is left."""
    before = ""
    for step in steps:
        heading = "" if step.within == before else step.within or "outside of it"
        before = step.within
        yield heading, step


def is_scalar(value: Any) -> bool:
    """Whether a value has one element and no axes."""
    return not isinstance(value, (tuple, list)) and np.ndim(value) == 0
