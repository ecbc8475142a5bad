"""Own data: points set by hand, and tables pasted as CSV.

Points lie on the plane; a table's two columns are put on it by a straight line each, from their range to [-5, 5].
Labels with at most 10 different values are classes, others are numbers, put on [-1, 1] in the same way.  Which points
are tested on does not change when others are added: it is decided by their number (multiples of the golden ratio,
which spread evenly at any count); fewer than 10 points are all trained on.

Does not do: missing values and dates, which the command line's tables know (``chainrule.data``).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.base.errors import DataError
from chainrule.play.datasets import Dataset
from chainrule.play.settings import LIMITS, is_text, short

Array = Any
Point = tuple[float, float, float]

_GOLDEN = 0.6180339887498949
_FEW = 10


def dataset_of(points: Sequence[Point], problem: str, percent: float, names: Sequence[str] = (),
               spans: Sequence[tuple[float, float]] = ()) -> Dataset:  # fmt: skip
    """Own points as data; those that are trained on come first.  No points at all are a data set without rows."""
    table = np.array(points, np.float64).reshape(-1, 3)
    share = (np.arange(1, len(table) + 1) * _GOLDEN) % 1.0
    test = (share >= percent / 100) & (len(table) >= _FEW)
    order = np.argsort(test, kind="stable")
    labels, classes = table[:, 2], 0
    if problem == "classification":
        classes = classes_of(labels)
    train = int(np.sum(~test))
    given = tuple(names) or ("x1", "x2", "label")
    return Dataset(table[order, :2], labels[order], train, classes, False, given, tuple(spans))


def classes_of(labels: Array) -> int:
    """The number of classes: 2 for labels ±1, else the largest label and one.  Raises DataError for other labels."""
    if not len(labels) or np.isin(labels, (-1.0, 1.0)).all():
        return 2
    if (labels != np.floor(labels)).any() or labels.min() < 0 or labels.max() >= LIMITS["classes"]:
        bad = labels[(labels != np.floor(labels)) | (labels < 0) | (labels >= LIMITS["classes"])]
        raise DataError("a label is not a class", expected=f"-1 and 1, or 0 to {LIMITS['classes'] - 1:g}",
                        got=short(float(bad[0]) if len(bad) else float(labels.min())), where="own points",
                        fix="choose problem regression for labels that are numbers")  # fmt: skip
    return max(3, int(labels.max()) + 1)


def checked_points(rows: Any) -> list[Point]:
    """Rows from outside as points.  Raises DataError."""
    if not isinstance(rows, list) or len(rows) > LIMITS["points"]:
        raise DataError("these are no points", expected=f"a list of at most {LIMITS['points']:,} rows [x1, x2, label]",
                        got=short(rows), where="points", fix="leave some out")  # fmt: skip
    found = []
    for number, row in enumerate(rows):
        good = isinstance(row, (list, tuple)) and len(row) == 3 and all(
            isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= 1e6 for v in row
        )  # fmt: skip
        if not good:
            raise DataError("this is no point", expected="[x1, x2, label], numbers up to a million", got=short(row),
                            where=f"points[{number}]", fix="correct it or leave it out")  # fmt: skip
        found.append(rounded(*row))
    return found


def rounded(x1: float, x2: float, label: float) -> Point:
    """A point in float32, which an address and a kept state hold exactly."""
    return float(np.float32(x1)), float(np.float32(x2)), float(np.float32(label))


# --------------------------------------------------------------------------------------------------------------- CSV


class Table:
    """A pasted table: ``columns`` (names) and ``rows`` (texts)."""

    def __init__(self, text: str) -> None:
        self.columns, self.rows = _read(text)

    def position(self, column: int | str | None, default: int) -> int:
        """The position of a column given by name or number."""
        if column is None:
            return default
        if isinstance(column, str) and column in self.columns:
            return self.columns.index(column)
        if isinstance(column, (int, float)) and 0 <= column < len(self.columns):
            return int(column)
        raise DataError("there is no such column", expected=f"one of {short(self.columns)}, or its number from 0",
                        got=short(column), where="CSV", fix="choose another column")  # fmt: skip

    def numbers(self, column: int) -> Array:
        """A column as numbers.  Raises DataError with row and column of what is none."""
        found = []
        for number, row in enumerate(self.rows):
            text = row[column].strip()
            try:
                value = float(text) if text.isascii() and "_" not in text else math.nan
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise DataError("a cell is not a number", expected="a finite number", got=short(text),
                                where=f"row {number + 1}, column {short(self.columns[column])}",
                                fix="correct it, or choose another column")  # fmt: skip
            found.append(value)
        return np.array(found)

    def is_numeric(self, column: int) -> bool:
        """Whether a column's cells are all numbers."""
        try:
            self.numbers(column)
        except DataError:
            return False
        return True


def _read(text: str) -> tuple[list[str], list[list[str]]]:
    if "\0" in text or not is_text(text):
        raise _unreadable("text", "a NUL character" if "\0" in text else "half of a character")
    head = text[:4000]
    lines = [line for line in head.splitlines() if line.strip()]
    if not lines:
        raise _unreadable("at least one line", "nothing")
    mark = max(",;\t", key=lambda c: (lines[0].count(c), ",;\t".index(c) == 0))
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=mark) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise _unreadable("CSV", str(error)) from None
    if not rows:
        raise _unreadable("at least one row", "none")
    wide = len(rows[0])
    if not 2 <= wide <= LIMITS["csv_columns"]:
        raise DataError("the table has no two columns" if wide < 2 else "the table has too many columns",
                        expected=f"2 to {LIMITS['csv_columns']} columns, separated by comma, semicolon or tab",
                        got=f"{wide}", where="CSV, row 1", fix="paste a table with a header line")  # fmt: skip
    for number, row in enumerate(rows):
        if len(row) != wide:
            raise DataError("a row has another number of columns", expected=f"{wide}, as in the first row",
                            got=f"{len(row)}", where=f"CSV, row {number + 1}", fix="correct the row")  # fmt: skip
    named = not any(_is_number(cell) for cell in rows[0])
    columns = [cell.strip()[:60] or f"column {i + 1}" for i, cell in enumerate(rows[0])] if named else [
        f"column {i + 1}" for i in range(wide)
    ]  # fmt: skip
    rows = rows[1:] if named else rows
    if not rows:
        raise _unreadable("rows of numbers behind the header", "a header alone")
    if len(rows) > LIMITS["points"]:
        raise DataError("the table has too many rows", expected=f"at most {LIMITS['points']:,}", got=f"{len(rows):,}",
                        where="CSV", fix="paste fewer rows")  # fmt: skip
    return columns, rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _unreadable(expected: str, got: str) -> DataError:
    return DataError("the table can't be read", expected=expected, got=short(got), where="CSV",
                     fix="paste lines such as  height,weight,label")  # fmt: skip


def points_of(
    table: Table, columns: Sequence[int | str] | None, target: int | str | None, problem: str | None
) -> tuple[list[Point], str, dict[str, Any], list[tuple[float, float]]]:
    """(points, problem, what was chosen, ranges) of two columns and a label; what is None is chosen.

    Raises DataError, with row and column, for cells that are no numbers and more classes than there may be.
    """
    numeric = [i for i in range(len(table.columns)) if table.is_numeric(i)]
    last = len(table.columns) - 1 if len(table.columns) > 2 else -1
    goal = table.position(target, last)
    free = [i for i in numeric if i != goal]
    if columns is None and len(free) < 2:
        raise DataError("the table has no two columns of numbers besides the label", expected="two columns of numbers",
                        got=f"{len(free)}", where="CSV", fix="choose the columns and the label")  # fmt: skip
    first, second = (
        (free[0], free[1]) if columns is None
        else (table.position(columns[0], 0), table.position(columns[1], 1))
    )  # fmt: skip
    x, x_span = _on(table.numbers(first), 5.0)
    y, y_span = _on(table.numbers(second), 5.0)
    spans = [x_span, y_span]
    texts = [row[goal].strip() for row in table.rows] if goal >= 0 else ["1"] * len(table.rows)
    kinds = sorted(set(texts), key=lambda t: (not _is_number(t), float(t) if _is_number(t) else 0.0, t))
    few = len(kinds) <= LIMITS["classes"]
    problem = problem or ("classification" if few else "regression")
    names: list[str] = []
    if problem == "classification":
        if not few:
            raise DataError("the label has too many values for classes", expected=f"at most {LIMITS['classes']}",
                            got=f"{len(kinds)}", where=f"CSV, column {short(table.columns[goal])}",
                            fix="choose another label, or problem regression")  # fmt: skip
        index = {text: i for i, text in enumerate(kinds)}
        labels = np.array([index[t] for t in texts], np.float64)
        names = [k[:60] for k in kinds]
        if len(kinds) <= 2:
            labels = 2 * labels - 1
    else:
        labels, span = _on(table.numbers(goal), 1.0)
        spans.append(span)
    chosen = {
        "columns": [table.columns[first], table.columns[second]],
        "target": table.columns[goal] if goal >= 0 else None, "problem": problem, "classes": names,
    }  # fmt: skip
    return [(float(a), float(b), float(c)) for a, b, c in zip(x, y, labels, strict=True)], problem, chosen, spans


def _on(values: Array, reach: float) -> tuple[Array, tuple[float, float]]:
    """Values put on [-reach, reach], and their range before."""
    low, high = float(values.min()), float(values.max())
    width = high - low
    if not width or not math.isfinite(width):
        return np.zeros(len(values)), (low, high)
    return (values - low) / width * (2 * reach) - reach, (low, high)
