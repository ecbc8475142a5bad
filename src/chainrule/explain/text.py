"""An explanation as text: rows with a style each, for a terminal (rich) or, without colours, for any place.

One layout serves both; formulas are Unicode on one line.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from chainrule.explain.formula import array, number_text, shape_text
from chainrule.explain.paths import PathSum
from chainrule.explain.plain import plain
from chainrule.explain.sentences import title
from chainrule.explain.step import Step, Summary, Term, turns
from chainrule.explain.teller import derivative

if TYPE_CHECKING:
    from chainrule.explain.explanation import Explanation, Sent

T = TypeVar("T")
MOST_STEPS = 400
"""Steps of each pass that are written out; of longer ones the first and last half of it."""


class Row(NamedTuple):
    """A line of text: how it looks, where it starts, and where its continuation does."""

    style: str
    text: str
    indent: int = 0
    hanging: int = 0


STYLES = {
    "title": "bold", "head": "bold cyan", "key": "bold yellow", "step": "", "value": "bold", "note": "dim",
    "zero": "red", "good": "green", "bad": "bold red", "blank": "", "turn": "cyan",
}  # fmt: skip


def text(explanation: Explanation, width: int = 100) -> str:
    """The whole explanation, no line longer than ``width`` where it can be broken."""
    return "\n".join(line.rstrip() for row in rows(explanation) for line in _wrapped(row, width)) + "\n"


def _wrapped(row: Row, width: int) -> list[str]:
    first, rest = " " * row.indent, " " * (row.hanging or row.indent)
    lines = textwrap.wrap(
        row.text, max(width, 30), initial_indent=first, subsequent_indent=rest, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\u00a0", " ") for line in lines] or [""]


def print_rich(explanation: Explanation, width: int | None = None) -> None:
    """Print with colours, where the terminal has them."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width, highlight=False)
    for row in rows(explanation):
        for line in _wrapped(row, console.width):
            console.print(Text(line, style=STYLES[row.style]), soft_wrap=True)


def rows(explanation: Explanation) -> list[Row]:
    """All sections, one after the other."""
    sections = [
        _title(explanation), _key(explanation), _symbols(explanation), *_passes(explanation), _paths(explanation),
        _layers(explanation), _sent(explanation), _update(explanation), _checks(explanation),
    ]  # fmt: skip
    found: list[Row] = []
    for section in sections:
        if section:
            found += [*section, Row("blank", "")]
    return found[:-1]


def _title(explanation: Explanation) -> list[Row]:
    given = ", ".join(
        f"{plain(explanation.symbol(i))} = {value_text(explanation.inputs[i])}" for i in range(explanation.graph.inputs)
    )
    if not given or len(given) > 300:  # the table of symbols has them all
        return [Row("title", explanation.function)]
    return [Row("title", explanation.function), Row("note", f"at {given}", 2)]


def _key(explanation: Explanation) -> list[Row]:
    return [Row("head", "Key formula"), Row("key", plain(explanation.key), 2, 6)]


def value_text(value: Any) -> str:
    """A number, a small array in full, or the summary of a large one."""
    if isinstance(value, tuple):
        return f"{len(value)} arrays"
    piece = array(value)
    return plain(piece.latex) if piece is not None else summary_text(Summary.of(value))


def cell_text(value: Any) -> str:
    """The same for a cell of a table, where long rows of numbers have no room."""
    found = value_text(value)
    return found if len(found) <= 44 or isinstance(value, tuple) else summary_text(Summary.of(value))


def summary_text(summary: Summary) -> str:
    """``(64, 128): norm 3.1, from -0.2 to 0.4, 52 % zeros``."""
    if not np.prod(summary.shape, dtype=np.int64):
        return f"{shape_text(summary.shape)}: empty"
    parts = [f"norm {signed(summary.norm, 4)}"]
    if np.isfinite(summary.least):
        parts.append(f"from {signed(summary.least, 4)} to {signed(summary.largest, 4)}")
    if summary.zeros:
        parts.append(f"{100 * summary.zeros:.3g} % zeros")
    if summary.nonfinite:
        parts.append(f"{summary.nonfinite} not finite")
    return f"{shape_text(summary.shape)}: {', '.join(parts)}"


def _symbols(explanation: Explanation) -> list[Row]:
    entries = [("symbol", "what it is", "value", f"∂{plain(explanation.symbol(explanation.graph.outputs[0]))}/∂ it")]
    for line, meaning in symbol_table(explanation):
        gradient = explanation.gradient(line)
        entries.append((plain(explanation.symbol(line)), meaning, cell_text(explanation.value_of(line)),
                        "" if gradient is None else cell_text(gradient)))  # fmt: skip
    widths = [max(len(e[c]) for e in entries) for c in range(3)]
    found = [Row("head", "Symbols")]
    for position, entry in enumerate(entries):
        cells = [entry[c].ljust(min(widths[c], 44)) for c in range(3)]
        text = "\u00a0\u00a0".join(_kept(c) for c in (*cells, entry[3]))
        found.append(Row("step" if position else "note", text, 2, 6))
    return found


def _kept(cell: str) -> str:
    """A table's cell whose blanks textwrap leaves alone."""
    return cell.replace(" ", "\u00a0")


def symbol_table(explanation: Explanation) -> list[tuple[int, str]]:
    """(line, what it is) for each symbol that the steps show."""
    found = []
    graph = explanation.graph
    loss = graph.outputs[0]
    for line in explanation.outline.heads:
        if line not in explanation.outline.symbol or not isinstance(explanation.record.at[line], int):
            continue
        if line < graph.inputs:
            name = graph.input_name(line)
            meaning = f"argument {name}" if name else "an array that the function holds"
            meaning = f"variable {name}" if name and explanation.expression is not None else meaning
        else:
            meaning = "the loss" if line == loss else title(graph, line)
        found.append((line, meaning))
    return found if len(found) <= MOST_STEPS else found[: MOST_STEPS // 2] + found[-MOST_STEPS // 2 :]


def _passes(explanation: Explanation) -> list[list[Row]]:
    forward = [s for s in explanation.chain if s.phase == "forward"]
    places = [place_text(s) for s in forward]
    new = {s.number for s, place, before in zip(forward, places, ["", *places], strict=False) if place != before}
    backward = [s for s in explanation.chain if s.phase != "forward"]
    return [
        [Row("head", "Forward"), *_told(forward, lambda step: _forward_rows(step, step.number in new))],
        [Row("head", "Backward"), *_told(backward, _backward_rows)],
    ]


def _told(steps: list[Step], tell: Any) -> list[Row]:
    told = [[*([Row("turn", heading, 1)] if heading else []), *tell(step)] for heading, step in turns(steps)]
    left_out = "… {} steps in between, all of them in .steps and in to_json() …"
    return [row for rows in shortened(told, lambda count: [Row("note", left_out.format(count), 2)]) for row in rows]


def shortened(told: list[T], left_out: Callable[[int], T]) -> list[T]:
    """The first and the last half of a long list, and between them what is said of the number left out."""
    half = MOST_STEPS // 2
    return told if len(told) <= MOST_STEPS else [*told[:half], left_out(len(told) - MOST_STEPS), *told[-half:]]


def term_text(term: Term) -> str:
    """``z₂ (t = 2 of 5)``."""
    return plain(term.through) + (f" ({term.within})" if term.within else "")


def equation(*sides: str) -> str:
    """Sides joined by =, without repeating one."""
    kept: list[str] = []
    for side in sides:
        if side and side not in kept[-1:]:
            kept.append(side)
    return " = ".join(kept)


def step_equation(step: Step) -> str:
    """``z = w·x + b = 0.5·2 + 0 = 1``."""
    return equation(plain(step.symbol), plain(step.formula), plain(step.filled) if step.filled else "",
                    value_text(step.value))  # fmt: skip


def local_equation(step: Step) -> str:
    """``∂a/∂z = [z > 0] = [1 > 0] = 1``."""
    assert step.local is not None
    local = step.local
    return equation(plain(local.symbol), plain(local.rule), plain(local.filled) if local.filled else "",
                    value_text(local.value))  # fmt: skip


def place_text(step: Step) -> str:
    """Where the user's code says this."""
    if step.source is None:
        return ""
    file = step.source.file.replace("\\", "/").rpartition("/")[2]
    where = "" if file.startswith("<") else f"{file}:{step.source.line}"
    return ": ".join(part for part in (where, step.code or "") if part)


def _forward_rows(step: Step, with_place: bool) -> list[Row]:
    found = [Row("step", f"{step.number:>3}  {step_equation(step)}", 1, 10)]
    if step.shapes:
        found.append(Row("note", f"shapes: {step.shapes}", 6, 10))
    place = place_text(step) if with_place else ""
    found.append(Row("note", step.sentence + (f"  [{place}]" if place else ""), 6, 10))
    return found


def _backward_rows(step: Step) -> list[Row]:
    found = []
    number = f"{step.number:>3}  "
    plain_product = step.local is not None and step.formula == step.local.rule
    if step.local is not None and not plain_product:
        found.append(Row("step", number + local_equation(step), 1, 10))
        number = "     "
    found.append(Row("step", number + step_equation(step), 1, 10))
    if step.shapes:
        found.append(Row("note", f"shapes: {step.shapes}", 6, 10))
    found.append(Row("note", step.sentence, 6, 10))
    if step.why_zero:
        found.append(Row("zero", f"zero because {step.why_zero}", 6, 10))
    return found


def _paths(explanation: Explanation) -> list[Row]:
    if not explanation.wants_paths or not explanation.paths:
        return []
    found = [Row("head", "Sum over paths")]
    for name, total in explanation.paths.items():
        line = next(i for i in explanation.record.wrt if explanation.name_of(i) == name)
        slope = plain(derivative(explanation.symbol(explanation.graph.outputs[0]), explanation.symbol(line)))
        found.append(Row("step", f"{slope} = {signed(total.total)}: {count_text(total)}", 2, 6))
        found += [Row("note", path_text(explanation, path), 6, 10) for path in total.paths]
    return found


def count_text(total: PathSum) -> str:
    """How many paths, and what those that are not listed add."""
    if not total.count:
        return "no path leads there"
    text = f"{total.count:,} path{'s' * (total.count > 1)}"
    if total.count > len(total.paths):
        text += f", the {len(total.paths)} largest listed; the others add {signed(total.rest)}"
    return text


def path_text(explanation: Explanation, path: Any) -> str:
    """``L ← a ← z ← w:  2 · 1 · 2 = 4``."""
    standing = [n for n in path.nodes if n in set(explanation.outline.heads)]
    names = " ← ".join(plain(explanation.symbol(n)) for n in standing)
    return f"{names}:  {factors_text([v for _, v in explanation.factors(path)])}"


def factors_text(factors: list[float]) -> str:
    """``2·(−1)·2 = −4``."""
    total = signed(math.prod(factors))
    if len(factors) < 2:
        return total
    return "·".join(f"({signed(v)})" if v < 0 else signed(v) for v in factors) + f" = {total}"


def signed(value: float, digits: int = 6) -> str:
    """A number with a minus sign instead of a hyphen."""
    return number_text(value, digits).replace("-", "−")


def shares(explanation: Explanation) -> list[Sent]:
    """The values of several uses whose shares are told: of numbers only where paths are asked for."""
    if explanation.is_scalar and not explanation.wants_paths:
        return []
    return [s for s in explanation.sent if any(not np.isnan(t.share) for t in s.terms)][:MOST_STEPS]


def layer_rows(explanation: Explanation) -> list[tuple[str, str]]:
    """(layer, what came to it over which of its uses), where there are several layers of arrays, or uses of one."""
    layers = explanation.layers
    if explanation.is_scalar or not (explanation.wants_paths or len(layers) > 1):
        return []
    loss = plain(explanation.symbol(explanation.graph.outputs[0]))
    found = []
    for layer in layers[:MOST_STEPS]:
        uses = []
        for use in layer.uses:
            arrived = f"‖∂{loss}/∂{plain(use.symbol)}‖ = {signed(use.arriving, 3)}"
            arrived += f" ({use.within})" if use.within else ""
            share = "" if len(layer.uses) < 2 or math.isnan(use.share) else f", {signed(100 * use.share, 3)} % of it"
            uses.append(f"{arrived} sends {signed(use.sent, 3)}{share}")
        found.append((layer.name, f"gradient {signed(layer.gradient, 3)}: {'; '.join(uses) or 'no path leads there'}"))
    return found


def _layers(explanation: Explanation) -> list[Row]:
    rows = layer_rows(explanation)
    head = [Row("head", "What came to each layer (norms)")] if rows else []
    return [*head, *(Row("step", f"{name}: {said}", 2, 6) for name, said in rows)]


def _sent(explanation: Explanation) -> list[Row]:
    sent = shares(explanation)
    found = [Row("head", "What came through which use")] if sent else []
    loss = explanation.symbol(explanation.graph.outputs[0])
    for one in sent:
        parts = ", ".join(
            f"{signed(100 * t.share, 3)} % through {term_text(t)}" for t in one.terms
        )
        found.append(Row("step", f"{plain(derivative(loss, one.symbol))}: {parts}", 2, 6))
    if explanation.wants_paths and not explanation.is_scalar:
        found.append(Row("note", "The paths to one weight: element_paths(name, index) of the explanation.", 2, 6))
    return found


def _update(explanation: Explanation) -> list[Row]:
    found = [Row("head", f"Update, with learning rate α = {number_text(explanation.learning_rate)}")]
    for update in explanation.updates.values():
        sides = equation(plain(update.formula), plain(update.filled) if update.filled else "",
                         value_text(update.value))  # fmt: skip
        found.append(Row("step", f"{plain(update.symbol)} ← {sides}", 2, 6))
    return found


def _checks(explanation: Explanation) -> list[Row]:
    found = [Row("head", "Check by finite differences")]
    loss = explanation.symbol(explanation.graph.outputs[0])
    for line in explanation.record.wrt:
        one = explanation.checks[explanation.name_of(line)]
        words = {"kink": "a kink: the slopes left and right differ"}.get(one.verdict, one.verdict)
        slope = plain(derivative(loss, explanation.symbol(line)))
        along = f" {one.along}" if one.along else ""
        said = f"{slope}{along}: {signed(one.derivative, 8)}, by differences {signed(one.difference, 8)}: {words}"
        found.append(Row("good" if one.agrees else "bad", said, 2, 6))
    return found
