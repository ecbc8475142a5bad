"""Randomness of exercises: counter-based, so that the same words give the same draws on every machine, forever.

Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) keyed by a hash of the words.  Only its
raw bits are used, whose stream NumPy keeps stable; what is drawn from them is written out here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Draws:
    """A stream of draws, named by words."""

    def __init__(self, *words: object) -> None:
        digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=16).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest, "little"))

    def below(self, n: int) -> int:
        """A number from 0 to n - 1, each as likely as the others (the uneven end of the range is drawn again)."""
        limit = 2**64 - 2**64 % n
        while True:
            raw = int(self._bits.random_raw())
            if raw < limit:
                return raw % n

    def integer(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + self.below(most - least + 1)

    def unit(self) -> float:
        """A number from 0 up to 1."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def sign(self) -> int:
        """-1 or 1."""
        return 2 * self.below(2) - 1

    def pick(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[self.below(len(among))]

    def some(self, among: Sequence[T], count: int) -> list[T]:
        """``count`` different ones, in random order."""
        return self.shuffled(among)[:count]

    def shuffled(self, among: Sequence[T]) -> list[T]:
        """All of them in random order (Fisher and Yates)."""
        found = list(among)
        for i in range(len(found) - 1, 0, -1):
            j = self.below(i + 1)
            found[i], found[j] = found[j], found[i]
        return found
