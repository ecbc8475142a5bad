"""Samples for the Fourier transforms: the values by the sum that defines them."""

from __future__ import annotations

from typing import Any

import numpy as np
from samples import Sample, add, cnormal, normal


def _scale(n: int, norm: str, inverse: bool) -> float:
    return {"ortho": n**-0.5, "forward": 1.0 if inverse else 1 / n, "backward": 1 / n if inverse else 1.0}[norm]


def _sum(x: Any, axis: int, inverse: bool, norm: str) -> Any:
    n = x.shape[axis]
    turns = np.outer(np.arange(n), np.arange(n)) / n
    matrix = np.exp((2j if inverse else -2j) * np.pi * turns) * _scale(n, norm, inverse)
    return np.moveaxis(np.moveaxis(x, axis, -1) @ matrix, -1, axis)


def _mirrored(x: Any, n: int, axis: int) -> Any:
    """A whole spectrum from half of it."""
    x = np.moveaxis(x, axis, -1).copy()
    x[..., 0] = x[..., 0].real
    if n % 2 == 0:
        x[..., -1] = x[..., -1].real
    rest = np.conj(x[..., 1 : (n + 1) // 2][..., ::-1])
    return np.moveaxis(np.concatenate([x, rest], -1), -1, axis)


for _shape, _axis in (((4,), 0), ((5,), 0), ((3, 2), 0), ((1, 6), 1), ((1,), 0), ((0, 3), 1)):
    for _norm in ("backward", "ortho", "forward"):
        for _inverse in (False, True):
            add("fft", Sample((cnormal(*_shape),), {"axis": _axis, "inverse": _inverse, "norm": _norm},
                              value=lambda x, a=_axis, i=_inverse, m=_norm: _sum(x, a, i, m)))  # fmt: skip

        def _half(x: Any, axis: int = _axis, norm: str = _norm) -> Any:
            return np.take(_sum(x, axis, False, norm), range(x.shape[axis] // 2 + 1), axis)

        add("rfft", Sample((normal(*_shape),), {"axis": _axis, "norm": _norm}, value=_half))
        for _n in (2 * _shape[_axis] - 2, 2 * _shape[_axis] - 1):
            if _n > 0:
                add("irfft", Sample((cnormal(*_shape),), {"axis": _axis, "n": _n, "norm": _norm},
                                    value=lambda x, a=_axis, n=_n, m=_norm: _sum(_mirrored(x, n, a), a, True, m).real)
                    )  # fmt: skip
