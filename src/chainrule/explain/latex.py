r"""The part of LaTeX's mathematics that op records and explanations use, read into a small tree.

One formula has one source, its LaTeX; MathML (:mod:`mathml`) and plain text (:mod:`plain`) are written from this tree.
Understood: letters, numbers, operators, ``^`` and ``_``, ``{…}``, ``\frac``, ``\sqrt[n]{…}``, ``\overline``,
``\operatorname``, ``\text`` and the like, ``\left … \right``, and the environments ``cases`` and ``pmatrix``.

Raises ValueError for anything else: a formula is written by us, so that is a bug here, found by the tests of every op.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Tree = Any


@dataclass(frozen=True)
class Atom:
    """One symbol.  ``kind``: identifier, upright (a name), number, operator, text, space."""

    kind: str
    text: str


@dataclass(frozen=True)
class Row:
    """Parts side by side."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Frac:
    """A fraction."""

    top: Tree
    bottom: Tree


@dataclass(frozen=True)
class Root:
    """A root; ``degree`` is None for the square root."""

    body: Tree
    degree: Tree | None


@dataclass(frozen=True)
class Script:
    """A base with what stands below and above it."""

    base: Tree
    below: Tree | None
    above: Tree | None


@dataclass(frozen=True)
class Over:
    """A bar over its body."""

    body: Tree


@dataclass(frozen=True)
class Fence:
    """A body between brackets that grow with it."""

    left: str
    body: Tree
    right: str


@dataclass(frozen=True)
class Grid:
    """``cases`` or ``pmatrix``: rows of cells."""

    kind: str
    rows: tuple[tuple[Tree, ...], ...]


IDENTIFIERS = {
    "alpha": "α", "beta": "β", "gamma": "\u03b3", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε", "zeta": "ζ",
    "eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "\u03bd", "xi": "ξ", "pi": "π",
    "rho": "\u03c1", "sigma": "σ", "tau": "τ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
    "partial": "∂", "infty": "∞",
}  # fmt: skip
_OPERATORS = {
    "cdot": "·", "odot": "⊙", "times": "×", "le": "≤", "ge": "≥", "ne": "≠", "approx": "≈", "gets": "←", "to": "→",
    "sum": "Σ", "wedge": "∧", "vee": "\u2228", "neg": "¬", "oplus": "⊕", "sim": "\u223c", "ll": "≪", "gg": "≫",
    "exists": "∃", "forall": "∀", "dots": "…", "cdots": "⋯", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉",
    "lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "langle": "⟨", "rangle": "⟩", "bmod": "mod", "in": "∈",
    "colon": ":", "backslash": "\\", "prime": "′", "pm": "±", "top": "\u22a4", "star": "⋆", "circ": "∘",
    "dagger": "†", "ast": "\u2217",
}  # fmt: skip
_NAMES = ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp", "max", "min",
          "det", "arg", "dim", "ker", "gcd")  # fmt: skip
_UPRIGHT = ("operatorname", "mathrm", "mathit", "mathsf", "mathbf", "mathtt", "mathcal")
_SPACES = (",", ";", ":", "!", " ", "quad", "qquad")
_KINDS = ("begin", "end", "command", "escaped", "number", "letter", "blank", "sign")
_TOKEN = re.compile(
    r"\\begin\{(\w+)\}|\\end\{(\w+)\}|\\([A-Za-z]+)|\\(.)|(\d+(?:\.\d+)?)|([A-Za-zα-ωΑ-Ω])|(\s+)|(.)", re.DOTALL
)


class _Reader:
    """A cursor over tokens: (kind, text)."""

    def __init__(self, source: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        in_text = 0  # braces open since \\text: there, blanks count
        for match in _TOKEN.finditer(source):
            kind = _KINDS[(match.lastindex or 1) - 1]
            token = (kind, match.group(match.lastindex or 0))
            if token == ("sign", "{") and (in_text or self.tokens[-1:] == [("command", "text")]):
                in_text += 1
            elif token == ("sign", "}") and in_text:
                in_text -= 1
            if kind != "blank" or in_text:
                self.tokens.append(token)
        self.at = 0
        self.source = source

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.at] if self.at < len(self.tokens) else ("stop", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self.at += 1
        return token

    def fail(self, what: str) -> ValueError:
        return ValueError(f"{what} in the formula {self.source!r}")

    def row(self, *ends: tuple[str, str]) -> Tree:
        """Parts up to one of ``ends``, which is not taken."""
        parts: list[Tree] = []
        while self.peek() not in ends:
            kind, text = self.peek()
            if kind == "stop":
                raise self.fail("something is not closed")
            if (kind, text) in (("sign", "^"), ("sign", "_")):
                self._script(parts)
            else:
                part = self.part()
                if part is not None:
                    parts.append(part)
        return parts[0] if len(parts) == 1 else Row(tuple(parts))

    def _script(self, parts: list[Tree]) -> None:
        sign = self.take()[1]
        value = self.part() or Row(())
        base = parts.pop() if parts else Row(())
        if isinstance(base, Script) and (base.above is None if sign == "^" else base.below is None):
            parts.append(Script(base.base, base.below if sign == "^" else value, value if sign == "^" else base.above))
        else:
            parts.append(Script(base, None, value) if sign == "^" else Script(base, value, None))

    def group(self) -> Tree:
        """The body of ``{…}``."""
        if self.take() != ("sign", "{"):
            raise self.fail("{ is missing")
        body = self.row(("sign", "}"))
        self.take()
        return body

    def raw(self) -> str:
        """The characters of ``{…}``, or of one token."""
        kind, text = self.take()
        if (kind, text) != ("sign", "{"):
            return text
        text = ""
        while self.peek() != ("sign", "}"):
            kind, piece = self.take()
            if kind == "stop":
                raise self.fail("} is missing")
            text += {"command": IDENTIFIERS.get(piece) or _OPERATORS.get(piece, piece)}.get(kind, piece)
        self.take()
        return text

    def part(self) -> Tree | None:
        kind, text = self.peek()
        if (kind, text) == ("sign", "{"):
            return self.group()
        self.take()
        if kind == "number":
            return Atom("number", text)
        if kind == "letter":
            return Atom("identifier", text)
        if kind == "sign":
            return Atom("operator", "−" if text == "-" else text)
        if kind == "escaped":
            return Atom("space", " ") if text in _SPACES else Atom("operator", text)
        if kind == "command":
            return self._command(text)
        if kind == "begin":
            return self._grid(text)
        raise self.fail(f"unexpected {text!r}")

    def _command(self, name: str) -> Tree | None:
        if name in IDENTIFIERS:
            return Atom("identifier", IDENTIFIERS[name])
        if name in _OPERATORS:
            return Atom("operator", _OPERATORS[name])
        if name in _NAMES:
            return Atom("upright", name)
        if name in _UPRIGHT:
            return Atom("upright", self.raw())
        if name == "text":
            return Atom("text", self.raw())
        if name == "frac":
            return Frac(self.group(), self.group())
        if name == "overline":
            return Over(self.group())
        if name == "sqrt":
            degree = None
            if self.peek() == ("sign", "["):
                self.take()
                degree = self.row(("sign", "]"))
                self.take()
            return Root(self.group(), degree)
        if name == "left":
            left = self._bracket()
            body = self.row(("command", "right"))
            self.take()
            return Fence(left, body, self._bracket())
        if name in ("mathbin", "mathrel", "mathord"):
            return Atom("operator", self.raw())
        if name in _SPACES:
            return Atom("space", " ")
        raise self.fail(f"unknown command \\{name}")

    def _bracket(self) -> str:
        kind, text = self.take()
        if kind == "command":
            return _OPERATORS[text]
        return "" if text == "." else "‖" if (kind, text) == ("escaped", "|") else text

    def _grid(self, kind: str) -> Tree:
        if kind not in ("cases", "pmatrix"):
            raise self.fail(f"unknown environment {kind}")
        rows: list[tuple[Tree, ...]] = []
        cells: list[Tree] = []
        ends = (("sign", "&"), ("escaped", "\\"), ("end", kind))
        while True:
            cells.append(self.row(*ends))
            end = self.take()
            if end[0] != "sign":
                rows.append(tuple(cells))
                cells = []
            if end[0] == "end":
                return Grid(kind, tuple(rows))


@lru_cache(maxsize=8192)
def read(source: str) -> Tree:
    """The tree of a formula.  Raises ValueError for LaTeX outside of the part understood here."""
    reader = _Reader(source)
    return reader.row(("stop", ""))
