"""Whether two formulas are the same function, decided on many points.

Both are computed at points of several sizes and signs, inside of the letters' domain.  A point counts only where both
are finite; values that differ by more than rounding on one point differ.  Where too few points have values far above
their rounding errors, nothing is decided and the answer is not graded: two values that are not finite say nothing.
Values that agree are followed by a guard on the derivatives, computed by the engine, so that a difference too small for
the tolerance on values is still seen.

Rounding errors are carried along while computing: each operation passes on the errors of its operands to first order
(a function by its values at both ends of the error), and adds one unit in the last place of its own.

Does not do: algebra.  Formulas that agree on all the points count as the same.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from chainrule.api import grad, vmap
from chainrule.base.errors import ChainruleError
from chainrule.explain.expression import Expression, parse
from chainrule.explain.functions import CONSTANTS, FUNCTIONS
from chainrule.play.practice.draws import Draws

SIZES = (0.1, 0.5, 1.0, 2.0, 4.0, 10.0, 100.0)
PER_SIZE = 8
LEAST = 12
"""Points that must count before anything is said."""

RELATIVE = 1e-9
_EPS = float(np.finfo(np.float64).eps)
_OF_ARRAYS = ("softmax", "log_softmax", "logsumexp", "sum", "mean", "norm", "dot", "transpose")

Points = Mapping[str, Any]
Array = Any


class Computed(NamedTuple):
    """Values at all points, and bounds of their rounding errors; NaN where anything on the way is not finite."""

    values: Array
    error: Array


class NotAFormula(ValueError):
    """An expression that is no formula of single numbers."""


@dataclass(frozen=True, eq=False)
class Formula:
    """A function of letters: ``compute`` at points, ``slope`` by a letter, and ``text`` as one would type it."""

    compute: Callable[[Points], Computed]
    slope: Callable[[Points, str], Array] | None
    text: str


class Decision(NamedTuple):
    """``verdict``: same, different, undecided.  ``point``: where they differ, or where the first one has no value."""

    verdict: str
    point: dict[str, float] | None = None
    counted: int = 0


# ------------------------------------------------------------------------------------------------------------- points


@lru_cache(maxsize=64)
def _points(letters: tuple[str, ...], positive: tuple[str, ...]) -> dict[str, Array]:
    draws = Draws("points", *letters)
    found: dict[str, list[float]] = {letter: [] for letter in letters}
    for size in SIZES:
        for number in range(PER_SIZE):
            for place, letter in enumerate(letters):
                value = size * (0.15 + 0.85 * draws.unit())
                negative = (number >> place) % 2 == 1 and letter not in positive
                found[letter].append(-value if negative else value)
    return {letter: np.array(values) for letter, values in found.items()}


def points(letters: Sequence[str], positive: Sequence[str] = ()) -> Points:
    """The points for these letters; those in ``positive`` get positive numbers only."""
    return dict(_points(tuple(letters), tuple(p for p in positive if p in letters)))


# ---------------------------------------------------------------------------------------------------------- computing


def require_formula(expression: Expression) -> None:
    """Raise NotAFormula for vectors, matrices and functions of them."""
    if len(expression.statements) != 1 or expression.statements[0].name is not None:
        raise NotAFormula("write one formula")
    for node in ast.walk(expression.statements[0].node):
        if isinstance(node, (ast.List, ast.MatMult)):
            raise NotAFormula("the answer is one number or one formula of numbers, not a list")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            alone = node.func.id in ("max", "min") and len(node.args) == 1
            if node.func.id in _OF_ARRAYS or alone:
                raise NotAFormula(f"{node.func.id} works on lists; the answer is a formula of numbers")


@np.errstate(all="ignore")
def compute(expression: Expression, at: Points) -> Computed:
    """A formula at all points; not finite where anything on the way is not."""
    require_formula(expression)
    count = len(next(iter(at.values()))) if at else 1
    finite = np.ones(count, bool)

    def value(node: ast.expr) -> Computed:
        found = _node(node, at, value)
        np.logical_and(finite, np.isfinite(found.values), out=finite)
        return found

    whole = value(expression.statements[0].node)
    values = np.where(finite, whole.values, np.nan)
    return Computed(values, np.where(np.isfinite(values), whole.error, np.nan))


def _node(node: ast.expr, at: Points, value: Callable[[ast.expr], Computed]) -> Computed:
    """One operation with its error."""
    if isinstance(node, ast.BinOp):
        return _binary(type(node.op), value(node.left), value(node.right))
    if isinstance(node, ast.UnaryOp):
        inner = value(node.operand)
        return Computed(-inner.values, inner.error) if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        call, args = FUNCTIONS[node.func.id].call, [value(a) for a in node.args]
        found = call(*[a.values for a in args])
        ends = [np.abs(call(*[a.values + s * a.error for a in args]) - found) for s in (1, -1)]
        return Computed(found, np.nan_to_num(np.fmax(*ends)) + 4 * _EPS * np.abs(found))
    if isinstance(node, ast.Name) and node.id in at:
        return Computed(np.asarray(at[node.id], np.float64), np.float64(0))
    if isinstance(node, ast.Name):
        return Computed(np.float64(CONSTANTS[node.id]), np.float64(CONSTANTS[node.id] * _EPS))
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, (int, float))
    return Computed(np.float64(node.value), np.float64(0))


def _binary(op: type[ast.operator], a: Computed, b: Computed) -> Computed:
    found = _BINARY[op](a.values, b.values)
    size = np.abs(found)
    if op in (ast.Add, ast.Sub):
        error = a.error + b.error
    elif op is ast.Mult:
        error = np.abs(a.values) * b.error + np.abs(b.values) * a.error
    elif op is ast.Div:
        error = (a.error + size * b.error) / np.abs(b.values)
    else:
        base = np.abs(a.values)
        rise = np.where(b.error > 0, np.abs(np.log(base)) * b.error, 0.0)
        error = size * (np.where(base > 0, np.abs(b.values) * a.error / base, 0.0) + rise + 4 * _EPS)
    return Computed(found, error + _EPS * size)


_BINARY: dict[type[ast.operator], Callable[[Array, Array], Array]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}


def typed(expression: Expression) -> Formula:
    """What a person typed, as a Formula."""
    return Formula(
        lambda at: compute(expression, at),
        lambda at, letter: _slope(expression, expression.names, at, letter),
        expression.text,
    )


@np.errstate(all="ignore")
def _slope(f: Callable[..., Any], names: Sequence[str], at: Points, letter: str) -> Array:
    """∂f/∂letter at all points, by the engine."""
    count = len(at[letter])
    if letter not in names:
        return np.zeros(count)
    return vmap(grad(f, argnums=list(names).index(letter)))(*[at[name] for name in names])


def of_text(text: str) -> Formula:
    """The function that a text of ours stands for."""
    return typed(parse(text))


def derivative(text: str, by: str, written: str) -> Formula:
    """The derivative of a text's function by one letter, computed by the engine; ``written``: how it reads."""
    expression = parse(text)
    position = expression.names.index(by)
    first = grad(expression, argnums=position)

    reads = parse(written)

    @np.errstate(all="ignore")
    def values(at: Points) -> Computed:
        found = vmap(first)(*[at[name] for name in expression.names])
        error = compute(reads, at).error  # the same lines, so about the same rounding
        return Computed(np.where(np.isnan(error), np.nan, found), error)

    return Formula(values, lambda at, letter: _slope(first, expression.names, at, letter), written)


# ----------------------------------------------------------------------------------------------------------- deciding


@np.errstate(all="ignore")
def decide(given: Formula, right: Formula, letters: Sequence[str], positive: Sequence[str] = ()) -> Decision:
    """Whether ``given`` is ``right``."""
    at = points(letters, positive)
    a, b = given.compute(at), right.compute(at)
    largest = np.maximum(np.abs(a.values), np.abs(b.values))
    room = RELATIVE * largest + 4 * (a.error + b.error)
    counted = np.isfinite(largest) & np.isfinite(room)
    apart = counted & (np.abs(a.values - b.values) > room)
    if apart.any():
        return Decision("different", _at(at, int(np.argmax(apart))), int(counted.sum()))
    some = largest > 0 if np.any(b.values[np.isfinite(b.values)] != 0) else counted
    counted &= some & (room <= 1e-6 * largest)
    missing = np.isfinite(b.values) & np.isfinite(b.error) & ~np.isfinite(a.values)
    if counted.sum() < LEAST or missing.sum() > counted.sum() / 2:
        where = _at(at, int(np.argmax(missing))) if missing.any() else None
        return Decision("undecided", where, int(counted.sum()))
    if _slopes_differ(given, right, {n: v[counted] for n, v in at.items()}):
        return Decision("different", None, int(counted.sum()))
    return Decision("same", None, int(counted.sum()))


def _slopes_differ(given: Formula, right: Formula, at: Points) -> bool:
    """Whether the derivatives of two functions with the same values differ on most of the points."""
    if given.slope is None or right.slope is None:
        return False
    for letter in at:
        try:
            a, b = given.slope(at, letter), right.slope(at, letter)
        except (ChainruleError, ValueError, TypeError):  # no derivative, or none the engine can take: no second opinion
            continue
        room = 1e-4 * np.maximum(np.abs(a), np.abs(b)) + 1e-7
        if np.mean(np.isfinite(a) & np.isfinite(b) & (np.abs(a - b) > room)) > 0.5:
            return True
    return False


def _at(at: Points, index: int) -> dict[str, float]:
    return {letter: float(values[index]) for letter, values in at.items()}
