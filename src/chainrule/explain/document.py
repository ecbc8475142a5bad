"""An explanation as a LaTeX document that compiles with pdflatex and amsmath alone.

Formulas stand in paragraphs, so that TeX breaks long ones at their relations; characters that LaTeX's fonts lack are
written as commands.  Nothing of the user's text reaches TeX unescaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.explain.formula import array, number_text
from chainrule.explain.step import Step, Summary, turns
from chainrule.explain.teller import derivative
from chainrule.explain.text import (
    count_text,
    factors_text,
    layer_rows,
    place_text,
    shares,
    shortened,
    signed,
    summary_text,
    symbol_table,
)

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

_ASCII = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\^{}", "~": r"\~{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': "''", "`": "`", "[": "{[}", "]": "{]}",
    "-": "{-}",
}  # fmt: skip
_SYMBOLS = {
    "−": "-", "·": r"\cdot", "∂": r"\partial", "Σ": r"\sum", "⊙": r"\odot", "≤": r"\le", "≥": r"\ge", "≠": r"\ne",
    "×": r"\times", "…": r"\dots", "⋯": r"\cdots", "√": r"\surd", "∞": r"\infty", "←": r"\gets", "→": r"\to",
    "ᵀ": r"^{\mathsf T}", "‖": r"\|", "′": "'", "α": r"\alpha", "β": r"\beta", "\u03b3": r"\gamma", "δ": r"\delta",
    "ε": r"\varepsilon", "η": r"\eta", "θ": r"\theta", "λ": r"\lambda", "μ": r"\mu", "\u03c1": r"\rho", "σ": r"\sigma",
    "τ": r"\tau", "φ": r"\varphi", "ψ": r"\psi", "ω": r"\omega", "π": r"\pi", "∧": r"\wedge", "\u2228": r"\vee",
    "¬": r"\neg", "⌊": r"\lfloor", "⌋": r"\rfloor", "⌈": r"\lceil", "⌉": r"\rceil",
}  # fmt: skip
_LOW, _HIGH = "₀₁₂₃₄₅₆₇₈₉", "⁰¹²³⁴⁵⁶⁷⁸⁹"

_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\setlength{\parindent}{0pt}
\setlength{\parskip}{5pt}
\addtolength{\textwidth}{80pt}
\addtolength{\hoffset}{-40pt}
\addtolength{\textheight}{80pt}
\addtolength{\voffset}{-40pt}
\setcounter{MaxMatrixCols}{20}
\setlength{\lineskip}{4pt}
\setlength{\lineskiplimit}{3pt}
\raggedright
\begin{document}
"""


def words(text: str) -> str:
    """Plain text as LaTeX; what no font has becomes its code point."""
    return "".join(_character(c) for c in text)


def _character(c: str) -> str:
    if c in _ASCII:
        return _ASCII[c]
    if c in _SYMBOLS:
        return f"${_SYMBOLS[c]}$"
    for digits, sign in ((_LOW, "_"), (_HIGH, "^")):
        if c in digits:
            return f"${sign}{{{digits.index(c)}}}$"
    if 32 <= ord(c) < 127:
        return c
    return " " if c in "\n\t\r\u00a0" else rf"\texttt{{U+{ord(c):04X}}}"


def document(explanation: Explanation) -> str:
    """The whole document."""
    parts = [
        _PREAMBLE,
        rf"{{\Large\bfseries\texttt{{{words(explanation.function[:300])}}}}}",
        rf"$\displaystyle {explanation.key}$",  # not \[ \], which would not break a long chain into lines
        r"\subsection*{Symbols}",
        _symbols(explanation),
        r"\subsection*{Forward pass}",
        *_steps([s for s in explanation.chain if s.phase == "forward"]),
        r"\subsection*{Backward pass}",
        *_steps([s for s in explanation.chain if s.phase != "forward"]),
        *_paths(explanation),
        *_layers(explanation),
        *_sent(explanation),
        rf"\subsection*{{Update, learning rate $\alpha = {number_text(explanation.learning_rate)}$}}",
        *(
            _formula(rf"{u.symbol} \gets {u.formula}", u.filled or "", None, u.value)
            for u in explanation.updates.values()
        ),
        r"\subsection*{Check by finite differences}",
        *_checks(explanation),
        r"\end{document}",
    ]
    return "\n\n".join(parts) + "\n"


def _value(value: Any) -> str:
    piece = None if isinstance(value, tuple) else array(value, 6)
    if piece is not None:
        return f"${piece.latex}$"
    return words(f"{len(value)} arrays" if isinstance(value, tuple) else summary_text(Summary.of(value)))


def _symbols(explanation: Explanation) -> str:
    rows = []
    for line, meaning in symbol_table(explanation):
        gradient = explanation.gradient(line)
        told = "" if gradient is None else rf"; gradient {_value(gradient)}"
        rows.append(
            rf"\item[${explanation.symbol(line)}$] {words(meaning)}: {_value(explanation.value_of(line))}{told}"
        )
    return "\\begin{description}\\setlength{\\itemsep}{0pt}\n" + "\n".join(rows) + "\n\\end{description}"


def _formula(symbol: str, formula: str, filled: str | None, value: Any) -> str:
    piece = None if isinstance(value, tuple) else array(value, 6)
    sides = [symbol]
    for side in (formula, filled, piece.latex if piece is not None else None):
        if side and side != sides[-1]:
            sides.append(side)
    told = rf"$\displaystyle {' = '.join(sides)}$"
    return told if piece is not None else f"{told} = {_value(value)}"


def _steps(steps: list[Step]) -> list[str]:
    found = [(rf"\textbf{{{words(heading)}}}" + "\n\n" if heading else "") + _step(s) for heading, s in turns(steps)]
    return shortened(found, lambda count: rf"\dots{{}} {count} steps in between \dots")


def _step(step: Step) -> str:
    rows = []
    if step.local is not None and step.formula != step.local.rule:
        local = step.local
        rows.append(_formula(local.symbol, local.rule, local.filled, local.value))
    rows.append(_formula(step.symbol, step.formula, step.filled, step.value))
    if step.shapes:
        rows.append(rf"{{\small shapes: {words(step.shapes)}}}")
    said = words(step.sentence)
    if step.why_zero:
        said += rf" \emph{{Zero because {words(step.why_zero)}.}}"
    place = place_text(step)
    if place and step.phase == "forward":
        said += rf" \texttt{{{words(place[:200])}}}"
    rows.append(rf"{{\small {said}}}")
    return rf"\textbf{{{step.number}}}\quad " + "\\newline\n".join(rows)


def _paths(explanation: Explanation) -> list[str]:
    if not explanation.wants_paths or not explanation.paths:
        return []
    standing = set(explanation.outline.heads)
    found = [r"\subsection*{Sum over paths}"]
    for name, total in explanation.paths.items():
        line = next(i for i in explanation.record.wrt if explanation.name_of(i) == name)
        slope = derivative(explanation.symbol(explanation.graph.outputs[0]), explanation.symbol(line))
        found.append(rf"$\displaystyle {slope} = {signed(total.total).replace('−', '-')}$: {words(count_text(total))}")
        for path in total.paths:
            names = r" \gets ".join(explanation.symbol(n) for n in path.nodes if n in standing)
            found.append(rf"$ {names} $: {words(factors_text([v for _, v in explanation.factors(path)]))}")
    return found


def _layers(explanation: Explanation) -> list[str]:
    rows = [rf"\texttt{{{words(name)}}}: {words(said)}" for name, said in layer_rows(explanation)]
    return [r"\subsection*{What came to each layer (norms)}", *rows] if rows else []


def _sent(explanation: Explanation) -> list[str]:
    sent = shares(explanation)
    loss = explanation.symbol(explanation.graph.outputs[0])
    found = [r"\subsection*{What came through which use}"] if sent else []
    for one in sent:
        parts = ", ".join(
            rf"{words(signed(100 * t.share, 3))}\% through ${t.through}${words(f' ({t.within})' if t.within else '')}"
            for t in one.terms
        )
        found.append(rf"$\displaystyle {derivative(loss, one.symbol)}$: {parts}")
    return found


def _checks(explanation: Explanation) -> list[str]:
    loss = explanation.symbol(explanation.graph.outputs[0])
    found = []
    for line in explanation.record.wrt:
        one = explanation.checks[explanation.name_of(line)]
        found.append(
            rf"$\displaystyle {derivative(loss, explanation.symbol(line))}$ {words(one.along)}: "
            rf"{words(signed(one.derivative, 8))}, by differences {words(signed(one.difference, 8))}: {one.verdict}"
        )
    return found
