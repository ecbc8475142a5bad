"""The error functions against mpmath: units in the last place, on every interval and at its ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from chainrule.ops import erf as numeric

EXACT: dict[str, Callable[..., Any]] = {
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
}
EDGES = [numeric.SMALL, 1.0, numeric.LARGE]


def ulps(name: str, x: Any) -> float:
    """The largest error, in units in the last place."""
    worst = 0.0
    with mpmath.workdps(40):
        for value, given in zip(getattr(numeric, name)(x), x, strict=True):
            exact = EXACT[name](mpmath.mpf(float(given)))
            spacing = np.spacing(np.abs(x.dtype.type(exact)))
            worst = max(worst, float(abs(mpmath.mpf(float(value)) - exact) / mpmath.mpf(float(spacing))))
    return worst


def points(low: float, high: float) -> Any:
    rng = np.random.default_rng(5)
    edges = [np.nextafter(s * e, s * e + d) for e in EDGES for s in (1, -1) for d in (-1, 1)] + EDGES
    tiny = 10.0 ** rng.uniform(-300, -1, 50)
    x = np.concatenate([rng.uniform(low, high, 800), rng.uniform(-1, 1, 200), edges, tiny, -tiny, [0.0]])
    return x[(x >= low) & (x <= high)]


@pytest.mark.parametrize(("name", "low", "high", "room"), [
    ("erf", -7.0, 7.0, 1.0), ("erfc", -7.0, 26.0, 8.0), ("erfcx", -20.0, 100.0, 8.0),
])  # fmt: skip
def test_units_in_the_last_place(name: str, low: float, high: float, room: float) -> None:
    assert ulps(name, points(low, high)) <= room


@pytest.mark.parametrize("name", ["erf", "erfc", "erfcx"])
def test_float32_is_rounded_once(name: str) -> None:
    x = points(-3.0, 5.0).astype(np.float32)
    found = getattr(numeric, name)(x)
    assert found.dtype == np.float32
    assert ulps(name, x[np.abs(x) > 1e-30]) <= 0.5001


def test_ends_and_what_is_not_a_number() -> None:
    x = np.array([0.0, np.inf, -np.inf, np.nan, 1e300, -1e300])
    np.testing.assert_array_equal(numeric.erf(x), [0, 1, -1, np.nan, 1, -1])
    np.testing.assert_array_equal(numeric.erfc(x), [1, 0, 2, np.nan, 0, 2])
    np.testing.assert_array_equal(numeric.erfcx(x)[:4], [1, 0, np.inf, np.nan])
    assert np.signbit(numeric.erf(-0.0))
    assert numeric.erf(1e-320) > 0


def test_shapes_and_dtypes() -> None:
    assert numeric.erf(np.zeros((0, 3))).shape == (0, 3)
    assert numeric.erf(np.float32(0.5)).dtype == np.float32
    assert numeric.erf(np.ones((2, 3), np.float16)).dtype == np.float16
    assert numeric.erf(np.array([1, 2])).dtype == np.float64
    x = np.arange(12.0).reshape(3, 4).T
    np.testing.assert_array_equal(numeric.erf(x), numeric.erf(x.copy()))
