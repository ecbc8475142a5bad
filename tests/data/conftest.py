"""Fixtures of the data tests: small files in the formats of real sets."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


def idx_bytes(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mnist_like() -> Callable[..., Path]:
    """``mnist_like(root, train_labels=array, ...)`` writes 50 + 10 pictures of 6 x 4 in the format of MNIST."""

    def write(root: Path, **replace: np.ndarray) -> Path:
        rng = np.random.default_rng(0)
        for part, count in (("train", 50), ("t10k", 10)):
            images = rng.integers(0, 256, (count, 6, 4), dtype=np.uint8)
            labels = (np.arange(count) % 10).astype(np.uint8)
            for kind, array in (("images", images), ("labels", labels)):
                file = root / f"{part}-{kind}-idx{array.ndim}-ubyte"
                file.write_bytes(idx_bytes(replace.get(f"{part}_{kind}", array)))
        return root

    return write
