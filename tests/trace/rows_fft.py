"""Rows for np.fft (see ``rows``)."""

from __future__ import annotations

import numpy as np
from rows import n, row
from rows_linalg import both

F = np.fft
X, Y = n(3, 4), n(3, 4)
P, Q = n(2, 3, 5), n(2, 3, 5)

for _norm in (None, "backward", "ortho", "forward"):
    for _n in (None, 1, 3, 6, 7) if _norm is None else (5,):
        _how = {"n": _n, "norm": _norm}
        row(f"fft {_how}", lambda x, y, how=_how: F.fft(both(x, y), axis=0, **how), X, Y)
        row(f"ifft {_how}", lambda x, how=_how: F.ifft(x, **how), X)
        row(f"rfft {_how}", lambda x, how=_how: F.rfft(x, **how), X)
        row(f"irfft {_how}", lambda x, y, how=_how: F.irfft(both(x, y), **how), X, Y)
        row(f"hfft {_how}", lambda x, y, how=_how: F.hfft(both(x, y), **how), X, Y)
        row(f"ihfft {_how}", lambda x, how=_how: F.ihfft(x, axis=0, **how), X)
for _name in ("fft2", "ifft2", "fftn", "ifftn", "irfft2", "irfftn"):
    _f = getattr(F, _name)
    row(_name, lambda x, y, f=_f: f(both(x, y)), P, Q)
    row(f"{_name} s axes", lambda x, y, f=_f: f(both(x, y), s=(4, 3), axes=(0, 2), norm="ortho"), P, Q)
for _name in ("rfft2", "rfftn"):
    _f = getattr(F, _name)
    row(_name, lambda x, f=_f: f(x), P)
    row(f"{_name} s axes", lambda x, f=_f: f(x, s=(4, 3), axes=(0, 2), norm="ortho"), P)
row("fftshift", lambda x: (F.fftshift(x), F.fftshift(x, axes=1), F.ifftshift(x), F.ifftshift(x, (0, 2))), P)
row("power spectrum", lambda x: np.abs(F.rfft(x)) ** 2, X)
row("convolution by transforms", lambda x, y: F.irfft(F.rfft(x, 8) * F.rfft(y, 8), 8), X, Y)
