"""What the values of a graph are called: symbols for inputs, for the user's own variables, and for the rest.

A value has the name of the variable the user's code gives it (``z = w*x + b``), found in the source line it comes
from.  Nameless ones get the usual letters: z what goes into a non-linear function, a what comes out, u the others, L
the loss.  Names that occur several times are numbered.

Reads the source text if it is there; runs nothing.
"""

from __future__ import annotations

import ast
import linecache
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chainrule.explain.latex import IDENTIFIERS
from chainrule.graph.graph import Graph, Source

_GREEK = {name for name in IDENTIFIERS if name not in ("partial", "infty")}
_SHORT = {"weight": "W", "bias": "b", "kernel": "K", "scale": "s"}


@dataclass(frozen=True)
class Statement:
    """A statement of the user's code: its text, the variable it assigns ("" for none), how many operations it has."""

    text: str
    target: str
    operations: int
    first: int


def identifier(name: str) -> str:
    r"""A variable's name as LaTeX: ``w1`` is w with a 1 below, ``x_train`` x with "train" below, ``loss`` upright."""
    match = re.fullmatch(r"([^\W_]+?)_?(\d*)", name)
    if match:
        word, number = match.groups()
        return _word(word) + (f"_{{{number}}}" if number else "")
    head, _, tail = name.strip("_").partition("_")
    if not head:
        return r"\mathrm{value}"
    below = _word(tail) if len(tail) == 1 else rf"\mathrm{{{_clean(tail)}}}"
    return f"{_word(head)}_{{{below}}}"


def _word(word: str) -> str:
    if len(word) == 1 and word.isalpha():
        return word if word.isascii() else rf"\mathrm{{{_clean(word)}}}"
    return rf"\{word}" if word in _GREEK else rf"\mathrm{{{_clean(word)}}}"


def _clean(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", " ", ascii_text).strip() or "value"


def numbered(latex: str, number: int) -> str:
    """``latex`` with a number below, behind what stands there."""
    if latex.endswith("}") and "_{" in latex:
        return f"{latex[:-1]},{number}}}"
    return f"{latex}_{{{number}}}"


def input_symbols(names: Sequence[str]) -> list[str]:
    """One symbol per input; the leaves of a model are W₁, b₁, W₂, … in order."""
    words = [_last_word(name) for name in names]
    plain = [identifier(_SHORT.get(word, word)) for word in words]
    total = {latex: plain.count(latex) for latex in plain}
    count: dict[str, int] = {}
    found = []
    for latex in plain:
        count[latex] = count.get(latex, 0) + 1
        found.append(latex if total[latex] == 1 else numbered(latex, count[latex]))
    return found


def _last_word(name: str) -> str:
    """The last field or key of a path: ``weight`` of ``m.layers[0].weight``; what it is in, for a bare number."""
    words = [w for w in re.findall(r"[^\W\d]\w*", name) if w not in ("layers", "parts")]
    return words[-1] if words else "c"


# ------------------------------------------------------------------------------------------------------- user's lines


@lru_cache(maxsize=256)
def _statements(text: str) -> dict[int, Statement]:
    """Per line number of a file, the innermost simple statement there."""
    found: dict[int, Statement] = {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    rows = text.splitlines()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            name = targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else ""
            if isinstance(node.value, (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp, ast.GeneratorExp)):
                name = ""  # what is assigned is no array
            operations = sum(isinstance(n, (ast.BinOp, ast.UnaryOp, ast.Call)) for n in ast.walk(node.value))
            last = node.end_lineno or node.lineno
            said = " ".join(row.strip() for row in rows[node.lineno - 1 : last])
            for row in range(node.lineno, last + 1):
                found[row] = Statement(said, name, max(1, operations), node.lineno)
    return found


class Code:
    """The user's source text, by file; ``texts`` holds what is no file (an expression's statements)."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self.texts = dict(texts or {})

    def statement(self, source: Source | None) -> Statement | None:
        """The statement that ``source`` points at, or None where its text is not to be had."""
        if source is None:
            return None
        if source.file not in self.texts:
            self.texts[source.file] = "".join(linecache.getlines(source.file))
        found = _statements(self.texts[source.file]).get(source.line)
        inner = source.function.startswith("<") and source.function != "<module>"  # <lambda>, <listcomp>: no assignment
        return replace(found, target="") if found is not None and inner else found

    def text(self, source: Source | None) -> str | None:
        """The text of the statement at ``source``."""
        found = self.statement(source)
        return None if found is None else found.text


def assigned_names(graph: Graph, code: Code) -> dict[int, str]:
    """The lines that the user's code gives a name to: per line of the graph, the variable.

    The lines of one statement stand together; the last of them is the value that is assigned.  A statement in a loop
    appears as its block of ops repeated: each repetition ends in a value of that name.
    """
    found: dict[int, str] = {}
    run: list[int] = []
    current: tuple[str, int] | None = None
    statement: Statement | None = None

    def close() -> None:
        if statement is None or not statement.target or not run:
            return
        ops = [graph.lines[i].op.name for i in run]
        block = _block(ops, statement.operations)
        for end in range(block - 1, len(run), block):
            found[run[end]] = statement.target

    for index in range(graph.inputs, len(graph.lines)):
        line = graph.lines[index]
        if line.source is None:
            continue
        here = code.statement(line.source)
        key = None if here is None else (line.source.file, here.first)
        if key != current:
            close()
            run, current, statement = [], key, here
        run.append(index)
    close()
    return found


def _block(ops: Sequence[str], least: int) -> int:
    """The shortest block, of ``least`` ops or more, that ``ops`` is a repetition of."""
    count = len(ops)
    for size in range(max(1, least), count // 2 + 1):
        if count % size == 0 and all(ops[i] == ops[i - size] for i in range(size, count)):
            return size
    return count
