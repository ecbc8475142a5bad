"""Grey pictures as PNG data URIs (ISO/IEC 15948): one IHDR, one IDAT, no filters.  Does not do: colour, palettes."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def grey_png(image: NDArray[Any]) -> bytes:
    """A PNG of ``image``, shape (height, width), any real dtype; its smallest value is black, its largest white."""
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    pixels = np.round((values - low) / (high - low or 1.0) * 255).astype(np.uint8)
    height, width = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def data_uri(image: NDArray[Any]) -> str:
    """:func:`grey_png` as a URI for the ``src`` of an ``img``."""
    return "data:image/png;base64," + base64.b64encode(grey_png(image)).decode()
