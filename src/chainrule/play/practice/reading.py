"""What a person typed, read: how people write mathematics is brought to the engine's expressions, then parsed by them.

``3x``, ``2(x+1)``, ``x²``, ``x^2``, ``−1,5``-like signs from other keyboards, ``dy/dx = …`` in front: all of that is
understood and shown back as a formula, so that a person sees what was read.  Nothing is evaluated as code; lengths are
bounded before anything is parsed.

What can't be graded raises NotGradable with the reason; that is no mistake and costs nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

import numpy as np

from chainrule.base.errors import ExpressionError
from chainrule.explain.expression import Expression, parse
from chainrule.explain.formula import ATOM, POWER, PRODUCT, SUM, Piece, bracketed
from chainrule.explain.formula import number as number_piece
from chainrule.explain.functions import CONSTANTS, FUNCTIONS
from chainrule.explain.names import identifier
from chainrule.play.practice.equality import NotAFormula, compute, require_formula

MOST_TYPED = 300
_MOST_AXES = 4


class NotGradable(Exception):
    """What was typed is neither right nor wrong: the message says why and what to do."""


_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "\u2014": "-",
        "\u2010": "-",
        "\u2011": "-",
        "×": "*",
        "·": "*",
        "\u22c5": "*",
        "\u2219": "*",
        "\u2022": "*",
        "÷": "/",
        "\u2215": "/",
        "\u2044": "/",
        "π": "pi",
        "\u00a0": " ",
        "\u2009": " ",
        "\u202f": " ",
        "[": "(",
        "]": ")",
        "{": "(",
        "}": ")",
    }
)
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_TOKEN = re.compile(r"\s*(?:(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|(\*\*|.))", re.DOTALL)


def expression_text(text: str, letters: Sequence[str]) -> str:
    """The engine's way of writing what was typed: signs of products put in, powers as ``**``."""
    found = text.translate(_SIGNS).replace("√", "sqrt").replace("^", "**")
    for sign, fraction in (("½", "(1/2)"), ("¼", "(1/4)"), ("¾", "(3/4)")):
        found = found.replace(sign, fraction)
    found = re.sub(f"\u207b?[{_RAISED}]+", lambda m: "**" + "".join(_lowered(c) for c in m.group()), found)
    head, equals, tail = found.partition("=")
    if equals and "=" not in tail and re.fullmatch(r"[\w\s/'()∂|]{0,30}", head):
        found = tail
    out: list[str] = []
    last = ""  # number, letter, function, close, or other
    for number, name, sign in _TOKEN.findall(found.strip()):
        kind = "number" if number else "function" if name in FUNCTIONS else "letter" if name else sign
        if _multiplied(last, kind, out[-1] if out else "", letters):
            out.append("*")
        out.append(number or name or sign)
        last = kind
    return " ".join(out)


def _lowered(raised: str) -> str:
    """The digit or sign that stands above."""
    return str(_RAISED.index(raised)) if raised in _RAISED else "-"


def _multiplied(last: str, kind: str, before: str, letters: Sequence[str]) -> bool:
    """Whether a sign of multiplication is meant between two parts side by side."""
    begins = kind in ("letter", "function", "(")
    if last in ("number", ")"):
        return begins or (last == ")" and kind == "number")
    if last == "letter":
        return kind in ("letter", "function") or (kind == "(" and (before in letters or before in CONSTANTS))
    return False


def expression(text: str, letters: Sequence[str], asked: str = "a formula") -> Expression:
    """A typed formula of ``letters``.  Raises NotGradable."""
    if not text.strip():
        raise NotGradable(f"Nothing is entered yet: type {asked}.")
    if len(text) > MOST_TYPED:
        raise NotGradable(f"This is too long to grade: at most {MOST_TYPED} characters.")
    if re.fullmatch(r"\s*[+−–-]?\d+,\d+\s*", text):
        raise NotGradable("Write the decimals behind a point: 0.5, not 0,5.")
    written = expression_text(text, letters)
    try:
        found = parse(written)
        require_formula(found)
    except ExpressionError as error:
        raise NotGradable(_problem(error, written, letters)) from None
    except NotAFormula as error:
        raise NotGradable(f"This can't be graded: {error}.") from None
    unknown = [name for name in found.names if name not in letters]
    if unknown:
        raise NotGradable(_unknown(unknown[0], letters))
    return found


def _problem(error: ExpressionError, written: str, letters: Sequence[str]) -> str:
    lonely = re.search(rf"\b({'|'.join(FUNCTIONS)})\b\s*(?!\s*\()", written)
    if lonely:
        name = lonely.group(1)
        of = letters[0] if letters else "…"
        return f"This can't be read: write what {name} is taken of in brackets, {name}({of})."
    said = error.problem.removeprefix("the expression can't be read: ")
    known = re.fullmatch(r"there is no function (\w+)", said)
    if known and len(known.group(1)) == 1:
        return f"This can't be read: write a product with {known.group(1)} as {known.group(1)}*(…)."
    if said.startswith("invalid syntax"):
        return "This can't be read as a formula yet: something is missing, or there is a sign too many."
    return f"This can't be read: {said}."


def _unknown(name: str, letters: Sequence[str]) -> str:
    if not letters:
        return f"A number is asked for: put in the value of {name}." if len(name) <= 3 else f"{name} is not a number."
    parts = [part for part in re.findall(r"[a-z]\d*", name) if part in letters]
    if len(parts) > 1 and "".join(parts) == name:
        return f"{name} is read as one name: write {'*'.join(parts)} for the product."
    allowed = " and ".join(letters)
    return f"There is no {name} in this question: the answer is a formula of {allowed}."


def number(text: str) -> float:
    """A typed number: decimals, a fraction, or arithmetic such as 2*3/4.  Raises NotGradable."""
    found = expression(text, (), "a number, such as 0.75 or 3/4")
    value = float(compute(found, {}).values[0])
    if not np.isfinite(value):
        raise NotGradable("This has no finite value.")
    return value


def places(text: str) -> int | None:
    """The digits behind the point of a plain decimal number; None for anything else."""
    match = re.fullmatch(r"\s*[+-]?\d*\.?(\d*)\s*", text.translate(_SIGNS))
    return len(match.group(1)) if match else None


def shape(text: str) -> tuple[int, ...]:
    """A typed shape: ``(3, 4)``, ``3x4``, ``3 × 4``, ``4``, ``()``.  Raises NotGradable."""
    bare = text.strip()
    if not bare:
        raise NotGradable("Nothing is entered yet: type a shape, such as (3, 4).")
    if len(bare) > 60:
        raise NotGradable("This is too long for a shape: write it as (3, 4).")
    if bare in ("()", "[]", "scalar"):
        return ()
    inner = re.sub(r"[()\[\]]", "", bare)
    parts = [p for p in re.split(r"[\s,;x×*·]+", inner) if p]
    if not parts or not all(re.fullmatch(r"[0-9]{1,6}", p) for p in parts):
        raise NotGradable("This is no shape: write whole numbers, such as (3, 4), or (4) for a vector of 4.")
    if len(parts) > _MOST_AXES:
        raise NotGradable(f"A shape here has at most {_MOST_AXES} axes.")
    return tuple(int(p) for p in parts)


# -------------------------------------------------------------------------------------------------------- shown back

_NAMED = {"sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "exp", "max", "min"}


def latex(found: Expression) -> str:
    """A parsed formula as LaTeX, part by part as it was typed."""
    return _piece(found.statements[-1].node).latex


def _piece(node: ast.expr) -> Piece:
    if isinstance(node, ast.BinOp):
        return _binary(node)
    if isinstance(node, ast.UnaryOp):
        inner = _piece(node.operand)
        return inner if isinstance(node.op, ast.UAdd) else Piece(f"-{bracketed(inner, PRODUCT)}", SUM)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return _call(node.func.id, [_piece(a).latex for a in node.args])
    if isinstance(node, ast.Name):
        return Piece(r"\pi" if node.id == "pi" else identifier(node.id))
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, (int, float))
    return number_piece(float(node.value), 12)


def _binary(node: ast.BinOp) -> Piece:
    left, right = _piece(node.left), _piece(node.right)
    if isinstance(node.op, ast.Add):
        return Piece(f"{bracketed(left, SUM)} + {bracketed(right, PRODUCT if right.negative else SUM)}", SUM)
    if isinstance(node.op, ast.Sub):
        return Piece(f"{bracketed(left, SUM)} - {bracketed(right, PRODUCT)}", SUM)
    if isinstance(node.op, ast.Mult) and left.negative and left.level == SUM and isinstance(node.left, ast.UnaryOp):
        return Piece(rf"{left.latex} \cdot {bracketed(right, PRODUCT)}", SUM)
    if isinstance(node.op, ast.Mult):
        return Piece(rf"{bracketed(left, PRODUCT)} \cdot {bracketed(right, PRODUCT)}", PRODUCT)
    if isinstance(node.op, ast.Div):
        return Piece(rf"\frac{{{left.latex}}}{{{right.latex}}}", PRODUCT)
    return Piece(f"{{{bracketed(left, ATOM)}}}^{{{right.latex}}}", POWER)


def _call(name: str, args: list[str]) -> Piece:
    if name == "sqrt":
        return Piece(rf"\sqrt{{{args[0]}}}")
    if name == "abs":
        return Piece(rf"\left|{args[0]}\right|")
    if name == "square":
        return Piece(rf"{{\left({args[0]}\right)}}^{{2}}", POWER)
    if name == "exp":
        return Piece(f"e^{{{args[0]}}}", POWER)
    word = "log" if name.startswith("log") else name
    below = {"log2": "_{2}", "log10": "_{10}"}.get(name, "")
    inside = ", ".join(args) if name != "log1p" else f"1 + {args[0]}"
    head = rf"\{word}" if word in _NAMED or word == "log" else rf"\operatorname{{{word.replace('_', ' ')}}}"
    return Piece(rf"{head}{below}\left({inside}\right)", ATOM)
