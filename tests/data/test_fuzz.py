"""Whatever the bytes, a reader gives a table or says why not; whatever the table, features are finite."""

from __future__ import annotations

import contextlib
import csv
import doctest
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule.data
from chainrule.base.errors import DataError
from chainrule.data import idx, read_table, table

SETTINGS = settings(max_examples=150, deadline=None)


@contextlib.contextmanager
def file_of(content: bytes, name: str) -> Iterator[Path]:
    """A file with ``content``; a DataError of the block is accepted if it says where and what to do."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        reason = None
        try:
            yield file
        except DataError as error:
            reason = error
        assert reason is None or (reason.expected and reason.got is not None and reason.where and reason.fix)


@SETTINGS
@given(st.binary(max_size=200), st.sampled_from([b"", b"\0\0\x08\x01", b"\0\0\x08\x02\0\0\0", b"\x1f\x8b\x08\0"]))
def test_idx_of_any_bytes(content: bytes, start: bytes) -> None:
    with file_of(start + content, "a") as file:
        assert isinstance(idx.read(file), np.ndarray)


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, x=np.eye(3), y=np.arange(3))
    return out.getvalue()


NPZ = _npz()


@SETTINGS
@given(st.integers(0, len(NPZ) - 1), st.integers(1, 255), st.integers(0, len(NPZ)))
def test_npz_with_changed_bytes(at: int, change: int, end: int) -> None:
    content = bytearray(NPZ)
    content[at] ^= change
    for damaged in (bytes(content), NPZ[:end]):
        with file_of(damaged, "a.npz") as file:
            assert read_table(file).rows > 0


@SETTINGS
@given(st.text(max_size=200))
def test_csv_of_any_text(content: str) -> None:
    with file_of(content.encode("utf-8", "ignore"), "a.csv") as file:
        raw = read_table(file)
        assert all(len(column) == raw.rows for column in raw.values())


CELL = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-5, 5).map(str),
    st.sampled_from(["", "NA", "red", "green", 'a "b", c', "two\nlines", "1e-310", "1e29", "0"]),
)
NUMBER = st.one_of(st.floats(-1e30, 1e30).map(repr), st.sampled_from(["", "0", "7", "1e-310", "-1e-200"]))


@st.composite
def columns(draw: st.DrawFn) -> list[list[str]]:
    rows = draw(st.integers(4, 30))
    kinds = draw(st.lists(st.sampled_from([CELL, NUMBER]), min_size=1, max_size=3))
    return [draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]


@SETTINGS
@given(columns())
def test_any_table_gives_finite_features_or_a_reason(drawn: list[list[str]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([f"c{i}" for i in range(len(drawn))] + ["t"])
    writer.writerows([*row, str(i / 3)] for i, row in enumerate(zip(*drawn, strict=True)))
    with file_of(out.getvalue().encode(), "a.csv") as file:
        raw = read_table(file)
        assert [raw[f"c{i}"] for i in range(len(drawn))] == drawn
        splits = table(file, "t")
        for part in (splits.train, splits.validation, splits.test):
            assert np.isfinite(part.x).all()
            assert np.isfinite(part.y).all()
        assert abs(splits.train.x).max() < 6, "no train row is farther than the square root of their number"


def test_a_new_row_beyond_all_bounds_stays_finite() -> None:
    rng = np.random.default_rng(0)
    lines = ["a,b,t"] + [f"{x},{np.exp(3 * x)},{x / 3}" for x in rng.normal(0, 1e-9, 50)]
    with file_of("\n".join(lines).encode(), "a.csv") as file:
        splits = table(file, "t")
    x = splits.preprocessor.transform({"a": ["1e30", "-1e30"], "b": ["-1", "1e30"]})
    assert np.isfinite(x).all()
    assert x[0, 0] == 1e6


def test_the_examples_of_the_docstring() -> None:
    result = doctest.testmod(chainrule.data)
    assert (result.failed, result.attempted) == (0, 5)
