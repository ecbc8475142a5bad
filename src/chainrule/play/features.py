"""The network's inputs: the reference's seven features, and formulas of x1 and x2 typed by a person.

A formula is parsed by :mod:`chainrule.explain.expression` (never evaluated as Python), traced once into a graph on
arrays of points, and the graph is run.  It must give one number per point, from that point alone.

Does not do: inputs of digits, which are their 64 pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.api import trace
from chainrule.base.errors import ChainruleError, ExpressionError, OptionError
from chainrule.explain.expression import parse
from chainrule.graph.evaluate import evaluate
from chainrule.play.settings import FEATURES, LIMITS, short

Array = Any
Formula = Callable[[Array, Array], Array]

_FIXED: dict[str, Formula] = {
    "x1": lambda x, y: x,
    "x2": lambda x, y: y,
    "x1^2": lambda x, y: x * x,
    "x2^2": lambda x, y: y * y,
    "x1*x2": lambda x, y: x * y,
    "sin(x1)": lambda x, y: np.sin(x),
    "sin(x2)": lambda x, y: np.sin(y),
}
assert tuple(_FIXED) == FEATURES

# Points that no formula was made for: each must give the same number alone as among the others.
_PROBE = np.array([[0.7, -1.3], [2.1, 0.4], [-3.3, 2.2], [0.2, 5.1], [1.9, 1.7]])


@functools.lru_cache(maxsize=512)
def formula(text: str) -> Formula:
    """The function of arrays (x1, x2) that ``text`` names or writes.

    Raises ExpressionError, with the place, for what can't be read; OptionError for other names and for formulas that
    mix points.
    """
    if text in _FIXED:
        return _FIXED[text]
    if len(text) > LIMITS["formula"]:
        raise OptionError("a feature's formula is too long", expected=f"at most {LIMITS['formula']} characters",
                          got=f"{len(text)}", where="settings.features", fix="shorten it")  # fmt: skip
    parsed = parse(text)
    if parsed.statements[-1].name is not None:
        raise _refused(text, "a feature ends with its value", "x1 + x2, or z = x1 + x2; z*z", "a name")
    for name in parsed.names:
        if name not in ("x1", "x2"):
            raise _refused(text, f"{short(name)} is not known here", "x1 and x2, the coordinates of a point", name)
    graphs: dict[int, Any] = {}

    def at_points(count: int) -> Any:
        if count not in graphs:
            if len(graphs) > 16:
                graphs.clear()
            graphs[count] = trace(parsed)(*[np.zeros(count)] * len(parsed.names))
        return graphs[count]

    def values(x: Array, y: Array) -> Array:
        by_name = {"x1": x, "x2": y}
        with np.errstate(all="ignore"):
            found = evaluate(at_points(len(x)), [by_name[name] for name in parsed.names])[0] if parsed.names else (
                np.float64(parsed())
            )
            return np.broadcast_to(np.asarray(found, np.float64), x.shape)

    _check_pointwise(text, values)
    return values


def _check_pointwise(text: str, values: Formula) -> None:
    x, y = _PROBE.T
    try:
        together = values(x, y)
        alone = np.concatenate([values(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    except ExpressionError:
        raise
    except (ChainruleError, ValueError, TypeError) as error:
        said = error.problem if isinstance(error, ChainruleError) else str(error).partition("\n")[0]
        raise _refused(text, f"this can't be computed: {short(said)}", "a number for each point", "none") from None
    with np.errstate(all="ignore"):
        same = np.isclose(together, alone, rtol=1e-9, atol=1e-12, equal_nan=True)
    if not same.all():
        raise _refused(text, "a feature may not mix points", "the same number for a point alone as among others",
                       "another one")  # fmt: skip


def _refused(text: str, problem: str, expected: str, got: str) -> OptionError:
    return OptionError(problem, expected=expected, got=short(got), where=f"feature {short(text)}",
                       fix="write a formula of x1 and x2, such as x1**2 + cos(x2)")  # fmt: skip


def columns(features: Sequence[str], points: Array) -> Array:
    """The features of points (n, 2) as columns (n, len(features)); not finite where a formula is not."""
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    return np.stack([formula(text)(x, y) for text in features], axis=1)


def require_finite(features: Sequence[str], points: Array, table: Array) -> None:
    """Raises OptionError where a feature is not finite at a point of the data."""
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise OptionError(
            "a feature is not finite at a point of the data", expected="a finite number at every point",
            got=f"{table[row, column]} at x1={points[row, 0]:.4g}, x2={points[row, 1]:.4g}",
            where=f"feature {short(features[column])}", fix="keep its inputs in range, as in log(1 + x1**2)",
        )  # fmt: skip
