"""Messages like a compiler's: what is wrong, the user's line with a caret under the op, cause, evidence and remedy.

::

    the loss is nan: log of 0
      --> model.py:12 in loss
       12 |     return -np.sum(y * np.log(p))
          |                        ^^^^^^^^^
      cause:    the logarithm of 0 is -inf
      evidence: p[2, 3] = 0.0
      remedy:   np.log(np.maximum(x, 1e-12))

A source line is known by its number only, so the caret's column is found by parsing the line and looking for the call
or operator that the op stands for; where there are several, and it is not known which, the whole line is underlined.
"""

from __future__ import annotations

import ast
import linecache
import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.graph.graph import Graph, Source

_OPERATORS: dict[str, tuple[type[ast.AST], ...]] = {
    "add": (ast.Add,), "sub": (ast.Sub,), "mul": (ast.Mult,), "div": (ast.Div,), "pow": (ast.Pow,), "mod": (ast.Mod,),
    "floor_divide": (ast.FloorDiv,), "matmul": (ast.MatMult,), "neg": (ast.USub,), "less": (ast.Lt,),
    "less_equal": (ast.LtE,), "greater": (ast.Gt,), "greater_equal": (ast.GtE,), "equal": (ast.Eq,),
    "not_equal": (ast.NotEq,), "bitwise_and": (ast.BitAnd,), "bitwise_or": (ast.BitOr,),
}  # fmt: skip
_CALLS: dict[str, tuple[str, ...]] = {
    "add": ("add",), "sub": ("subtract",), "mul": ("multiply",), "div": ("divide", "true_divide", "mean", "average",
    "reciprocal"), "pow": ("power", "square", "float_power"), "matmul": ("matmul", "dot", "einsum", "inner"),
    "sqrt": ("sqrt", "std"), "sum": ("sum", "mean"), "cast": ("astype", "cast"), "abs": ("abs", "absolute", "fabs"),
    "neg": ("negative",), "mod": ("mod", "remainder"), "arccos": ("arccos", "acos"), "arcsin": ("arcsin", "asin"),
    "arctanh": ("arctanh", "atanh"), "arccosh": ("arccosh", "acosh"), "arctan2": ("arctan2", "atan2"),
    "max": ("max", "amax"), "min": ("min", "amin"), "maximum": ("maximum", "clip"), "minimum": ("minimum", "clip"),
    "where": ("where", "relu", "clip"), "stop_gradient": ("stop_gradient",), "sigmoid": ("sigmoid", "expit"),
}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One finding in words.  ``rows`` are (label, text); ``caret`` is (column, width) in the source line."""

    title: str
    rows: tuple[tuple[str, str], ...]
    source: Source | None = None
    caret: tuple[int, int] | None = None
    note: str = ""

    @property
    def excerpt(self) -> str:
        """The user's line as it stands in the file; empty where the file can't be read."""
        return "" if self.source is None else linecache.getline(self.source.file, self.source.line).rstrip()


def caret(source: Source | None, op: str, graph: Graph | None = None, index: int = 0) -> tuple[int, int] | None:
    """(column, width) of the op in its source line; None where the line is not known.

    Several like it in one line are told apart by the order in which the graph has them.
    """
    text = "" if source is None else linecache.getline(source.file, source.line)
    stripped = text.strip()
    if not stripped:
        return None
    indent = len(text) - len(text.lstrip())
    found = sorted(_places(text, op))
    if len(found) > 1 and graph is not None:
        alike = [i for i, ln in enumerate(graph.lines) if ln.op.name == op and ln.source == source]
        if len(alike) == len(found):
            column, end, _ = sorted(found, key=lambda place: place[2])[alike.index(index)]
            return column, end - column
    if len(found) == 1:
        column, end, _ = found[0]
        return column, end - column
    return indent, len(stripped)


def _places(text: str, op: str) -> Iterator[tuple[int, int, int]]:
    """(start, end, order of evaluation) of each node of the line that may have recorded ``op``."""
    tree, shift = _parsed(text)
    if tree is None:
        return
    for order, node in enumerate(_evaluated(tree)):
        kind: Any = None
        if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.AugAssign)):
            kind = node.op
        elif isinstance(node, ast.Compare):
            kind = node.ops[0]
        by_operator = kind is not None and isinstance(kind, _OPERATORS.get(op, ()))
        if by_operator or (isinstance(node, ast.Call) and _called(node) in _CALLS.get(op, (op,))):
            start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0)
            line = text.encode()[shift:]  # columns count bytes
            yield len(line[:start].decode()) + shift, len(line[:end].decode()) + shift, order


def _parsed(text: str) -> tuple[ast.AST | None, int]:
    """The line as a tree, alone or as the head or tail of a longer statement; and how far it was indented."""
    shift = len(text) - len(text.lstrip())
    line = text.strip()
    closing = line.rstrip("([{,+-*/@= ")
    for attempt in (line, f"{line} pass", line.rstrip(","), line.rstrip(")],"), closing, f"{line})", f"{line}]"):
        try:
            return ast.parse(attempt), shift
        except (SyntaxError, ValueError):
            continue
    return None, shift


def _evaluated(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes in the order in which Python evaluates them: arguments before what uses them."""
    for child in ast.iter_child_nodes(tree):
        yield from _evaluated(child)
    yield tree


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


# ------------------------------------------------------------------------------------------------------------ writing


def to_text(messages: Sequence[Message]) -> str:
    """Messages as plain text."""
    return "\n\n".join("\n".join("".join(part for part, _ in row) for row in _rows(m)) for m in messages)


def to_rich(messages: Sequence[Message]) -> Any:
    """Messages as a ``rich.text.Text``, coloured.  Needs the package rich."""
    from rich.text import Text

    out = Text()
    for number, message in enumerate(messages):
        out.append("\n" if number else "")
        for row in _rows(message):
            for part, style in row:
                out.append(part, style)
            out.append("\n")
    return out


_STYLES = {"cause": "yellow", "remedy": "green", "tried": "green", "evidence": ""}


def _rows(message: Message) -> Iterator[list[tuple[str, str]]]:
    """Rows of (text, style)."""
    yield [(message.title, "bold red" if message.rows else "bold green")]
    if message.source is not None:
        source = message.source
        yield [("  --> ", "blue"), (f"{os.path.basename(source.file)}:{source.line} in {source.function}", "")]
        if message.excerpt:
            number = str(source.line)
            yield [(f"   {number} | ", "blue"), (message.excerpt, "")]
            if message.caret is not None:
                column, width = message.caret
                yield [(f"   {' ' * len(number)} | ", "blue"), (" " * column + "^" * width, "bold red")]
    width = max((len(label) for label, _ in message.rows), default=0) + 1
    for label, text in message.rows:
        first, *rest = textwrap.wrap(text, 104 - width, break_long_words=False) or [""]
        yield [(f"  {label + ':':<{width}} ", "bold"), (first, _STYLES.get(label, ""))]
        for more in rest:
            yield [(" " * (width + 3), ""), (more, _STYLES.get(label, ""))]


def number(value: Any) -> str:
    """A number for a reader: as short as its dtype allows, at most six digits."""
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return str(array[()])
    if array.dtype.kind == "c":
        return f"{complex(array[()]):.6g}"
    return f"{float(array[()]):.6g}"


def indexed(name: str, element: Sequence[int]) -> str:
    """``x[2, 3]``, or the bare name of a scalar."""
    return f"{name}[{', '.join(map(str, element))}]" if len(element) else name


def listed(items: Sequence[Any], most: int = 8) -> str:
    """``1, 2, 3`` and how many more there are."""
    shown = ", ".join(str(i) for i in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
