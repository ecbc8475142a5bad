"""Rows for scipy.special (see ``rows``)."""

from __future__ import annotations

import numpy as np
import scipy.special as sp
from rows import n, row, u

ONE_ARGUMENT: dict[str, tuple[float, float]] = {
    "expit": (-3, 3), "logit": (0.1, 0.9), "log_expit": (-3, 3), "log1p": (-0.5, 2), "expm1": (-1, 1),
    "cbrt": (0.3, 2), "exp2": (-1, 1), "exp10": (-1, 1), "exprel": (-2, 2), "cosm1": (-2, 2), "entr": (0.1, 2),
    "erf": (-2, 2), "erfc": (-2, 2), "erfcx": (-1, 3), "erfi": (-1, 1),
    "erfinv": (-0.8, 0.8), "erfcinv": (0.2, 1.8), "dawsn": (-2, 2),
    "ndtr": (-2, 2), "ndtri": (0.1, 0.9), "log_ndtr": (-5, 2), "gammaln": (0.3, 4), "loggamma": (0.3, 4),
    "gamma": (0.3, 4), "rgamma": (0.3, 4), "digamma": (0.3, 4), "psi": (0.3, 4), "expi": (0.3, 2), "exp1": (0.3, 2),
    "j0": (0.3, 4), "j1": (0.3, 4), "y0": (0.5, 4), "y1": (0.5, 4), "i0": (-3, 3), "i1": (-3, 3), "i0e": (0.3, 3),
    "i1e": (-3, -0.3), "k0": (0.5, 3), "k1": (0.5, 3), "k0e": (0.5, 3), "k1e": (0.5, 3), "softplus": (-2, 2),
    "sinc": (0.2, 2),
}  # fmt: skip
TWO_ARGUMENTS: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "xlogy": ((-2, 2), (0.3, 2)), "xlog1py": ((-2, 2), (-0.5, 2)), "rel_entr": ((0.3, 2), (0.3, 2)),
    "kl_div": ((0.3, 2), (0.3, 2)), "beta": ((0.3, 3), (0.3, 3)), "betaln": ((0.3, 3), (0.3, 3)),
    "boxcox": ((0.3, 3), (-1, 1)), "boxcox1p": ((-0.3, 3), (-1, 1)), "inv_boxcox": ((0.1, 0.9), (-0.9, 0.9)),
    "inv_boxcox1p": ((0.1, 0.9), (-0.9, 0.9)), "huber": ((0.5, 1), (-2, 2)), "pseudo_huber": ((0.5, 1), (-2, 2)),
}  # fmt: skip
for _name, (_low, _high) in ONE_ARGUMENT.items():
    _f = getattr(sp, _name, None)
    if _f is not None:
        row(f"sp.{_name}", lambda x, f=_f: f(x), u(2, 3, low=_low, high=_high))
for _name, (_first, _second) in TWO_ARGUMENTS.items():
    _f = getattr(sp, _name)
    row(f"sp.{_name}", lambda x, y, f=_f: f(x, y), u(2, 1, low=_first[0], high=_first[1]),
        u(3, low=_second[0], high=_second[1]))  # fmt: skip
for _name in ("jv", "yv", "iv", "ive", "kv", "kve"):
    _f = getattr(sp, _name)
    row(f"sp.{_name}", lambda x, f=_f: f(np.arange(3)[:, None], x), u(4, low=0.5, high=4),
        float32=False)  # fmt: skip
for _name in ("gammainc", "gammaincc"):
    _f = getattr(sp, _name)
    row(f"sp.{_name}", lambda x, f=_f: f(1.7, x), u(4, low=0.3, high=4))
for _name in ("betainc", "betaincc"):
    _f = getattr(sp, _name)
    row(f"sp.{_name}", lambda x, f=_f: f(1.7, np.array([[0.6], [2.0]], x.dtype), x),
        u(4, low=0.1, high=0.9))  # fmt: skip
row("sp.kn, sp.yn", lambda x: (sp.kn(2, x), sp.yn(1, x)), u(4, low=0.5, high=4), float32=False)
row("sp.zeta", lambda x: sp.zeta(2.5, x), u(4, low=0.3, high=4))
row("sp.expn", lambda x: sp.expn(np.array([[0], [1], [3]]), x), u(4, low=0.5, high=4), float32=False)
row("sp.boxcox at 0", lambda x: sp.boxcox(x, np.zeros_like(x)), u(4, low=0.5, high=2))
row("sp.inv_boxcox near 0", lambda x, p: sp.inv_boxcox(x, p), u(3, low=0.5, high=2), np.array([0.0, 1e-4, -3e-3]))
row("sp.exprel at 0", lambda x: sp.exprel(x), np.array([0.0, 1e-9, -1e-5]))
row("sp.expit.outer", lambda x, y: sp.xlogy.outer(x, y), n(2), u(3))
