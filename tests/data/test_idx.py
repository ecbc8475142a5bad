from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from chainrule.base.errors import DataError
from chainrule.data import idx

CODES = {"u1": 8, "i1": 9, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def pack(content: bytes, level: int = 9) -> bytes:
    return gzip.compress(content, level, mtime=0)


def flip(content: bytes, at: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1
    return bytes(changed)


def encode(array: np.ndarray) -> bytes:
    kind = array.dtype.str[1:]
    head = bytes([0, 0, CODES[kind], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(f">{kind}").tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("packed", [False, True])
def test_round_trip(tmp_path: Path, kind: str, packed: bool) -> None:
    array = (np.arange(24).reshape(2, 3, 4) - 5).astype(kind)
    content = encode(array)
    got = idx.read(write(tmp_path / "a", pack(content) if packed else content))
    np.testing.assert_array_equal(got, array)
    assert got.dtype == array.dtype
    assert got.dtype.isnative
    assert got.flags.writeable


def test_empty_axis(tmp_path: Path) -> None:
    assert idx.read(write(tmp_path / "a", encode(np.zeros((0, 28, 28), "u1")))).shape == (0, 28, 28)


GOOD = encode(np.arange(12, dtype="u1").reshape(3, 4))
HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 60000, 28, 28)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "truncated\n  expected: 4 bytes of magic number\n  got: 0 bytes"),
        (b"\0\0\x08", "got: 3 bytes"),
        (GOOD[:7], "expected: 8 bytes of sizes\n  got: 3 bytes"),
        (GOOD[:-1], "expected: 12 bytes of values for shape (3, 4)\n  got: 11 bytes"),
        (GOOD + b"x", "longer than its header says"),
        (b"PK\x03\x04" + GOOD, "wrong magic number\n  expected: 00 00, a type of 08"),
        (b"\0\0\x07\x01" + GOOD, "got: 00 00 07 01"),
        (b"\0\0\x08\x00" + GOOD, "wrong magic number"),
        (b"\0\0\x08\xff" + GOOD, "a number of axes from 1 to 8"),
        (HUGE + b"0" * 100, "got: 100 bytes"),
        (bytes([0, 0, 14, 4]) + b"\xff" * 16, "larger than the limit"),
        (pack(GOOD[:-1]), "expected: 12 bytes of values for shape (3, 4)\n  got: 11 bytes"),
        (pack(GOOD + b"x"), "longer than its header says"),
        (pack(HUGE), "a file that can't hold more than"),
        (pack(GOOD)[:-9], "the gzip data of an IDX file are damaged or truncated"),
        (pack(GOOD)[:10] + b"\xff" * 30, "the gzip data of an IDX file are damaged or truncated"),
        (flip(pack(GOOD), -8), "the gzip data of an IDX file are damaged or truncated\n  expected: a complete gzip"),
        (b"\x1f\x8b", "the gzip data of an IDX file are damaged or truncated"),
    ],
    ids=range(18),
)
def test_bad_files(tmp_path: Path, content: bytes, text: str) -> None:
    file = write(tmp_path / "bad.idx", content)
    with pytest.raises(DataError) as caught:
        idx.read(file)
    assert text in str(caught.value)
    assert str(file) in str(caught.value)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="IDX file not found") as caught:
        idx.read(tmp_path / "none")
    assert "download_mnist" in str(caught.value)
    with pytest.raises(DataError, match="can't be read"):
        idx.read(tmp_path)


def test_a_header_alone_allocates_nothing(tmp_path: Path) -> None:
    claim = bytes([0, 0, 8, 1]) + struct.pack(">I", 1 << 30)
    # Enough zeros for the claim to be within what the compressed size allows, though not there.
    file = write(tmp_path / "bomb.gz", pack(claim + b"\0" * 1000, 0) + b"\0" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(DataError):
        idx.read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 23


def test_expansion_stops_at_the_header(tmp_path: Path) -> None:
    file = write(tmp_path / "bomb.gz", pack(GOOD + b"\0" * (50 << 20)))
    tracemalloc.start()
    with pytest.raises(DataError, match="longer than its header says"):
        idx.read(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 23


def test_limit_can_be_raised_and_lowered(tmp_path: Path) -> None:
    file = write(tmp_path / "a", GOOD)
    assert idx.read(file, max_bytes=12).size == 12
    with pytest.raises(DataError, match="at most 11 bytes"):
        idx.read(file, max_bytes=11)
