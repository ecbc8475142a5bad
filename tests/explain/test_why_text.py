"""The caret stands under the op that is meant, also where a line holds several like it or is part of a statement."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.explain.why_text import Message, caret, indexed, listed, number, to_text
from chainrule.graph.graph import Source


def under(line: str, op: str, tmp_path: Path) -> str:
    """The part of ``line`` that the caret for ``op`` stands under."""
    path = tmp_path / f"code{abs(hash((line, op)))}.py"
    path.write_text(f"{line}\n", encoding="utf-8")
    linecache.checkcache()
    place = caret(Source(str(path), 1, "f"), op)
    assert place is not None
    column, width = place
    return line[column : column + width]


@pytest.mark.parametrize(
    ("line", "op", "part"),
    [
        ("    y = np.log(p) * w", "log", "np.log(p)"),
        ("    y = np.log(p) * w", "mul", "np.log(p) * w"),
        ("    y = (a / b).sum()", "div", "a / b"),
        ("    return -np.sum(y ** 2)", "pow", "y ** 2"),
        ("    return -np.sum(y ** 2)", "neg", "-np.sum(y ** 2)"),
        ("    h = nn.relu(x @ w + b)", "where", "nn.relu(x @ w + b)"),
        ("    h = nn.relu(x @ w + b)", "matmul", "x @ w"),
        ("    z = x.astype(np.float16)", "cast", "x.astype(np.float16)"),
        ("    if np.any(x > 0):", "greater", "x > 0"),
        ("    x /= n", "div", "x /= n"),
        ("        np.sqrt(v),", "sqrt", "np.sqrt(v)"),  # one line of a longer call
        ("    total = np.sum(", "sum", "total = np.sum("),  # the call goes on below
        ("    é = np.exp(ü) + 1", "exp", "np.exp(ü)"),  # columns count characters, not bytes
        ("    y = np.log(a) + np.log(b)", "log", "y = np.log(a) + np.log(b)"),  # which of the two is not known
        ("    y = f(a)", "log", "y = f(a)"),  # inside of a function of a library
    ],
)
def test_the_caret(line: str, op: str, part: str, tmp_path: Path) -> None:
    assert under(line, op, tmp_path) == part


def test_two_alike_in_one_line_are_told_apart_by_their_order() -> None:
    def f(a: Any, b: Any) -> Any:
        return np.log(a + 1) + np.log(b)

    found = cr.find_nonfinite(f, 1.0, 0.0)
    column, width = found.caret
    assert found.message().excerpt[column : column + width] == "np.log(b)"
    found = cr.find_nonfinite(f, -1.0, 1.0)
    column, width = found.caret
    assert found.message().excerpt[column : column + width] == "np.log(a + 1)"


def test_without_a_file() -> None:
    source = Source("<nowhere>", 3, "f")
    assert caret(source, "log") is None
    assert caret(None, "log") is None
    message = Message("it is nan", (("cause", "because"),), source)
    assert to_text([message]) == "it is nan\n  --> <nowhere>:3 in f\n  cause: because"


def test_long_rows_are_wrapped() -> None:
    text = to_text([Message("title", (("cause", "word " * 40), ("remedy", "short")))])
    rows = text.splitlines()
    assert max(map(len, rows)) <= 110
    assert rows[1].startswith("  cause:  word")
    assert rows[2].startswith("          word")


def test_words() -> None:
    assert indexed("x", (1, 2)) == "x[1, 2]"
    assert indexed("x", ()) == "x"
    assert listed([1, 2, 3], 2) == "1, 2 and 1 more"
    assert (number(np.float32(0.1)), number(7), number(True), number(1e300), number(np.nan)) == (
        "0.1", "7", "True", "1e+300", "nan",
    )  # fmt: skip
