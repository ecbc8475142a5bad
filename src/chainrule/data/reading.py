"""Reading tables: CSV text and NPZ archives become a :class:`RawTable`, nothing of the files is executed.

CSV follows RFC 4180 (quotes, doubled quotes, line breaks inside quotes) through Python's ``csv``; UTF-8, with or
without a byte-order mark; the separator is found among ``,``, ``;`` and tab.
NPZ archives are read member by member with sizes checked first, since NumPy's own reader allocates what an array's
header says.  Does not do: pickled arrays, other encodings, compressed CSV, files larger than ``MAX_BYTES``.
"""

from __future__ import annotations

import csv
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError, choose
from chainrule.data.columns import Column, RawTable, as_numbers, listed

MAX_BYTES = 1 << 30
_DELIMITERS = {",": ",", ";": ";", "\t": "tab"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: str | PathLike[str], *, delimiter: str | None = None, max_bytes: int = MAX_BYTES
) -> RawTable:
    """The columns of the CSV or NPZ file at ``path``, as they are, by name.

    A CSV file starts with a line of column names; columns without a name (the index that some programs write) are left
    out, blank lines are skipped.  An NPZ file holds arrays of one length n: shape (n,) is a column of the array's name,
    (n, k) is k columns ``name_0`` ... (or those listed in a text array ``feature_names``, for the array ``x``),
    (n, height, width) is a column of pictures.

    Raises :class:`DataError` for a file that is missing, empty, too large, not text or not an archive, for ragged rows
    (with the line), duplicate names, no rows, arrays of objects, and arrays of different lengths.
    """
    file = Path(path)
    try:
        if not file.exists():
            raise DataError("the data file does not exist", expected="an existing CSV or NPZ file",
                            got="no such file", where=file, fix="check the path")
        if file.is_dir():
            raise DataError("the data file is a folder", expected="a CSV or NPZ file", got="a folder", where=file,
                            fix="name the file inside it")
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(4)
        if size == 0:
            raise DataError("the data file is empty", expected="a line of column names and rows", got="0 bytes",
                            where=file, fix="check how the file was written")
        if size > max_bytes:
            raise _too_large(file, size, max_bytes)
        if file.suffix.lower() == ".npz" or head[:2] == b"PK":
            return _read_npz(file, max_bytes)
        return _read_csv(file, head, delimiter)
    except OSError as error:
        raise DataError("the data file can't be read", expected="a readable file",
                        got=error.strerror or str(error), where=file, fix="check its permissions") from error


def _too_large(file: Path, size: int, most: int) -> DataError:
    return DataError("the data file is too large", expected=f"at most {most:,} bytes", got=f"{size:,} bytes",
                     where=file, fix="take a sample of the rows, or pass a larger max_bytes")


# CSV


def _read_csv(file: Path, head: bytes, delimiter: str | None) -> RawTable:
    if head[:2] in _UTF16:
        raise DataError("the CSV file is not UTF-8", expected="UTF-8 text", got="UTF-16 (by its byte-order mark)",
                        where=file, fix="save it as UTF-8")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise choose("delimiter", delimiter, ["one character, such as ',' ';' or a tab"], where=file)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return _parse(stream, file, delimiter)
    except UnicodeDecodeError as error:
        raise DataError("the CSV file is not UTF-8", expected="UTF-8 text",
                        got=f"byte 0x{error.object[error.start]:02x}, {error.reason}", where=file,
                        fix="save it as UTF-8") from error


def _parse(stream: IO[str], file: Path, delimiter: str | None) -> RawTable:
    if delimiter is None:
        delimiter = _sniff(stream)
        stream.seek(0)
    rows = _rows(stream, file, delimiter)
    header_line, header = next(rows, (0, []))
    if not header:
        raise DataError("the data file is empty", expected="a line of column names and rows", got="blank lines",
                        where=file, fix="check how the file was written")
    names = [name.strip() for name in header]
    twice = [name for name, count in Counter(names).items() if count > 1 and name]
    if twice:
        raise DataError("column names are not unique", expected="each name once",
                        got=f"{', '.join(map(repr, twice))} more than once", where=f"line {header_line} of {file}",
                        fix="rename the columns")
    if not as_numbers(names)[1]:
        raise DataError("the first line has no column names", expected="a line of names, then the rows",
                        got=f"numbers: {listed(names, 6)}", where=f"line {header_line} of {file}",
                        fix="add a first line that names the columns")
    columns: list[list[str]] = [[] for _ in names]
    lines: list[int] = []
    for line, row in rows:
        if len(row) != len(names):
            seen = _DELIMITERS.get(delimiter, repr(delimiter))
            raise DataError("a row has the wrong number of values", expected=f"{len(names)} values, as in the header",
                            got=f"{len(row)} values", where=f"line {line} of {file}",
                            fix=f"correct the line (separator: {seen}; quote text that contains it)")
        for column, value in zip(columns, row, strict=True):
            column.append(value)
        lines.append(line)
    if not lines:
        raise DataError("the data file has no rows", expected="rows after the line of column names",
                        got=f"only the names {listed(names)}", where=file, fix="check how the file was written")
    named = {name: column for name, column in zip(names, columns, strict=True) if name}
    return RawTable(named, source=str(file), lines=lines)


def _rows(stream: IO[str], file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(number of its first line, values) of every row that is not blank."""
    reader = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)
    start = 1
    try:
        for row in reader:
            if any(value.strip() for value in row) or len(row) > 1:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError("the CSV file breaks the rules of quoting", expected="text in quotes closed, quotes doubled",
                        got=str(error), where=f"line {start} of {file}", fix="correct the line") from error


def _sniff(stream: IO[str]) -> str:
    """The separator that cuts the first line into most pieces; a comma if none does."""
    first = next((line for line in stream if line.strip()), "")
    pieces = {}
    for delimiter in _DELIMITERS:
        try:
            pieces[delimiter] = len(next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), []))
        except csv.Error:
            pieces[delimiter] = 0
    return max(pieces, key=lambda d: pieces[d])  # the first of equals, so a comma


# NPZ


def _read_npz(file: Path, max_bytes: int) -> RawTable:
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(file) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > max_bytes:
                raise _too_large(file, total, max_bytes)
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    name = info.filename[: -len(".npy")]
                    with archive.open(info) as member:
                        arrays[name] = _read_npy(member, info.file_size, f"array {name!r} of {file}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError("the NPZ file is damaged or not an archive", expected="a file written by numpy.savez",
                        got=str(error), where=file, fix="write it again with numpy.savez") from error
    if not arrays:
        raise DataError("the NPZ file has no arrays", expected="arrays written by numpy.savez", got="none", where=file,
                        fix="write it with numpy.savez(path, x=x, y=y)")
    return _tabulate(arrays, file)


def _read_npy(stream: IO[bytes], size: int, where: str) -> NDArray[Any]:
    """One array in NumPy's format (NEP 1), of a member of ``size`` bytes."""
    npy = np.lib.format
    try:
        major = npy.read_magic(stream)[0]
        reader = {1: npy.read_array_header_1_0, 2: npy.read_array_header_2_0}.get(major)
        if reader is None:
            raise ValueError(f"format {major}, which is for structured arrays")
        shape, fortran, dtype = reader(stream)
    except ValueError as error:
        raise DataError("an array of the NPZ file is damaged", expected="an array written by numpy.savez",
                        got=str(error).splitlines()[0], where=where, fix="write it again with numpy.savez") from error
    if dtype.hasobject:
        raise DataError("the NPZ file has an array of Python objects", expected="an array of numbers or text",
                        got=f"{dtype}, which only unpickling could read", where=where,
                        fix="convert it first, for instance with .astype(float) or .astype(str)")
    if dtype.kind not in "biufUS":
        raise DataError("an array has a type that is not a column", expected="numbers, booleans or text",
                        got=str(dtype), where=where, fix="convert it first, for instance with .astype(float)")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > size:
        raise DataError("an array of the NPZ file is truncated", expected=f"{wanted:,} bytes for shape {shape}",
                        got=f"{size:,} bytes in the archive", where=where, fix="write it again with numpy.savez")
    data = bytearray(stream.read(wanted))
    if len(data) < wanted:
        raise DataError("an array of the NPZ file is truncated", expected=f"{wanted:,} bytes for shape {shape}",
                        got=f"{len(data):,} bytes", where=where, fix="write it again with numpy.savez")
    if dtype.itemsize == 0:
        return np.zeros(shape, dtype=dtype)
    flat = np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(flat, dtype=dtype.newbyteorder("=")).reshape(shape)


def _tabulate(arrays: Mapping[str, NDArray[Any]], file: Path) -> RawTable:
    arrays = dict(arrays)
    given = arrays.pop("feature_names") if "x" in arrays and "feature_names" in arrays else None
    columns: dict[str, Column] = {}
    groups: dict[str, tuple[str, ...]] = {}
    rows: dict[str, int] = {}
    for name, array in arrays.items():
        if not 1 <= array.ndim <= 3:
            raise DataError("an array has the wrong number of axes", expected="(n,), (n, k) or (n, height, width)",
                            got=f"shape {array.shape}", where=f"array {name!r} of {file}",
                            fix="save one row of the table per row of the array")
        rows[name] = len(array)
        if array.ndim != 2:
            parts: dict[str, Column] = {name: array}
        else:
            labels = tuple(f"{name}_{i}" for i in range(array.shape[1]))
            if name == "x" and given is not None:
                labels = tuple(str(label) for label in given.reshape(-1).tolist())
                if len(labels) != array.shape[1]:
                    raise DataError("feature_names does not fit x", expected=f"{array.shape[1]} names",
                                    got=f"{len(labels)} names", where=file, fix="save one name per column of x")
            groups[name] = labels
            parts = {label: array[:, i] for i, label in enumerate(labels)}
            if len(parts) < len(labels):
                raise DataError("column names are not unique", expected="each name once", got=listed(labels),
                                where=file, fix="rename the columns in feature_names")
        twice = [label for label in parts if label in columns]
        if twice:
            raise DataError("column names are not unique", expected="each name once",
                            got=f"{twice[0]!r} more than once", where=file, fix="rename the arrays")
        columns.update(parts)
    if len(set(rows.values())) > 1:
        raise DataError("the arrays have different lengths", expected="as many rows in every array",
                        got=", ".join(f"{name}: {n}" for name, n in rows.items()), where=file,
                        fix="save arrays of one length; keep train and test rows in files of their own")
    if next(iter(rows.values())) == 0 or not columns:
        raise DataError("the data file has no rows", expected="arrays of at least one row",
                        got=listed(f"{name} {array.shape}" for name, array in arrays.items()), where=file,
                        fix="check how the file was written")
    return RawTable(columns, source=str(file), groups=groups)
