"""What the special functions are compared with: SciPy's functions of the same names, and integrals by mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import scipy.special
from samples import _REFERENCE, Sample, add, normal, whole


def _typed(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` in the dtype of its last argument, which the op keeps."""
    return lambda *args: np.asarray(f(*args), np.asarray(args[-1]).dtype)


def _phi(k: Any, x: Any) -> Any:
    def one(k: float, x: float) -> float:
        return float(mpmath.quad(lambda t: mpmath.exp((1 - t) * x) * t ** (k - 1) / mpmath.gamma(k), [0, 1]))

    return np.vectorize(one, otypes=[float])(k, x)


def _whole_order(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda n, x: f(np.asarray(n).astype(int), x)


for _name in (
    "erf", "erfc", "erfcx", "erfinv", "erfcinv", "dawsn", "log_ndtr", "gammaln", "digamma", "gamma", "rgamma", "beta",
    "betaln", "gammainc", "gammaincc", "zeta", "expi", "xlogy", "xlog1py", "logit", "jv", "yv", "iv", "ive", "kv",
    "kve",
):  # fmt: skip
    _REFERENCE[_name] = _typed(getattr(scipy.special, _name))
_REFERENCE["polygamma"] = _typed(_whole_order(scipy.special.polygamma))
_REFERENCE["expn"] = _typed(_whole_order(scipy.special.expn))
_REFERENCE["phi"] = _typed(_phi)

add("betainc", Sample((np.array([1.5, 0.7, 3.0]), np.array([2.0, 1.5, 0.6]), np.array([0.3, 0.6, 0.5])),
                      value=scipy.special.betainc))  # fmt: skip
# The second is of integers, as it refuses derivatives: tests/trace/test_special.py asserts the refusal.
add("fixed", Sample((normal(2, 3), whole(0, 5, 3)), {"what": "the order"}, value=lambda x, n: x + 0))
