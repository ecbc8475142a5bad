"""Initialisers: moments, bounds, orthogonality, reproducibility, errors."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import nn
from chainrule.base.errors import DtypeError, OptionError, ShapeError

SHAPE = (300, 200)
VARIANCE = {"glorot": 2 / 500, "he": 2 / 300, "lecun": 1 / 300}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("law", ["uniform", "normal"])
@pytest.mark.parametrize("family", VARIANCE)
def test_moments(family, law, dtype):
    draw = nn.init.initializers[f"{family}_{law}"]
    weight = draw(np.random.default_rng(0), SHAPE, dtype)
    assert weight.shape == SHAPE
    assert weight.dtype == dtype
    assert weight.mean() == pytest.approx(0, abs=4 * np.sqrt(VARIANCE[family] / 60_000))
    assert weight.var() == pytest.approx(VARIANCE[family], rel=0.03)
    if law == "uniform":
        bound = np.sqrt(3 * VARIANCE[family])
        assert 0.999 * bound < np.abs(weight).max() <= bound * (1 + 1e-6)
    else:
        kurtosis = np.mean(weight.astype(float) ** 4) / np.mean(weight.astype(float) ** 2) ** 2
        assert kurtosis == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("name", nn.init.initializers)
def test_reproducible_and_the_same_in_both_precisions(name):
    draw = nn.init.initializers[name]
    double = draw(np.random.default_rng(1), (5, 4), np.float64)
    np.testing.assert_array_equal(double, draw(np.random.default_rng(1), (5, 4), np.float64))
    np.testing.assert_array_equal(double.astype(np.float32), draw(np.random.default_rng(1), (5, 4), np.float32))


@pytest.mark.parametrize("shape", [(6, 6), (7, 3), (3, 7), (2, 3, 4)])
def test_orthogonal(shape):
    weight = nn.init.orthogonal(np.random.default_rng(0), shape, np.float64).reshape(-1, shape[-1])
    product = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
    np.testing.assert_allclose(product, np.eye(min(weight.shape)), atol=1e-14)


def test_orthogonal_is_uniform_over_signs():
    first = [nn.init.orthogonal(np.random.default_rng(s), (3, 3), np.float64)[0, 0] for s in range(400)]
    assert abs(np.mean(first)) < 4 * np.sqrt(1 / 3 / 400)


def test_filled():
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(nn.init.zeros(rng, (2,)), np.zeros(2))
    np.testing.assert_array_equal(nn.init.constant(0.5)(rng, (2, 3), np.float32), np.full((2, 3), 0.5, np.float32))
    inside = nn.init.uniform(1.0, 2.0)(rng, (1000,), np.float64)
    assert inside.min() >= 1
    assert inside.max() < 2
    normal = nn.init.normal(5.0, 0.1)(rng, (10_000,), np.float32)
    assert normal.mean() == pytest.approx(5, abs=0.01)
    assert normal.std() == pytest.approx(0.1, rel=0.05)


def test_fans_of_a_window():
    assert nn.init.fans((3, 3, 8, 16)) == (72, 144)
    assert nn.init.he_normal(np.random.default_rng(0), (0, 4), np.float32).shape == (0, 4)


@pytest.mark.parametrize(
    ("call", "error", "parts"),
    [
        (lambda rng: nn.init.he_normal(rng, (3,), np.float32), ShapeError, ["(..., n_in, n_out)", "shape (3,)"]),
        (lambda rng: nn.init.orthogonal(rng, (3,), np.float32), ShapeError, ["shape (3,)"]),
        (lambda rng: nn.init.zeros(rng, (3,), np.int64), DtypeError, ["float32 or float64", "got: int64"]),
        (lambda rng: nn.init.uniform(2.0, 1.0), OptionError, ["low <= high", "low=2.0"]),
        (lambda rng: nn.init.normal(0.0, -1.0), OptionError, ["std >= 0", "std=-1.0"]),
        (lambda rng: nn.init.initializer("xavier"), OptionError, ["unknown value for weight_init", "glorot_normal"]),
    ],
)
def test_bad_input(call, error, parts):
    with pytest.raises(error) as caught:
        call(np.random.default_rng(0))
    for part in parts:
        assert part in str(caught.value)
