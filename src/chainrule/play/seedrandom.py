"""The random stream of the reference playground: seedrandom 2.4.3 (an RC4 key stream), reproduced from its definition.

The text of the seed is mixed into a key of up to 256 bytes; RC4's key schedule follows and 256 bytes are dropped.  A
number takes 6 bytes, and single ones more until it has 52 bits; what exceeds 53 is shifted out.

Does not do: entropy, autoseeding, or any other generator of that library.
"""

from __future__ import annotations

_WIDTH = 256
State = tuple[tuple[int, ...], int, int]


class SeedRandom:
    """Numbers in [0, 1): ``SeedRandom("0.42182")()`` is 0.24248939941998704."""

    def __init__(self, seed: str) -> None:
        key = self._key(seed)
        state = list(range(_WIDTH))
        j = 0
        for i in range(_WIDTH):
            j = (j + key[i % len(key)] + state[i]) % _WIDTH
            state[i], state[j] = state[j], state[i]
        self._state, self._i, self._j = state, 0, 0
        for _ in range(_WIDTH):
            self._byte()

    @staticmethod
    def _key(seed: str) -> list[int]:
        units = seed.encode("utf-16-le", "surrogatepass")  # JavaScript's characters are units of UTF-16
        key: list[int] = []
        smear = 0
        for position in range(0, len(units), 2):
            code = units[position] | units[position + 1] << 8
            at = position // 2 % _WIDTH
            old = key[at] if at < len(key) else 0
            smear = smear ^ (old * 19)
            value = (smear + code) % _WIDTH
            if at < len(key):
                key[at] = value
            else:
                key.append(value)
        return key or [0]

    def _byte(self) -> int:
        state = self._state
        self._i = i = (self._i + 1) % _WIDTH
        t = state[i]
        self._j = j = (self._j + t) % _WIDTH
        state[i], state[j] = state[j], t
        return state[(state[i] + t) % _WIDTH]

    def __call__(self) -> float:
        n = 0
        for _ in range(6):
            n = n * _WIDTH + self._byte()
        d, x = 2**48, 0
        while n < 2**52:
            n, d, x = (n + x) * _WIDTH, d * _WIDTH, self._byte()
        while n >= 2**53:
            n, d, x = n // 2, d // 2, x >> 1
        return (n + x) / d

    def state(self) -> State:
        """Where the stream is, for :meth:`at`."""
        return tuple(self._state), self._i, self._j

    @classmethod
    def at(cls, state: State) -> SeedRandom:
        """The stream that goes on from there."""
        stream = object.__new__(cls)
        stream._state, stream._i, stream._j = list(state[0]), state[1], state[2]
        return stream

    def between(self, low: float, high: float) -> float:
        """Uniform in [low, high)."""
        return self() * (high - low) + low
