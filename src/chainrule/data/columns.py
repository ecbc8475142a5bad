"""Raw columns, and how one becomes numbers: type inference, missing values, one-hot codes, logarithm, standardisation.

numeric      missing -> median of the train rows (and an indicator column, if any train row was missing);
             x -> log(1 + x/u), u the median of the positive values, when x >= 0 and that undoes a heavy tail;
             then (x - mean) / standard deviation, all of the train rows, cut at a million deviations.  A column that
             is constant in the train rows becomes 0 everywhere.
categorical  one 0/1 column per category of the train rows, the most frequent first cut at ``MAX_CATEGORIES``; missing
             is a category of its own; a category that was not in the train rows gives all zeros.

Does not do: dates, free text, decimal commas, imputation from other columns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError

Column = Sequence[Any] | NDArray[Any]
Kind = Literal["numeric", "categorical", "ignore"]
KINDS: tuple[Kind, ...] = ("numeric", "categorical", "ignore")

MISSING_TEXTS = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "?", "<na>", "missing"})
MAX_CATEGORIES = 64
MISSING = "(missing)"

# A column whose values are numbers in this share of the rows, but not in all, is more likely a mistake than text.
_NEARLY_NUMERIC = 0.95
_LARGEST = 1e30  # squares of larger numbers leave float32, and no measurement is that large
_FARTHEST = 1e6  # deviations from the mean; no train row is that far, a new row might be
_HEAVY_TAIL = 2.0  # skewness from which a logarithm is tried


class RawTable(Mapping[str, Column]):
    """Columns by name as they stand in a file: lists of text (CSV) or arrays (NPZ), all of one length.

    ``lines`` are the line numbers of the rows in a text file, ``groups`` the column names that an NPZ array of shape
    (n, k) was cut into.  An array of shape (n, height, width) stays one column: pictures.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        *,
        source: str,
        lines: Sequence[int] | None = None,
        groups: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self.columns = dict(columns)
        self.source = source
        self.lines = lines
        self.groups = dict(groups or {})
        self.rows = len(next(iter(self.columns.values()))) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"RawTable({self.source!r}, {self.rows} rows, columns {listed(self.columns)})"

    def take(self, rows: NDArray[np.intp]) -> RawTable:
        """The rows at the given indices."""
        picked: dict[str, Column] = {
            name: values[rows] if isinstance(values, np.ndarray) else [values[i] for i in rows]
            for name, values in self.columns.items()
        }
        lines = None if self.lines is None else [self.lines[i] for i in rows]
        return RawTable(picked, source=self.source, lines=lines, groups=self.groups)


def place(raw: object, name: str, row: int) -> str:
    """Where a value stands, for errors: the line of the file if it is known, else the row, counted from 0."""
    source = f" of {raw.source}" if isinstance(raw, RawTable) else ""
    if isinstance(raw, RawTable) and raw.lines is not None:
        return f"line {raw.lines[row]}, column {name!r}{source}"
    return f"row {row}, column {name!r}{source}"


def listed(names: Iterable[str], most: int = 20) -> str:
    """Names for an error message, cut after ``most``."""
    every = list(names)
    rest = f", ... ({len(every) - most} more)" if len(every) > most else ""
    return ", ".join(every[:most]) + rest


def nearest(name: str, names: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the closest of ``names``, or nothing."""
    lower = {n.lower(): n for n in names}
    match = get_close_matches(name.lower(), lower, n=1)
    return f" (did you mean {lower[match[0]]!r}?)" if match else ""


def as_texts(values: Column) -> list[str | None]:
    """Values as text, ``None`` where missing.  Whole numbers are written without a point."""
    out: list[str | None] = []
    for value in values.tolist() if isinstance(values, np.ndarray) else values:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if value is None:
            out.append(None)
        elif isinstance(value, str):
            text = value.strip()
            out.append(None if text.lower() in MISSING_TEXTS else text)
        elif isinstance(value, float) and (math.isnan(value) or value.is_integer()):
            out.append(None if math.isnan(value) else str(int(value)))
        else:
            out.append(str(value))
    return out


def as_numbers(values: Column) -> tuple[NDArray[np.float64], list[int]]:
    """Values as float64, shape (n,), NaN where missing; and the rows (ascending) that hold no number (up to 1e30)."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        numbers = values.astype(np.float64)
        return numbers, np.flatnonzero(np.abs(numbers) > _LARGEST).tolist()
    numbers = np.full(len(values), np.nan)
    bad: list[int] = []
    for row, value in enumerate(values):
        if isinstance(value, (str, bytes)):
            text = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).strip()
            if text.lower() in MISSING_TEXTS:
                continue
            value = text if "_" not in text else None  # float() would read 1_000
        elif value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            bad.append(row)
            continue
        if abs(number) > _LARGEST:
            bad.append(row)
        else:
            numbers[row] = number
    return numbers, bad


def numeric(raw: Mapping[str, Column], name: str, *, why: str = "is numeric") -> NDArray[np.float64]:
    """Column ``name`` as float64 with NaN where missing; :class:`DataError` at the first value that is no number."""
    numbers, bad = as_numbers(raw[name])
    if bad:
        value = raw[name][bad[0]]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise DataError(
            f"column {name!r} {why}, but a value is not a finite number",
            expected="a number such as 12, -0.5 or 1e3 (at most 1e30), or nothing where it is missing",
            got=f"{str(value)[:80]!r}{more}",
            where=place(raw, name, bad[0]),
            fix=f"correct the value, or declare the column: types={{{name!r}: 'categorical'}}",
        )
    return numbers


def infer(raw: Mapping[str, Column], name: str) -> Kind:
    """The kind of column ``name``: numeric if every present value is a number, ``ignore`` if none is present.

    Raises :class:`DataError` when nearly all, but not all, are numbers: then a typing mistake is likelier than text.
    """
    numbers, bad = as_numbers(raw[name])
    present = int(np.isfinite(numbers).sum())
    if not bad:
        return "numeric" if present else "ignore"
    if present >= _NEARLY_NUMERIC * (present + len(bad)):
        numeric(raw, name, why=f"is numeric in {present} of {present + len(bad)} rows")
    texts = [str(raw[name][row]).strip() for row in bad]
    if not present and all(t.count(",") == 1 and t.replace(",", "").lstrip("+-").isdigit() for t in texts):
        raise DataError(
            f"column {name!r} looks like numbers with a decimal comma", expected="a point as the decimal mark",
            got=repr(texts[0]), where=place(raw, name, bad[0]),
            fix=f"write the numbers with a point, or declare the column: types={{{name!r}: 'categorical'}}",
        )
    return "categorical"


@dataclass(frozen=True)
class NumericColumn:
    """A fitted numeric column.  ``unit`` is u of the logarithm (0: none); ``scale`` is 0 for a constant column."""

    name: str
    median: float
    unit: float
    mean: float
    scale: float
    indicator: bool

    @classmethod
    def fit(cls, name: str, values: NDArray[np.float64]) -> NumericColumn:
        """Fit to the train rows, float64 of shape (n,) with NaN where missing."""
        missing = np.isnan(values)
        present = values[~missing]
        median = float(np.median(present)) if present.size else 0.0
        filled = np.where(missing, median, values)
        unit = 0.0
        if filled.min() >= 0 and _skewness(filled) > _HEAVY_TAIL:
            candidate = float(np.median(filled[filled > 0]))
            usable = candidate > 1e-15 * float(filled.max())
            if usable and abs(_skewness(np.log1p(filled / candidate))) < _skewness(filled):
                unit = candidate
                filled = np.log1p(filled / unit)
        scale = float(filled.std())
        # A constant column has a deviation of rounding errors only: dividing by it would blow them up.
        if scale <= 1e-12 * float(np.abs(filled).max()):
            scale = 0.0
        return cls(name, median, unit, float(filled.mean()), scale, bool(missing.any()))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of ``x`` that this one becomes."""
        return (self.name, f"{self.name} is missing") if self.indicator else (self.name,)

    def transform(self, raw: Mapping[str, Column]) -> NDArray[np.float64]:
        """Shape (n, 1), or (n, 2) with the indicator."""
        values = numeric(raw, self.name)
        missing = np.isnan(values)
        filled = np.where(missing, self.median, values)
        with np.errstate(over="ignore"):  # what overflows is cut below
            if self.unit:
                filled = np.log1p(np.maximum(filled, 0) / self.unit)
            out = (filled - self.mean) / self.scale if self.scale else np.zeros_like(filled)
        out = np.clip(out, -_FARTHEST, _FARTHEST)
        return np.stack([out, missing.astype(np.float64)], 1) if self.indicator else out[:, None]

    def describe(self, x: NDArray[np.float64]) -> list[str]:
        """Rows of features, shape (n, 1 or 2), back to the text of the raw values."""
        values = x[:, 0] * self.scale + self.mean
        if self.unit:
            values = np.expm1(values) * self.unit
        gone = x[:, 1] > 0.5 if self.indicator else np.zeros(len(x), dtype=bool)
        return [MISSING if g else f"{v:.6g}" for v, g in zip(values.tolist(), gone.tolist(), strict=True)]


@dataclass(frozen=True)
class CategoricalColumn:
    """A fitted categorical column: the categories in the order of their 0/1 features."""

    name: str
    categories: tuple[str, ...]
    others: int = 0

    @classmethod
    def fit(cls, name: str, values: Sequence[str | None]) -> CategoricalColumn:
        """Fit to the train rows, ``None`` where missing."""
        counts = Counter(MISSING if v is None else v for v in values)
        ranked = sorted(counts, key=lambda c: (-counts[c], c))
        return cls(name, tuple(sorted(ranked[:MAX_CATEGORIES])), max(len(ranked) - MAX_CATEGORIES, 0))

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of ``x`` that this one becomes, one per category."""
        return tuple(f"{self.name}={category}" for category in self.categories)

    def transform(self, raw: Mapping[str, Column]) -> NDArray[np.float64]:
        """Shape (n, categories), each row all zeros but for at most one 1."""
        index = {category: i for i, category in enumerate(self.categories)}
        at = np.array([index.get(MISSING if v is None else v, -1) for v in as_texts(raw[self.name])], dtype=np.int64)
        out: NDArray[np.float64] = (at[:, None] == np.arange(len(self.categories))).astype(np.float64)
        return out

    def describe(self, x: NDArray[np.float64]) -> list[str]:
        """Rows of features, shape (n, categories), back to the category; ``(other)`` for all zeros."""
        known = x.max(axis=1, initial=0.0) > 0.5
        best = x.argmax(axis=1) if self.categories else np.zeros(len(x), dtype=np.int64)
        return [self.categories[b] if k else "(other)" for b, k in zip(best.tolist(), known.tolist(), strict=True)]


Encoder = NumericColumn | CategoricalColumn


def _skewness(values: NDArray[np.float64]) -> float:
    centred = values - values.mean()
    deviation = float(np.sqrt(np.mean(centred**2)))
    if deviation <= 1e-12 * float(np.abs(values).max(initial=0.0)):
        return 0.0
    return float(np.mean((centred / deviation) ** 3))
