"""Philox4x32-10: random bits as a pure function of a key and a counter, vectorised in NumPy.

Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.  Ten rounds of two 32 x 32 -> 64 bit
products, whose halves are swapped and mixed with the key by exclusive or; the key moves on by the Weyl constants
(golden ratio, sqrt(3) - 1) after each round.  There is no state: word ``n`` of a key costs the same wherever it
stands, so results do not depend on how work is split.

Does not do: cryptography (Philox is not secure), floats (see ``chainrule.random``), tracing (the op record does that).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

M0 = np.uint64(0xD2511F53)
M1 = np.uint64(0xCD9E8D57)
W0 = np.uint64(0x9E3779B9)
W1 = np.uint64(0xBB67AE85)
MASK = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
ROUNDS = 10
_BLOCKS_AT_ONCE = 8192  # six arrays of 64 KiB: the rounds stay in the second-level cache


def philox4x32(counter: Any, key: Any) -> Any:
    """The four output words of each counter under its key.

    ``counter``: uint32 of shape (..., 4); ``key``: uint32 of shape (..., 2); leading axes broadcast.
    Returns uint32 of the broadcast shape (..., 4).  Checked against the known answers of the Random123 library.
    """
    wide = np.asarray(counter).astype(np.uint64)
    wide_key = np.asarray(key).astype(np.uint64)
    words = _rounds(
        (wide[..., 0], wide[..., 1], wide[..., 2], wide[..., 3]),
        (wide_key[..., 0], wide_key[..., 1]),
    )
    return np.stack([word.astype(np.uint32) for word in np.broadcast_arrays(*words)], axis=-1)


def _rounds(counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Ten rounds on uint64 arrays that hold 32-bit values, so that a product needs no cast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        p0 = M0 * c0
        p1 = M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & MASK, (p0 >> _HALF) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + W0) & MASK, (k1 + W1) & MASK
    return c0, c1, c2, c3


def random_bits(key: Any, *, shape: tuple[int, ...], stream: int = 0) -> np.ndarray[Any, Any]:
    """Independent uniform 32-bit words.

    ``key``: uint32 of shape (2,), or (..., 2) for a batch of keys.  Returns uint32 of shape ``key.shape[:-1] + shape``.
    Word ``n`` in row-major order is word ``n % 4`` of the block with counter ``(n // 4, 0, stream)`` (64, 32 and 32
    bits), so a longer draw of the same key starts with the shorter one, and different ``stream`` never share a block.
    """
    key = np.asarray(key)
    batch = key.shape[:-1]
    size = math.prod(shape)
    blocks = -(-size // 4)
    k0 = key[..., 0, None].astype(np.uint64)
    k1 = key[..., 1, None].astype(np.uint64)
    out = np.empty((*batch, blocks, 4), dtype=np.uint32)
    zero = np.zeros(1, dtype=np.uint64)
    last = np.full(1, stream, dtype=np.uint64)
    for start in range(0, blocks, _BLOCKS_AT_ONCE):
        stop = min(start + _BLOCKS_AT_ONCE, blocks)
        index = np.arange(start, stop, dtype=np.uint64)
        words = _rounds((index & MASK, index >> _HALF, zero, last), (k0, k1))
        for position, word in enumerate(words):
            out[..., start:stop, position] = word
    return out.reshape(*batch, blocks * 4)[..., :size].reshape((*batch, *shape))
