"""Plain text, in Unicode, from a formula's tree: ``∂L/∂a = 2·(a − y)``, on one line."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from chainrule.explain.latex import Atom, Fence, Frac, Grid, Over, Root, Row, Script, read

_BELOW = str.maketrans("0123456789+-−=()aeijoruvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑᵢⱼₒᵣᵤᵥₓ")
_ABOVE = str.maketrans("0123456789+-−=()nT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿᵀ")
_SPACED = set("=<>≤≥≠≈←→⊙∧\u2228⊕+×\u22a4≪≫∈") | {"mod", "+="}
_TIGHT = {"·"}
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹ⁿᵀ"
_SUM = Atom("operator", "Σ")


@lru_cache(maxsize=8192)
def plain(latex: str) -> str:
    """A formula's text."""
    return " ".join(_text(read(latex)).split()).replace("+ =", "+=")


def _text(tree: Any) -> str:
    if isinstance(tree, Atom):
        return tree.text
    if isinstance(tree, Row):
        return _row(tree)
    if isinstance(tree, Frac):
        return f"{_part(tree.top)}/{_part(tree.bottom, below=True)}"
    if isinstance(tree, Root):
        sign = "√" if tree.degree is None else {"3": "∛"}.get(_text(tree.degree), _text(tree.degree) + "√")
        return f"{sign}({_text(tree.body)})"
    if isinstance(tree, Over):
        return f"conj({_text(tree.body)})"
    if isinstance(tree, Fence):
        return f"{tree.left}{_text(tree.body)}{tree.right}"
    if isinstance(tree, Script):
        return _script(tree)
    assert isinstance(tree, Grid)
    if tree.kind == "cases":
        said = [" if ".join(_text(c) for c in row).replace("if else", "else") for row in tree.rows]
        return "{" + "; ".join(said) + "}"
    return "[" + "; ".join(" ".join(_text(c) for c in row) for row in tree.rows) + "]"


def _row(row: Row) -> str:
    """Parts side by side; operators between operands get room, a sign in front of one does not."""
    out = ""
    operand_before = False
    for position, part in enumerate(row.parts):
        text = _text(part)
        sign = part.text if isinstance(part, Atom) and part.kind == "operator" else ""
        if sign in ("−", "+") and not operand_before:
            out += text
        elif sign == "−" or sign in _SPACED:
            out = f"{out} {text} "
            operand_before = False
            continue
        elif sign in _TIGHT:
            out += text
            operand_before = False
            continue
        elif is_name(part) and operand_before and out[-1:].isalnum():
            out += f" {text}"  # two names side by side, or a number and a name
        elif (is_name(part) and calls(row, position)) or _is_sum(part):
            out += f"{text} "
        elif sign == ",":
            out += ", "
        else:
            out += text
        operand_before = sign not in ("(", "[", ",", "Σ", "−", "+")
    return out


def is_name(part: Any) -> bool:
    """Whether a part is a word: ``sin``, ``relu``, with or without scripts."""
    part = part.base if isinstance(part, Script) else part
    return isinstance(part, Atom) and part.kind in ("upright", "text")


def _is_sum(part: Any) -> bool:
    """Whether this is a sum sign, with or without its axis below."""
    return part == _SUM or (isinstance(part, Script) and part.base == _SUM)


def calls(row: Row, position: int) -> bool:
    """Whether the name at ``position`` is followed by its argument without a bracket: ``sin x``."""
    following = row.parts[position + 1] if position + 1 < len(row.parts) else None
    if following is None or (isinstance(following, Atom) and following.kind in ("operator", "space")):
        return False
    return not isinstance(following, Fence)


def _part(tree: Any, below: bool = False) -> str:
    """Half of a fraction: in brackets where it would be misread."""
    text = _text(tree)
    simple = isinstance(tree, (Atom, Root, Fence)) or (
        isinstance(tree, Script) and isinstance(tree.base, Atom)
    )
    derivative = isinstance(tree, Row) and bool(tree.parts) and tree.parts[0] == Atom("identifier", "∂")
    called = isinstance(tree, Row) and text.endswith(")") and text.count("(") == 1 and is_name(tree.parts[0])
    negative = isinstance(tree, Row) and not below and len(tree.parts) == 2 and text.startswith("−")
    return text if simple or derivative or called or negative else f"({text})"


def _script(tree: Script) -> str:
    base = _text(tree.base)
    if isinstance(tree.base, (Frac, Script)) or (isinstance(tree.base, Row) and len(tree.base.parts) > 1
                                                and not _bracketed(tree.base)):  # fmt: skip
        base = f"({base})"
    below, above = "", ""
    if tree.below is not None:
        text = _text(tree.below)
        low = text.translate(_BELOW)
        below = low if all(c != small for c, small in zip(text, low, strict=True)) else f"_{_brief(text)}"
    if tree.above is not None:
        text = _text(tree.above)
        high = text.translate(_ABOVE)
        above = high if all(c != h for c, h in zip(text, high, strict=True)) else f"^{_brief(text)}"
    return f"{base}{below}{above}"


def _bracketed(row: Row) -> bool:
    text = [p.text if isinstance(p, Atom) else "" for p in row.parts]
    return text[0] in ("(", "[") and text[-1] in (")", "]")


def _brief(text: str) -> str:
    return text if text.isalnum() and not any(c in _RAISED for c in text) else f"({text})"
