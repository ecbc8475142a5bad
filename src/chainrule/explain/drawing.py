"""The drawn graph: SVG with a box per step (value and gradient) and a local derivative on each edge."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.explain.formula import number_text, shape_text
from chainrule.explain.layout import Box, Drawing, layout
from chainrule.explain.plain import plain
from chainrule.explain.step import Step, Summary
from chainrule.explain.style import GRAPH_CSS
from chainrule.explain.text import signed, step_equation

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation

WIDTH, HEIGHT = 112, 52
_ACROSS, _DOWN, _MARGIN = 168, 76, 28
RANKS_PER_ROW = 7


class _Sheet:
    """Where everything is, in pixels."""

    def __init__(self, drawing: Drawing) -> None:
        self.boxes = drawing.boxes
        rows: dict[int, list[Box]] = {}
        for box in drawing.boxes:
            rows.setdefault(box.rank // RANKS_PER_ROW, []).append(box)
        self.top: dict[int, float] = {}
        y = float(_MARGIN)
        for row in sorted(rows):
            heights = [b.height for b in rows[row]]
            self.top[row] = y - min(heights) * _DOWN
            y += (max(heights) - min(heights)) * _DOWN + HEIGHT + 44
        ranks = max((b.rank for b in drawing.boxes), default=0)
        self.width = 2 * _MARGIN + (min(ranks, RANKS_PER_ROW - 1)) * _ACROSS + WIDTH
        self.height = y

    def corner(self, box: Box) -> tuple[float, float]:
        """The upper left corner of a box."""
        row = box.rank // RANKS_PER_ROW
        return _MARGIN + (box.rank % RANKS_PER_ROW) * _ACROSS, self.top[row] + box.height * _DOWN


def svg(explanation: Explanation, identity: str = "g") -> str:
    """The graph as an ``<svg>`` element; ``identity`` makes its ids unique on a page."""
    drawing = layout(explanation.outline)
    sheet = _Sheet(drawing)
    locals_ = {
        (s.line, s.through): s for s in explanation.chain if s.phase == "backward" and s.through is not None
    }  # fmt: skip
    told = {s.line: s for s in explanation.chain if s.phase == "forward"}
    edges = _edges(explanation, drawing, sheet, locals_, identity)
    boxes = "".join(_box(explanation, sheet, box, told) for box in drawing.boxes)
    label = f"Graph of {explanation.function[:80]}: {len(drawing.boxes)} boxes; the tables hold the same numbers"
    return (
        f'<svg class="cr-graph" viewBox="0 0 {sheet.width:.0f} {sheet.height:.0f}" width="{sheet.width:.0f}" '
        f'height="{sheet.height:.0f}" role="img" aria-label="{escape(label)}">'
        f'<defs><marker id="{identity}-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 8 4 0 8z" class="cr-tip"/></marker></defs>{edges}{boxes}</svg>'
    )


def standalone(explanation: Explanation) -> str:
    """The graph as an SVG file of its own, with its style."""
    found = svg(explanation)
    first, _, rest = found.partition(">")
    return f'{first} xmlns="http://www.w3.org/2000/svg"><style>{GRAPH_CSS}</style>{rest}\n'


def _edges(
    explanation: Explanation, drawing: Drawing, sheet: _Sheet, steps: dict[tuple[int, int], Step], identity: str
) -> str:
    found = []
    incoming: dict[int, list[str]] = {}
    outgoing: dict[int, list[str]] = {}
    for a, b, used, user in drawing.edges:
        start, end = drawing.boxes[a], drawing.boxes[b]
        step = steps.get((used, user))
        kind = "cr-edge" if step is not None else "cr-edge cr-cut"
        if step is not None and step.why_zero:
            kind += " cr-zero"
        far = start.lines[0] < explanation.graph.inputs and end.rank - start.rank > 2
        if far or start.rank // RANKS_PER_ROW != end.rank // RANKS_PER_ROW:
            incoming.setdefault(b, []).append(_name(explanation, start))
            outgoing.setdefault(a, []).append(_name(explanation, end))
            continue
        (x0, y0), (x1, y1) = sheet.corner(start), sheet.corner(end)
        x0, y0, y1 = x0 + WIDTH, y0 + HEIGHT / 2, y1 + HEIGHT / 2
        bend = max(24.0, (x1 - x0) / 2)
        found.append(
            f'<path class="{kind}" marker-end="url(#{identity}-arrow)" '
            f'd="M{x0:.1f} {y0:.1f}C{x0 + bend:.1f} {y0:.1f} {x1 - bend:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"/>'
        )
        label = _edge_label(step)
        if label:
            x, y = (x0 + x1) / 2, (y0 + y1) / 2 - 5
            found.append(f'<text class="cr-local" x="{x:.1f}" y="{y:.1f}">{escape(label)}</text>')
    for box, names in incoming.items():
        x, y = sheet.corner(drawing.boxes[box])
        found.append(_far(x + 2, y - 5, f"{_listed(names)} ↘", "start"))
    for box, names in outgoing.items():
        x, y = sheet.corner(drawing.boxes[box])
        found.append(_far(x + WIDTH - 2, y + HEIGHT + 13, f"↘ {_listed(names)}", "end"))
    return "".join(found)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")


def _far(x: float, y: float, text: str, anchor: str) -> str:
    """The name of the other end of an edge that is not drawn."""
    return f'<text class="cr-far" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _edge_label(step: Step | None) -> str:
    """The local derivative: a number, or for arrays the norm of what is passed on."""
    if step is None:
        return ""
    if step.local is not None and np.ndim(step.local.value) == 0:
        return signed(float(np.real(step.local.value)), 3)
    return "" if isinstance(step.value, tuple) else f"‖{signed(Summary.of(step.value).norm, 2)}‖"


def _name(explanation: Explanation, box: Box) -> str:
    if box.repeats > 1:
        return f"× {box.repeats}"
    return plain(explanation.symbol(box.lines[0]))


def _number(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{len(value)} arrays"
    if np.ndim(value) == 0:
        item = np.asarray(value).item()
        return signed(item, 3) if not isinstance(item, complex) else f"{item:.3g}"
    return shape_text(np.shape(value))


def _gradient_text(value: Any) -> str:
    if value is None:
        return ""
    return f"∂ {_number(value)}" if np.ndim(value) == 0 else f"‖∂‖ {number_text(Summary.of(value).norm, 3)}"


def _box(explanation: Explanation, sheet: _Sheet, box: Box, told: dict[int, Step]) -> str:
    x, y = sheet.corner(box)
    if box.repeats > 1:
        return _stack(explanation, box, x, y)
    line = box.lines[0]
    value, gradient = explanation.value_of(line), explanation.gradient(line)
    kind = "cr-step"
    if line < explanation.graph.inputs:
        kind = "cr-weight" if line in explanation.record.wrt else "cr-data"
    elif line == explanation.graph.outputs[0]:
        kind = "cr-loss"
    if gradient is not None and not np.any(np.asarray(gradient) != 0):
        kind += " cr-dead"
    about = step_equation(told[line]) if line in told else f"{plain(explanation.symbol(line))} = {_number(value)}"
    return (
        f'<g class="{kind}"><title>{escape(about)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        + _words("cr-symbol", x + 10, y + 21, _fitted(plain(explanation.symbol(line)), 9))
        + _words("cr-value", x + WIDTH - 10, y + 21, _fitted(_number(value), 10))
        + _words("cr-gradient", x + WIDTH - 10, y + 42, _gradient_text(gradient))
        + "</g>"
    )


def _words(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _fitted(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _stack(explanation: Explanation, box: Box, x: float, y: float) -> str:
    """Collapsed layers: three sheets, the number of repetitions, the range of gradient norms in them."""
    steps = [i for i in box.lines if i >= explanation.graph.inputs]
    norms = [Summary.of(g).norm for i in steps if (g := explanation.gradient(i)) is not None]
    told = f"{number_text(min(norms), 2)} … {number_text(max(norms), 2)}" if norms else ""
    first, last = plain(explanation.symbol(steps[0])), plain(explanation.symbol(steps[-1]))
    about = f"{box.repeats} more layers like the one before: {first} to {last}, {len(steps)} steps"
    about += f"; gradient norms {told}" if told else ""
    sheets = "".join(
        f'<rect x="{x + d:.1f}" y="{y + d:.1f}" width="{WIDTH - 6}" height="{HEIGHT - 6}" rx="8"/>' for d in (6, 3, 0)
    )
    return (
        f'<g class="cr-stack"><title>{escape(about)}</title>{sheets}'
        + _words("cr-symbol", x + 10, y + 20, f"× {box.repeats}")
        + _words("cr-value", x + WIDTH - 14, y + 20, "layers" if box.repeats < 100 else "")
        + _words("cr-gradient", x + WIDTH - 14, y + 38, _fitted(told, 17))
        + "</g>"
    )
