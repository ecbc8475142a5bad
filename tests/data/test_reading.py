from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from chainrule.base.errors import DataError, OptionError
from chainrule.data import read_table


def text(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_separator_is_found(tmp_path: Path, delimiter: str) -> None:
    content = "a,b,c\n1,2,x\n3,4,y\n".replace(",", delimiter)
    raw = read_table(text(tmp_path, content))
    assert dict(raw) == {"a": ["1", "3"], "b": ["2", "4"], "c": ["x", "y"]}
    assert (raw.rows, raw.lines) == (2, [2, 3])


def test_a_given_separator_wins(tmp_path: Path) -> None:
    assert list(read_table(text(tmp_path, "a,b|c\n1,2|3\n"), delimiter="|")) == ["a,b", "c"]


def test_quotes_mark_and_line_ends(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbf"a, b",  "c"\r\n"say ""hi""",1\r\n\r\n"two\r\nlines",2\r\nlast,3'
    raw = read_table(text(tmp_path, content))
    assert dict(raw) == {"a, b": ['say "hi"', "two\r\nlines", "last"], "c": ["1", "2", "3"]}
    assert raw.lines == [2, 4, 6]


def test_separators_inside_quotes_do_not_count(tmp_path: Path) -> None:
    assert list(read_table(text(tmp_path, '"a,x,y,z";b\n1;2\n'))) == ["a,x,y,z", "b"]


def test_an_unnamed_index_is_left_out(tmp_path: Path) -> None:
    assert dict(read_table(text(tmp_path, ",a\n0,5\n1,6\n"))) == {"a": ["5", "6"]}


def test_one_column_with_a_missing_value_keeps_its_rows(tmp_path: Path) -> None:
    assert dict(read_table(text(tmp_path, "a,b\n,\n1,2\n"))) == {"a": ["", "1"], "b": ["", "2"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the data file is empty"),
        ("\n \n\n", "the data file is empty"),
        ("a,b\n", "no rows\n  expected: rows after the line of column names\n  got: only the names a, b"),
        ("a,b\n1,2\n\n3\n", "expected: 2 values, as in the header\n  got: 1 values\n  where: line 4 of"),
        ('a,b\n"x\ny",2\n1,2,3\n', "got: 3 values\n  where: line 4 of"),
        ("a,b,a\n1,2,3\n", "column names are not unique\n  expected: each name once\n  got: 'a' more than once"),
        ("1,2\n3,4\n", "the first line has no column names"),
        ('a,b\n1,"2\n3,4\n', "breaks the rules of quoting"),
        ('a,b\n1,"2"3\n', "where: line 2 of"),
        (b"a,b\n1,caf\xe9\n", "the CSV file is not UTF-8\n  expected: UTF-8 text\n  got: byte 0xe9"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        ("a,b\n1," + "x" * 200_000 + "\n", "field larger than field limit"),
    ],
    ids=range(12),
)
def test_bad_csv(tmp_path: Path, content, message: str) -> None:
    file = text(tmp_path, content)
    with pytest.raises(DataError) as caught:
        read_table(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_missing_folder_too_large(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)
    with pytest.raises(DataError, match=r"too large\n  expected: at most 5 bytes\n  got: 8 bytes"):
        read_table(text(tmp_path, "a,b\n1,2\n"), max_bytes=5)
    with pytest.raises(OptionError, match="one character"):
        read_table(text(tmp_path, "a,b\n1,2\n"), delimiter="ab")


def npz(tmp_path: Path, **arrays) -> Path:
    file = tmp_path / "t.npz"
    np.savez(file, **arrays)
    return file


def test_npz_columns(tmp_path: Path) -> None:
    raw = read_table(npz(tmp_path, a=np.arange(3), s=np.array(["x", "y", "z"]), m=np.asfortranarray(np.eye(3, 2))))
    assert list(raw) == ["a", "s", "m_0", "m_1"]
    assert raw.groups == {"m": ("m_0", "m_1")}
    assert np.asarray(raw["m_1"]).tolist() == [0, 1, 0]
    assert (raw.rows, raw.lines) == (3, None)


def test_npz_names_types_and_compression(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    x = np.arange(6, dtype=">f4").reshape(3, 2)
    np.savez_compressed(file, x=x, feature_names=np.array(["u", "v"]), y=[1, 2, 3])
    raw = read_table(file)
    assert list(raw) == ["u", "v", "y"]
    assert np.asarray(raw["v"]).tolist() == [1, 3, 5]
    assert np.asarray(raw["v"]).dtype == np.float32


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.array([1, "x", None], dtype=object)}, "an array of Python objects"),
        ({"a": np.array([1 + 2j])}, "expected: numbers, booleans or text\n  got: complex128"),
        ({"a": np.array(["2020-01-01"], dtype="M8[D]")}, "a type that is not a column"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, "the arrays have different lengths"),
        ({"a": np.zeros(0)}, "the data file has no rows"),
        ({"a": np.float64(3)}, "wrong number of axes"),
        ({"a": np.zeros((2, 2, 2, 2))}, "got: shape (2, 2, 2, 2)"),
        ({"a": np.zeros((2, 2)), "a_1": np.zeros(2)}, "'a_1' more than once"),
        ({"x": np.zeros((2, 2)), "feature_names": np.array(["u"])}, "expected: 2 names"),
        ({"x": np.zeros((2, 2)), "feature_names": np.array(["u", "u"])}, "column names are not unique"),
        ({}, "the NPZ file has no arrays"),
    ],
    ids=range(11),
)
def test_bad_npz(tmp_path: Path, arrays, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_table(npz(tmp_path, **arrays))
    assert message in str(caught.value)


def test_damaged_npz(tmp_path: Path) -> None:
    good = npz(tmp_path, a=np.arange(1000)).read_bytes()
    with pytest.raises(DataError, match="damaged or not an archive"):
        read_table(text(tmp_path, good[:200], "cut.npz"))
    with pytest.raises(DataError, match="damaged or not an archive"):
        read_table(text(tmp_path, "not a zip", "x.npz"))
    changed = bytearray(good)
    changed[4000] ^= 1
    with pytest.raises(DataError, match="Bad CRC-32"):
        read_table(text(tmp_path, bytes(changed), "bit.npz"))


def test_npz_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    file = tmp_path / "lie.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", out.getvalue() + b"\0" * 64)
    with pytest.raises(DataError, match="is truncated"):
        read_table(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * (1 << 20))
    assert file.stat().st_size < 5000
    with pytest.raises(DataError, match=r"too large\n  expected: at most 100,000 bytes\n  got: 1,048,576"):
        read_table(file, max_bytes=100_000)
    with pytest.raises(DataError, match="an array of the NPZ file is damaged"):
        read_table(file)
