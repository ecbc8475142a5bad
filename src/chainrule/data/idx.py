"""Reader of IDX files, the format of MNIST, plain or gzip-compressed.

Source: LeCun, Cortes, Burges, "The MNIST database", section "The IDX file format": two zero bytes, a byte for the
type, a byte for the number of axes, one big-endian uint32 per axis, then the values, big-endian, last axis fastest.

A header is not believed: its size is compared with the bytes that are there (or, compressed, with what DEFLATE can
expand at most), and memory grows only as bytes arrive.  Does not do: writing.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.base.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_AXES = 8
_MAX_BYTES = 1 << 31
_MAX_EXPANSION = 1032  # DEFLATE: one bit can stand for at most 129 bytes (zlib's technical notes)
_CHUNK = 1 << 20


def read(path: str | PathLike[str], *, max_bytes: int = _MAX_BYTES) -> NDArray[Any]:
    """The array in the IDX file at ``path``, in native byte order; gzip is recognised by content, not by name.

    Raises :class:`DataError` for a file that is missing, not IDX (wrong magic), truncated, longer than its header
    says, damaged (gzip), or larger than ``max_bytes`` once expanded.
    """
    file = Path(path)
    where = str(file)
    try:
        size = file.stat().st_size
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    return _read(stream, size * _MAX_EXPANSION, True, where, max_bytes)
            return _read(raw, size, False, where, max_bytes)
    except FileNotFoundError as error:
        raise DataError(
            "IDX file not found", expected="an existing IDX file, plain or .gz", got="no such file", where=where,
            fix="check the path, or download MNIST with chainrule.data.download_mnist(folder)",
        ) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            "the gzip data of an IDX file are damaged or truncated", expected="a complete gzip stream",
            got=str(error), where=where, fix="fetch the file again",
        ) from error
    except OSError as error:
        raise DataError(
            "the IDX file can't be read", expected="a readable file", got=error.strerror or str(error), where=where,
            fix="check that it is a file and its permissions",
        ) from error


def _read(stream: IO[bytes] | gzip.GzipFile, available: int, packed: bool, where: str, max_bytes: int) -> NDArray[Any]:
    head = stream.read(4)
    if len(head) < 4:
        raise _truncated("4 bytes of magic number", f"{len(head)} bytes", where)
    code, axes = head[2], head[3]
    if head[:2] != b"\0\0" or code not in _TYPES or not 1 <= axes <= _MAX_AXES:
        types = ", ".join(f"{t:02x}" for t in _TYPES)
        raise DataError(
            "not an IDX file: wrong magic number",
            expected=f"00 00, a type of {types}, a number of axes from 1 to {_MAX_AXES}",
            got=head.hex(" "), where=where, fix="pass an IDX file, such as train-images-idx3-ubyte.gz",
        )
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise _truncated(f"{4 * axes} bytes of sizes", f"{len(sizes)} bytes", where)
    shape = struct.unpack(f">{axes}I", sizes)
    dtype = np.dtype(_TYPES[code])
    wanted = math.prod(shape) * dtype.itemsize
    if wanted > max_bytes:
        raise DataError(
            "the IDX file is larger than the limit", expected=f"at most {max_bytes:,} bytes of values",
            got=f"a header that says {wanted:,} bytes, shape {shape}", where=where,
            fix="check the file; pass a larger max_bytes if it is right",
        )
    present = available - (0 if packed else 4 + 4 * axes)
    if wanted > present:
        come = f"a file that can't hold more than {present:,}" if packed else f"{present:,} bytes"
        raise _truncated(f"{wanted:,} bytes of values for shape {shape}", come, where)
    values = bytearray()
    while len(values) < wanted:
        chunk = stream.read(min(_CHUNK, wanted - len(values)))
        if not chunk:
            raise _truncated(f"{wanted:,} bytes of values for shape {shape}", f"{len(values):,} bytes", where)
        values += chunk
    if stream.read(1):
        raise DataError(
            "the IDX file is longer than its header says", expected=f"{wanted:,} bytes of values for shape {shape}",
            got="more bytes after them", where=where, fix="fetch the file again",
        )
    return np.frombuffer(values, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _truncated(expected: str, got: str, where: str) -> DataError:
    return DataError("the IDX file is truncated", expected=expected, got=got, where=where, fix="fetch the file again")
