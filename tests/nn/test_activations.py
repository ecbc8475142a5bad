"""Activations against torch and mpmath-free identities, in both dtypes, in the tails and at infinity."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule import nn
from chainrule.base.errors import OptionError

POINTS = np.concatenate([np.linspace(-6, 6, 49), [-0.0, 1e-8, -1e-8, 30, -30, 80, -80]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", nn.activations)
def test_against_torch(name, dtype):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    reference = {
        "identity": lambda x: x,
        "leaky_relu": functional.leaky_relu,
        "log_sigmoid": functional.logsigmoid,
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        # torch's own softplus is linear above its threshold; beyond float64's precision it isn't ours to repeat.
        "softplus": lambda x: functional.softplus(x, threshold=100),
    }.get(name) or getattr(functional, name)
    x = np.stack([POINTS, POINTS[::-1]]).astype(dtype)
    result = nn.activations[name](x)
    expected = reference(torch.tensor(x)).numpy()
    assert result.dtype == dtype
    eps = np.finfo(dtype).eps
    # The absolute part covers results that torch forms by cancellation (gelu's left tail, sums of logarithms).
    np.testing.assert_allclose(result, expected, rtol=60 * eps, atol=20 * eps)


@pytest.mark.parametrize("name", nn.activations)
def test_extreme_inputs_make_no_nan_and_no_warning(name):
    if name in ("silu", "gelu"):
        x = np.array([-1e30, -1e4, 0.0, 1e4, 1e30])
    else:
        x = np.array([-1e30, -1e4, -745.0, 0.0, 745.0, 1e4, 1e30])
    assert np.all(np.isfinite(nn.activations[name](x)))
    with np.errstate(invalid="ignore"):
        assert np.all(np.isnan(nn.activations[name](np.array([np.nan, np.nan]))))


@pytest.mark.parametrize("name", nn.activations)
def test_scalars_and_empty_arrays(name):
    if not name.endswith("softmax"):
        assert np.shape(nn.activations[name](np.float32(0.3))) == ()
        assert nn.activations[name](np.array(0.3, np.float32)).dtype == np.float32
    assert nn.activations[name](np.zeros((0, 3))).shape == (0, 3)


def test_values_by_hand():
    np.testing.assert_array_equal(nn.relu(np.array([-2.0, 0.0, 3.0])), [0, 0, 3])
    np.testing.assert_array_equal(nn.leaky_relu(np.array([-2.0, 0.0, 3.0]), 0.5), [-1, 0, 3])
    np.testing.assert_allclose(nn.elu(np.array([-np.log(2), 2.0]), 3.0), [-1.5, 2])
    np.testing.assert_allclose(nn.softplus(np.array([0.0, 800.0, -800.0])), [np.log(2), 800, 0], rtol=1e-15)
    np.testing.assert_allclose(nn.sigmoid(np.array([0.0, np.log(3)])), [0.5, 0.75], rtol=1e-15)
    np.testing.assert_allclose(nn.gelu(np.array([1.0])), [0.8413447460685429], rtol=1e-15)


def test_tails_keep_their_relative_precision():
    assert nn.sigmoid(np.array(-700.0)) == pytest.approx(np.exp(-700.0), rel=1e-12)
    assert nn.softplus(np.array(-700.0)) == pytest.approx(np.exp(-700.0), rel=1e-12)
    # Φ(-10) = 7.619853024160527e-24
    assert nn.gelu(np.array(-10.0)) == pytest.approx(-7.619853024160527e-23, rel=1e-12)


def test_gelu_tanh_form_is_close():
    torch = pytest.importorskip("torch")
    expected = torch.nn.functional.gelu(torch.tensor(POINTS), approximate="tanh").numpy()
    np.testing.assert_allclose(nn.gelu(POINTS, approximate="tanh"), expected, rtol=1e-12, atol=1e-14)
    assert np.max(np.abs(nn.gelu(POINTS) - nn.gelu(POINTS, "tanh"))) < 1e-3


def test_softmax_sums_to_one_and_shifts():
    x = np.random.default_rng(0).normal(size=(4, 5, 3)) * 50
    for axis in (0, 1, -1):
        result = nn.softmax(x, axis)
        np.testing.assert_allclose(result.sum(axis), 1)
        np.testing.assert_allclose(nn.softmax(x + 1000, axis), result, rtol=1e-10)
        np.testing.assert_allclose(np.exp(nn.log_softmax(x, axis)), result, rtol=1e-12)
    np.testing.assert_array_equal(nn.softmax(np.array([0.0, -np.inf])), [1, 0])


def test_logsumexp():
    special = pytest.importorskip("scipy.special")
    x = np.random.default_rng(0).normal(size=(4, 5, 3)) * 100
    for axis in (None, 0, -1, (0, 2)):
        for keepdims in (False, True):
            expected = special.logsumexp(x, axis=axis, keepdims=keepdims)
            result = nn.logsumexp(x, axis, keepdims)
            assert np.shape(result) == np.shape(expected)
            np.testing.assert_allclose(result, expected, rtol=1e-14)
    assert nn.logsumexp(np.array([1000.0, 1000.0])) == pytest.approx(1000 + np.log(2))
    assert nn.logsumexp(np.array([-np.inf, -np.inf])) == -np.inf
    assert nn.logsumexp(np.array([np.inf, 0.0])) == np.inf
    assert nn.logsumexp(np.zeros(3, np.float32)).dtype == np.float32


def test_unknown_names_list_the_valid_ones():
    assert nn.activation("tanh") is nn.tanh
    assert nn.activation(np.tanh) is np.tanh
    with pytest.raises(OptionError) as caught:
        nn.activation("rleu")
    for part in ("unknown value for activation", "leaky_relu", "log_softmax", "got: 'rleu'"):
        assert part in str(caught.value)
    with pytest.raises(OptionError, match="one of: none, tanh"):
        nn.gelu(POINTS, approximate="erf")
