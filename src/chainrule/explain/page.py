"""An explanation as one self-contained HTML page: MathML formulas, a drawn graph, tables; no script, nothing fetched.

All text is escaped.  ``fragment`` is the same without the page around it, for notebooks.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from chainrule.explain.drawing import svg
from chainrule.explain.formula import array, number_text
from chainrule.explain.mathml import mathml
from chainrule.explain.plain import plain
from chainrule.explain.step import Step, Summary, turns
from chainrule.explain.style import CSS
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
    from chainrule.explain.explanation import Explanation, Update


def page(explanation: Explanation) -> str:
    """The whole page."""
    title = escape(explanation.function[:80])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Gradient of {title}</title><style>body{{margin:0}}{CSS}</style></head>"
        f'<body class="cr-explain">{_main(explanation)}</body></html>\n'
    )


def fragment(explanation: Explanation) -> str:
    """The page's content in a ``<div>`` with its style."""
    return f'<div class="cr-explain"><style>{CSS}</style>{_main(explanation)}</div>'


def _main(explanation: Explanation) -> str:
    sections = [
        _header(explanation),
        f'<h2>Graph</h2><div class="cr-panel">{svg(explanation, f"cr{id(explanation):x}")}</div>{_legend()}',
        _symbols(explanation),
        _steps("Forward pass", [s for s in explanation.chain if s.phase == "forward"]),
        _steps("Backward pass", [s for s in explanation.chain if s.phase != "forward"]),
        _paths(explanation),
        _layers(explanation),
        _sent(explanation),
        _update(explanation),
        _checks(explanation),
    ]
    return f"<main>{''.join(sections)}</main>"


def _header(explanation: Explanation) -> str:
    return (
        f"<header><h1>{escape(explanation.function)}</h1>"
        f'<p class="cr-note">One gradient, step by step: {len(explanation.graph)} lines of the graph, '
        f"{len(explanation.chain)} steps.</p></header>"
        f'<div class="cr-key">{mathml(explanation.key, block=True)}</div>'
    )


def _legend() -> str:
    return (
        '<p class="cr-note">In a box: symbol, value, and below it the gradient of the loss (∂; for arrays the shape '
        "and the norm ‖∂‖). On an edge: the local derivative (for arrays the norm of what is passed back). Dashed: no "
        "gradient goes there. Red: it is zero.</p>"
    )


def _value(value: Any) -> str:
    """A number or small array as MathML; the summary of a large one."""
    if isinstance(value, tuple):
        return f"{len(value)} arrays"
    piece = array(value)
    if piece is not None:
        return mathml(piece.latex)
    return f'<span class="cr-array">{escape(summary_text(Summary.of(value)))}</span>'


def _symbols(explanation: Explanation) -> str:
    loss = explanation.symbol(explanation.graph.outputs[0])
    rows = []
    for line, meaning in symbol_table(explanation):
        gradient = explanation.gradient(line)
        rows.append(
            f"<tr><td>{mathml(explanation.symbol(line))}</td><td>{escape(meaning)}</td>"
            f"<td>{_value(explanation.value_of(line))}</td><td>{'' if gradient is None else _value(gradient)}</td></tr>"
        )
    head = f"<tr><th>symbol</th><th>what it is</th><th>value</th><th>∂{escape(plain(loss))}/∂ it</th></tr>"
    return f'<h2>Symbols</h2><div class="cr-panel"><table>{head}{"".join(rows)}</table></div>'


def _equation(symbol: str, formula: str, filled: str | None, value: Any) -> str:
    """symbol = formula = filled = value, none repeated."""
    piece = None if isinstance(value, tuple) else array(value)
    sides = [symbol]
    for side in (formula, filled, piece.latex if piece is not None else None):
        if side and side != sides[-1]:
            sides.append(side)
    told = mathml(" = ".join(sides))
    return told if piece is not None else f"{told} <span class='cr-array'>= {_value(value)}</span>"


def _steps(title: str, steps: list[Step]) -> str:
    rows = []
    place = ""
    for heading, step in turns(steps):
        new = place_text(step)
        head = f'<tr><td></td><th colspan="2">{escape(heading)}</th></tr>' if heading else ""
        rows.append(head + _row(step, new if new != place else ""))
        place = new
    rows = shortened(rows, lambda count: f"<tr><td></td><td>… {count} steps in between …</td><td></td></tr>")
    return f'<h2>{title}</h2><div class="cr-panel"><table>{"".join(rows)}</table></div>'


def _row(step: Step, place: str) -> str:
    formulas = []
    if step.local is not None and step.formula != step.local.rule:
        local = step.local
        formulas.append(f"<div>{_equation(local.symbol, local.rule, local.filled, local.value)}</div>")
    formulas.append(f"<div>{_equation(step.symbol, step.formula, step.filled, step.value)}</div>")
    if step.shapes:
        formulas.append(f'<div class="cr-array">{escape(step.shapes)}</div>')
    said = f"<p>{escape(step.sentence)}</p>"
    if step.why_zero:
        said += f'<p class="cr-why">zero because {escape(step.why_zero)}</p>'
    if place and step.phase == "forward":
        said += f"<p><code>{escape(place)}</code></p>"
    return (
        f'<tr><td class="cr-number">{step.number}</td><td class="cr-formula">{"".join(formulas)}</td>'
        f'<td class="cr-said">{said}</td></tr>'
    )


def _paths(explanation: Explanation) -> str:
    if not explanation.wants_paths or not explanation.paths:
        return ""
    standing = set(explanation.outline.heads)
    rows = []
    for name, total in explanation.paths.items():
        line = next(i for i in explanation.record.wrt if explanation.name_of(i) == name)
        slope = derivative(explanation.symbol(explanation.graph.outputs[0]), explanation.symbol(line))
        rows.append(f"<tr><td>{mathml(slope)}</td><td><b>{signed(total.total)}</b>: {count_text(total)}</td></tr>")
        for path in total.paths:
            names = r" \gets ".join(explanation.symbol(n) for n in path.nodes if n in standing)
            factors = [v for _, v in explanation.factors(path)]
            rows.append(f"<tr><td>{mathml(names)}</td><td>{escape(factors_text(factors))}</td></tr>")
    return f'<h2>Sum over paths</h2><div class="cr-panel"><table>{"".join(rows)}</table></div>'


def _layers(explanation: Explanation) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(said)}</td></tr>"
        for name, said in layer_rows(explanation)
    )
    return f'<h2>What came to each layer (norms)</h2><div class="cr-panel"><table>{rows}</table></div>' if rows else ""


def _sent(explanation: Explanation) -> str:
    sent = shares(explanation)
    if not sent:
        return ""
    loss = explanation.symbol(explanation.graph.outputs[0])
    rows = "".join(
        f"<tr><td>{mathml(derivative(loss, one.symbol))}</td><td>"
        + ", ".join(
            f"{signed(100 * t.share, 3)} % through {mathml(t.through)}{f' ({escape(t.within)})' if t.within else ''}"
            for t in one.terms
        )
        + "</td></tr>"
        for one in sent
    )
    return f'<h2>What came through which use</h2><div class="cr-panel"><table>{rows}</table></div>'


def update_left(update: Update) -> str:
    """``w ← w − α·∂L/∂w``, as LaTeX."""
    return rf"{update.symbol} \gets {update.formula}"


def _update(explanation: Explanation) -> str:
    rows = "".join(
        f'<tr><td class="cr-formula">{_equation(update_left(u), u.filled or "", None, u.value)}</td></tr>'
        for u in explanation.updates.values()
    )
    rate = number_text(explanation.learning_rate)
    return f'<h2>Update, learning rate α = {rate}</h2><div class="cr-panel"><table>{rows}</table></div>'


def _checks(explanation: Explanation) -> str:
    loss = explanation.symbol(explanation.graph.outputs[0])
    rows = ["<tr><th>derivative</th><th>by the chain rule</th><th>by finite differences</th><th></th></tr>"]
    for line in explanation.record.wrt:
        one = explanation.checks[explanation.name_of(line)]
        slope = mathml(derivative(loss, explanation.symbol(line)))
        rows.append(
            f"<tr><td>{slope} <span class='cr-note'>{one.along}</span></td>"
            f"<td>{signed(one.derivative, 8)}</td><td>{signed(one.difference, 8)}</td>"
            f'<td class="{"cr-good" if one.agrees else "cr-why"}">{one.verdict}</td></tr>'
        )
    return f'<h2>Check</h2><div class="cr-panel"><table>{"".join(rows)}</table></div>'
