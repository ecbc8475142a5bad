"""MathML (the W3C's MathML Core) from a formula's tree: what browsers draw without any script."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any

from chainrule.explain.latex import Atom, Fence, Frac, Grid, Over, Root, Row, Script, read
from chainrule.explain.plain import calls, is_name

_TAG = {"identifier": "mi", "number": "mn", "operator": "mo"}


@lru_cache(maxsize=8192)
def mathml(latex: str, block: bool = False) -> str:
    """The ``<math>`` element of a formula, in a line or, with ``block``, on a line of its own."""
    display = ' display="block"' if block else ""
    return f"<math{display}>{_markup(read(latex))}</math>"


def _markup(tree: Any) -> str:
    if isinstance(tree, Atom):
        return _atom(tree)
    if isinstance(tree, Row):
        return f"<mrow>{''.join(_part(tree, position) for position in range(len(tree.parts)))}</mrow>"
    if isinstance(tree, Frac):
        return f"<mfrac>{_markup(tree.top)}{_markup(tree.bottom)}</mfrac>"
    if isinstance(tree, Root):
        if tree.degree is None:
            return f"<msqrt>{_markup(tree.body)}</msqrt>"
        return f"<mroot>{_markup(tree.body)}{_markup(tree.degree)}</mroot>"
    if isinstance(tree, Over):
        return f'<mover>{_markup(tree.body)}<mo stretchy="true">‾</mo></mover>'
    if isinstance(tree, Fence):
        return f"<mrow>{_bracket(tree.left)}{_markup(tree.body)}{_bracket(tree.right)}</mrow>"
    if isinstance(tree, Script):
        return _script(tree)
    assert isinstance(tree, Grid)
    rows = "".join(f"<mtr>{''.join(f'<mtd>{_markup(c)}</mtd>' for c in row)}</mtr>" for row in tree.rows)
    left, right = ("{", "") if tree.kind == "cases" else ("(", ")")
    return f"<mrow>{_bracket(left)}<mtable>{rows}</mtable>{_bracket(right)}</mrow>"


def _part(row: Row, position: int) -> str:
    """One part of a row; between a name and its argument stands a little room: ``sin x``."""
    part = row.parts[position]
    gap = '<mspace width="0.17em"></mspace>' if is_name(part) and calls(row, position) else ""
    return _markup(part) + gap


def _atom(atom: Atom) -> str:
    text = escape(atom.text)
    if atom.kind == "space":
        return '<mspace width="0.17em"></mspace>'
    if atom.kind == "text":
        return f"<mtext>{text.replace(' ', '&#160;')}</mtext>"
    if atom.kind == "upright":
        return f'<mi mathvariant="normal">{text}</mi>' if len(atom.text) == 1 else f"<mi>{text}</mi>"
    if atom.kind == "operator" and atom.text in "()[]|":
        return f'<mo stretchy="false">{text}</mo>'
    if atom.kind == "operator" and atom.text == "Σ":
        return "<mo>∑</mo>"
    return f"<{_TAG[atom.kind]}>{text}</{_TAG[atom.kind]}>"


def _bracket(text: str) -> str:
    return f'<mo fence="true" stretchy="true">{escape(text)}</mo>' if text else ""


def _script(tree: Script) -> str:
    base = _markup(tree.base)
    if tree.above is None:
        return f"<msub>{base}{_markup(tree.below)}</msub>"
    if tree.below is None:
        return f"<msup>{base}{_markup(tree.above)}</msup>"
    return f"<msubsup>{base}{_markup(tree.below)}{_markup(tree.above)}</msubsup>"
