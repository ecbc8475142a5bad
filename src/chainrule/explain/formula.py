r"""Formulas: lines of a graph written as LaTeX, with the ops' own templates.

A line is written down to the lines that have a symbol (``stops``); what lies between is spelled out.  Brackets are put
by how tightly each template binds.  ``simplify`` drops what the chain rule leaves behind and a reader would not write:
factors of 1, repetition along axes of size 1, masks written as choices of 1 and 0 (shown as Iverson's ``[z > 0]``).

Does not do: algebra.  The formula is the code that runs, in the order it runs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.base.arrays import Spec
from chainrule.graph.graph import Graph, Line

COMPARISON, SUM, PRODUCT, PREFIX, POWER, ATOM = range(6)
"""How tightly a formula binds, from loose to tight."""

MOST_OPS = 40
_SHOWN = 12


@dataclass(frozen=True)
class Piece:
    """A formula, how tightly it binds, and its value where it is a plain number that simplification may use."""

    latex: str
    level: int = ATOM
    number: float | None = None

    @property
    def negative(self) -> bool:
        return self.latex.startswith("-")


class TooLong(Exception):
    """A formula with more ops than a reader can take in."""


def bracketed(piece: Piece, level: int) -> str:
    """``piece`` in a place that needs formulas binding at least as tightly as ``level``."""
    return piece.latex if piece.level >= level else rf"\left({piece.latex}\right)"


# ------------------------------------------------------------------------------------------------------------ numbers


def number_text(value: float, digits: int = 6) -> str:
    """A number in at most ``digits`` significant digits, as Python prints it: ``0.5``, ``1e-05``, ``nan``."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    return f"{value:.{digits}g}" if not float(value).is_integer() or abs(value) >= 10**digits else str(int(value))


def number(value: Any, digits: int = 6) -> Piece:
    r"""A number as LaTeX: ``1.5 \cdot 10^{-7}``, ``\infty``."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, complex):
        real, imaginary = number_text(value.real, digits), number_text(value.imag, digits)
        sign = "" if imaginary.startswith("-") else "+"
        return Piece(f"{real}{sign}{imaginary} i", SUM)
    if math.isnan(value):
        return Piece(r"\mathrm{NaN}")
    if math.isinf(value):
        return Piece(r"\infty" if value > 0 else r"-\infty", ATOM if value > 0 else SUM)
    text = number_text(value, digits)
    level = SUM if text.startswith("-") else ATOM
    mantissa, e, exponent = text.partition("e")
    if not e:
        return Piece(text, level)
    power = f"10^{{{int(exponent)}}}"
    return Piece(power if mantissa == "1" else rf"{mantissa} \cdot {power}", min(level, PRODUCT))


def array(value: Any, most: int = _SHOWN) -> Piece | None:
    """A scalar as a number, a small vector or matrix in full; None for larger ones."""
    value = np.asarray(value)
    if value.ndim == 0:
        return number(value[()])
    if value.size > most or value.ndim > 2 or not value.size:
        return None
    rows = np.atleast_2d(value)
    cells = r" \\ ".join(" & ".join(number(x, 4).latex for x in row) for row in rows)
    return Piece(rf"\begin{{pmatrix}} {cells} \end{{pmatrix}}")


def shape_text(shape: Sequence[int]) -> str:
    """``(64, 128)``."""
    return f"({', '.join(map(str, shape))})"


# ---------------------------------------------------------------------------------------------------------- templates

_PLACE = re.compile(r"#(\d+|[a-z]\w*)")
_OPENING, _CLOSING = "{([", "})]"


@lru_cache(maxsize=1024)
def _needs(template: str) -> tuple[tuple[str, int, bool], ...]:
    """Per placeholder of a template: its name, how tightly what stands there must bind, whether a script follows."""
    found = []
    for match in _PLACE.finditer(template):
        before, after = template[: match.start()], template[match.end() :]
        inside = sum(before.count(c) for c in _OPENING) > sum(before.count(c) for c in _CLOSING)
        inside = inside or before.count(r"\left") > before.count(r"\right") or "begin{" in before
        scripted = after.lstrip("}")[:1] in ("^", "_")
        found.append((match.group(1), ATOM if scripted or not inside else COMPARISON, scripted))
    return tuple(found)


@lru_cache(maxsize=1024)
def _level_of(template: str) -> int:
    """How tightly a filled template binds."""
    bare = re.sub(r"\{[^{}]*\}|\([^()]*\)|\[[^\[\]]*\]", "", re.sub(r"\\left.*\\right.", "", template))
    if re.search(r"(=|<|>|\\le|\\ge|\\ne|\\wedge|\\vee|\\oplus|\\bmod|\\ll|\\gg|\\mathbin)", bare):
        return COMPARISON
    if re.search(r"[+-]", bare):
        return SUM
    if "^" in bare:
        return POWER
    return PREFIX if "#" in bare else ATOM


def fill(template: str, args: Sequence[Piece], attrs: Mapping[str, Any]) -> Piece:
    """An op's template with its arguments and attributes put in."""
    needs = iter(_needs(template))

    def put(match: re.Match[str]) -> str:
        name, level, scripted = next(needs)
        if name.isdigit():
            said = bracketed(args[int(name)], level) if int(name) < len(args) else r"\cdot"
            return f"{{{said}}}" if scripted and ("_" in said or "^" in said) else said  # TeX has one script per group
        return attribute(attrs.get(name, ""))

    return Piece(_PLACE.sub(put, template), _level_of(template))


def attribute(value: Any) -> str:
    """An attribute as LaTeX: an index key as slices, a dtype by name."""
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, tuple):
        return ", ".join(_slice(v) if isinstance(v, tuple) and len(v) == 3 else attribute(v) for v in value)
    if value is None:
        return r"\cdot"
    if isinstance(value, (bool, int, float, np.integer)):
        return str(value)
    return rf"\text{{{re.sub(r'[^A-Za-z0-9 .]', '', str(value))[:20]}}}"


def _slice(key: tuple[Any, ...]) -> str:
    start, stop, step = key
    text = f"{start or ''}:{'' if stop is None else stop}"
    return text if step == 1 else f"{text}:{step}"


# ------------------------------------------------------------------------------------------------------------ writing


def product(left: Piece, right: Piece, sign: str = r"\cdot") -> Piece:
    """``left · right``, without factors of 1."""
    for one, other in ((left, right), (right, left)):
        if one.number == 1:
            return other
        if one.number == -1:
            return negated(other)
    if left.negative and left.level == SUM and left.number is None and right.level >= PRODUCT:
        rest = Piece(left.latex[1:].strip(), PRODUCT)
        if not rest.negative and not re.search(r"[+-]", re.sub(r"\{[^{}]*\}|\\left.*\\right.", "", rest.latex)):
            return Piece(rf"-{rest.latex} {sign} {bracketed(right, PRODUCT)}", SUM)
    return Piece(f"{bracketed(left, PRODUCT)} {sign} {bracketed(right, PRODUCT)}", PRODUCT)


def negated(piece: Piece) -> Piece:
    """``-piece``."""
    value = None if piece.number is None else -piece.number
    return Piece(f"-{bracketed(piece, PRODUCT)}", SUM, value)


def added(terms: Sequence[Piece]) -> Piece:
    """``a + b - c``."""
    out = terms[0].latex
    for term in terms[1:]:
        plain_negative = term.negative and term.level == SUM and "+" not in term.latex
        out += f" - {term.latex[1:].strip()}" if plain_negative and " - " not in term.latex else f" + {term.latex}"
    return terms[0] if len(terms) == 1 else Piece(out, SUM)


_OPPOSITE = {"less": ">=", "less_equal": ">", "greater": "<=", "greater_equal": "<", "equal": "!=", "not_equal": "="}
_SIGNS = {">=": r"\ge", ">": ">", "<=": r"\le", "<": "<", "!=": r"\ne", "=": "="}


class Writer:
    """Writes lines of one graph; ``stops`` are the lines that have a symbol (or, in numbers, a value)."""

    def __init__(self, graph: Graph, stops: Mapping[int, Piece], simplify: bool = False) -> None:
        self.graph = graph
        self.stops = stops
        self.simplify = simplify
        self.left = MOST_OPS

    def formula(self, index: int, expand: bool = False) -> Piece:
        """The formula of a line; with ``expand`` of its right-hand side, even where it has a symbol.

        Raises TooLong.
        """
        self.left = MOST_OPS
        return self._expanded(index) if expand else self._piece(index)

    def _piece(self, index: int) -> Piece:
        found = self.stops.get(index)
        return self._expanded(index) if found is None else found

    def _expanded(self, index: int) -> Piece:
        self.left -= 1
        if self.left < 0:
            raise TooLong
        line = self.graph.lines[index]
        rule = _RULES.get(line.op.name)
        if rule is not None:
            found = rule(self, line)
            if found is not None:
                return found
        return fill(line.op.latex, [self._piece(a) for a in line.args], dict(line.attrs))

    # What is asked about lines

    def constant(self, index: int) -> float | None:
        """The number that a line holds in each element, where it is a constant of one value."""
        if index in self.stops:
            return self.stops[index].number
        line = self.graph.lines[index]
        if line.op.name in ("broadcast_to", "reshape", "cast"):
            return self.constant(line.args[0])
        if line.op.name != "constant":
            return None
        flat = line.attrs[0][1].array.reshape(-1)
        uniform = flat.size and flat.dtype.kind in "fiub" and (flat == flat[0]).all()
        return float(flat[0]) if uniform else None

    def spec(self, index: int) -> Any:
        """The type of a line."""
        return self.graph.lines[index].spec

    def condition(self, index: int, opposite: bool = False) -> Piece:
        """``[z > 0]``: 1 where the condition holds, else 0."""
        line = self.graph.lines[index]
        if opposite and line.op.name in _OPPOSITE and index not in self.stops:
            sign = _SIGNS[_OPPOSITE[line.op.name]]
            a, b = (bracketed(self._piece(i), SUM) for i in line.args)
            return Piece(rf"\left[{a} {sign} {b}\right]")
        inner = self._piece(index).latex
        return Piece(rf"\left[\neg ({inner})\right]" if opposite else rf"\left[{inner}\right]")


def _binary(join: Callable[[Piece, Piece], Piece]) -> Callable[[Writer, Line], Piece | None]:
    return lambda writer, line: join(writer._piece(line.args[0]), writer._piece(line.args[1]))


def _plain_add(writer: Writer, line: Line) -> Piece:
    left, right = (writer._piece(a) for a in line.args)
    needs = PRODUCT if right.negative else SUM
    return Piece(f"{bracketed(left, SUM)} + {bracketed(right, needs)}", SUM)


def _times(writer: Writer, line: Line) -> Piece:
    a, b = (writer._piece(i) for i in line.args)
    both = all(getattr(writer.spec(i), "shape", ()) != () and writer.constant(i) is None for i in line.args)
    sign = r"\odot" if both else r"\cdot"
    if writer.simplify:
        return product(a, b, sign)
    return Piece(f"{bracketed(a, PRODUCT)} {sign} {bracketed(b, PRODUCT)}", PRODUCT)


def _matmul(writer: Writer, line: Line) -> Piece:
    a, b = (bracketed(writer._piece(i), PRODUCT) for i in line.args)
    return Piece(rf"{a} \cdot {b}", PRODUCT)


def _transparent(writer: Writer, line: Line) -> Piece:
    return writer._piece(line.args[0])


def _reshape(writer: Writer, line: Line) -> Piece | None:
    before, after = writer.spec(line.args[0]), line.spec
    return writer._piece(line.args[0]) if _squeezed(before) == _squeezed(after) else None


def _transposed(writer: Writer, line: Line) -> Piece | None:
    axes = dict(line.attrs)["axes"]
    return writer._piece(line.args[0]) if tuple(axes) == tuple(range(len(axes))) else None


def _constant(writer: Writer, line: Line) -> Piece:
    value = line.attrs[0][1].array
    flat = value.reshape(-1)
    if value.ndim and value.size and (flat == flat[0]).all():
        value = flat[0]
    if np.ndim(value) == 0:
        found = number(value[()] if isinstance(value, np.ndarray) else value)
        simple = writer.simplify and np.asarray(value).dtype.kind in "fiu"
        return Piece(found.latex, found.level, float(value) if simple else None)
    return array(value) or Piece(r"\mathrm{const}")


def _negative(writer: Writer, line: Line) -> Piece:
    piece = writer._piece(line.args[0])
    if not writer.simplify:
        return Piece(f"-{bracketed(piece, PRODUCT)}", SUM)
    return negated(piece)


def _less(left: Piece, right: Piece) -> Piece:
    return Piece(f"{bracketed(left, SUM)} - {bracketed(right, PRODUCT)}", SUM)


def _where(writer: Writer, line: Line) -> Piece | None:
    condition, yes, no = line.args
    if no in writer.stops and writer.constant(yes) == 0 and _is_relu(writer, condition, no):
        return Piece(rf"\max(0, {writer._piece(no).latex})")
    taken, other = writer.constant(yes), writer.constant(no)
    if not writer.simplify or (taken != 0 and other != 0):
        return None
    mask = writer.condition(condition, opposite=taken == 0)
    return product(writer._piece(no if taken == 0 else yes), mask, r"\odot" if line.spec.shape else r"\cdot")


def _is_relu(writer: Writer, condition: int, value: int) -> bool:
    line = writer.graph.lines[condition]
    return line.op.name == "less_equal" and line.args[0] == value and writer.constant(line.args[1]) == 0


def _sum(writer: Writer, line: Line) -> Piece:
    axes = dict(line.attrs)["axes"]
    spec = writer.spec(line.args[0])
    inner = bracketed(writer._piece(line.args[0]), PRODUCT)
    if len(axes) == len(spec.shape):
        return Piece(rf"\sum {inner}", PREFIX)
    named = ",".join(map(str, axes))
    return Piece(rf"\sum_{{\text{{axis {named}}}}} {inner}", PREFIX)


def _divide(writer: Writer, line: Line) -> Piece:
    a, b = (writer._piece(i) for i in line.args)
    return Piece(rf"\frac{{{a.latex}}}{{{b.latex}}}", PREFIX)


def _gather(writer: Writer, line: Line) -> Piece:
    return Piece(rf"{{{bracketed(writer._piece(line.args[0]), ATOM)}}}_{{\text{{picked}}}}", POWER)


_RULES: dict[str, Callable[[Writer, Line], Piece | None]] = {
    "add": _plain_add,
    "sub": _binary(_less),
    "neg": _negative,
    "mul": _times,
    "chain_mul": _times,
    "div": _divide,
    "matmul": _matmul,
    "broadcast_to": _transparent,
    "cast": _transparent,
    "reshape": _reshape,
    "transpose": _transposed,
    "constant": _constant,
    "where": _where,
    "sum": _sum,
    "gather": _gather,
}


# ------------------------------------------------------------------------------------------------------------- shapes


def _squeezed(spec: Any) -> list[int]:
    return [n for n in spec.shape if n != 1]


def shape_equation(graph: Graph, index: int, stops: Mapping[int, Any]) -> str | None:
    """``(784, 64) · (64, 128) + (128) = (784, 128)``; None where no product or sum changes a shape."""
    changes = [False]
    try:
        right = _shapes(graph, index, stops, changes, [MOST_OPS], True)
    except TooLong:
        return None
    return f"{right} = {shape_text(graph.lines[index].spec.shape)}" if changes[0] and right else None


def _shapes(
    graph: Graph, index: int, stops: Mapping[int, Any], changes: list[bool], left: list[int], top: bool = False
) -> str:
    line = graph.lines[index]
    left[0] -= 1
    if left[0] < 0:
        raise TooLong
    if not isinstance(line.spec, Spec):
        return ""
    name = line.op.name
    own = shape_text(line.spec.shape) if line.spec.shape else ""
    if index in stops and not top:
        return own

    def inner() -> list[str]:
        return [_shapes(graph, a, stops, changes, left) for a in line.args]

    if name == "matmul":
        changes[0] = True
        # A number that was given axes for the product is shown with them.
        shapes = [shape_text(graph.lines[a].spec.shape) for a in line.args]
        return " · ".join(text or shape for text, shape in zip(inner(), shapes, strict=True))
    if name == "sum":
        changes[0] = True
        axes = dict(line.attrs)["axes"]
        every = len(axes) == len(graph.lines[line.args[0]].spec.shape)
        return f"Σ{'' if every else ' over axis ' + ','.join(map(str, axes)) + ' of'} {inner()[0]}"
    if name in ("add", "sub"):
        parts = [p for p in inner() if p]
        if len(set(parts)) > 1:
            changes[0] = True
            return f" {'+' if name == 'add' else '−'} ".join(parts)
        return own
    moves = name in ("broadcast_to", "reshape", "cast")
    if moves and _squeezed(line.spec) == _squeezed(graph.lines[line.args[0]].spec):
        return inner()[0]
    return own
