"""scipy.special on Symbols: where it is found, edges of the formulas, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as sp

import chainrule as cr
from chainrule.base.errors import DtypeError, NotDifferentiableError, TraceError, UnsupportedError
from chainrule.trace import special


def test_every_row_is_one_of_scipys_ufuncs() -> None:
    for name in special.ROWS:
        assert isinstance(getattr(sp, name, getattr(sp._ufuncs, name, None)), np.ufunc), name


def test_another_ufunc_of_the_same_name_is_not_taken_for_scipys() -> None:
    class Impostor:
        __name__ = "erf"

    assert special.find(Impostor()) is None


@pytest.mark.parametrize(("f", "at", "value", "slope"), [
    (lambda x: sp.xlogy(x, 2.0), 0.0, 0.0, np.log(2.0)),
    (lambda y: sp.xlogy(0.0, y), 0.0, 0.0, 0.0),
    (lambda y: sp.xlog1py(0.0, y), -1.0, 0.0, 0.0),
    (lambda x: sp.rel_entr(0.0, x), 0.5, 0.0, 0.0),
    (lambda x: sp.rel_entr(x, 1.0), -1.0, np.inf, 0.0),
    (lambda x: sp.kl_div(0.0, x), 0.5, 0.5, 1.0),
    (lambda x: sp.entr(x), 0.0, 0.0, np.inf),
    (lambda x: sp.entr(x), -1.0, -np.inf, 0.0),
    (lambda x: sp.rgamma(x), 0.0, 0.0, 1.0),
    (lambda x: sp.rgamma(x), -1.0, 0.0, -1.0),
    (lambda x: sp.rgamma(x), -2.0, 0.0, 2.0),
    (lambda x: sp.huber(-1.0, x), 2.0, np.inf, 0.0),
    (lambda x: sp.pseudo_huber(0.0, x), 2.0, 0.0, 0.0),
    (lambda x: sp.exprel(x), 0.0, 1.0, 0.5),
    (lambda p: sp.boxcox(2.0, p), 0.0, np.log(2.0), np.log(2.0) ** 2 / 2),
    (lambda p: sp.inv_boxcox(0.5, p), 0.0, np.exp(0.5), -np.exp(0.5) / 8),
    (lambda x: sp.expit(x), 800.0, 1.0, 0.0),
    (lambda x: sp.expit(x), -800.0, 0.0, 0.0),
    (lambda x: sp.log_expit(x), -800.0, -800.0, 1.0),
    (lambda x: sp.log_ndtr(x), -40.0, sp.log_ndtr(-40.0), np.exp(-800.0 - sp.log_ndtr(-40.0)) / np.sqrt(2 * np.pi)),
    (lambda x: sp.log_ndtr(x), 40.0, 0.0, 0.0),
    (lambda x: sp.ndtr(x), -30.0, sp.ndtr(-30.0), np.exp(-450.0) / np.sqrt(2 * np.pi)),
    (lambda x: sp.i0(x), 0.0, 1.0, 0.0),
    (lambda x: sp.i1(x), 0.0, 0.0, 0.5),
    (lambda x: sp.j1(x), 0.0, 0.0, 0.5),
    (lambda x: sp.cosm1(x), 1e-9, -5e-19, -1e-9),
    (lambda x: sp.logit(x), 0.5, 0.0, 4.0),
])  # fmt: skip
def test_edges(f: Callable[[Any], Any], at: float, value: float, slope: float) -> None:
    found, gradient = cr.value_and_grad(f)(at)
    np.testing.assert_allclose(found, value, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, rtol=1e-10, atol=1e-300)


def test_dtypes_are_scipys() -> None:
    for dtype in ("f2", "f4", "f8", "i1", "i4", "i8", "?"):
        x = np.array([0, 1], dtype)
        assert cr.jit(sp.erf)(x).dtype == sp.erf(x).dtype
        assert cr.jit(lambda v: sp.xlogy(2.0, v))(x).dtype == sp.xlogy(2.0, x).dtype
        assert cr.jit(lambda v: sp.jv(1, v))(x).dtype == sp.jv(1, x).dtype


def test_complex_numbers_are_refused_where_only_real_ones_are_known() -> None:
    z = np.array([1 + 1j])
    np.testing.assert_allclose(cr.jit(sp.log1p)(z), sp.log1p(z))
    with pytest.raises(DtypeError) as refused:
        cr.jit(sp.gamma)(z)
    wanted = "gamma is traced for real numbers only\n  expected: float32 or float64\n  got: complex128"
    assert str(refused.value).startswith(wanted)
    assert "test_special.py" in str(refused.value)


def test_a_derivative_nobody_knows_is_refused_not_zero() -> None:
    with pytest.raises(NotDifferentiableError) as refused:
        cr.grad(lambda n: sp.jv(n, 1.0))(1.5)
    assert str(refused.value).startswith(
        "the derivative with respect to argument 0 of jv is not known\n"
        "  expected: argument 0 of jv as a number that is not varied"
    )
    with pytest.raises(NotDifferentiableError, match="argument 0 of gammainc is not known"):
        cr.jvp(lambda a: sp.gammainc(a, 1.0), (1.5,), (1.0,))
    assert cr.jit(lambda n: sp.jv(n, 1.0))(1.5) == sp.jv(1.5, 1.0)
    np.testing.assert_allclose(cr.grad(lambda x: sp.jv(cr.stop_gradient(x), x))(1.5), sp.jvp(1.5, 1.5), rtol=1e-12)


def test_a_ufunc_without_a_row() -> None:
    with pytest.raises(UnsupportedError, match="the ufunc airy is not traced"):
        cr.grad(lambda x: sp.airy(x)[0])(1.0)


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax"])
def test_python_functions_say_how_to_be_traced(name: str) -> None:
    if "SCIPY_ARRAY_API" in os.environ:
        pytest.skip("they trace")
    with pytest.raises(TraceError) as refused:
        cr.grad(lambda x: np.sum(getattr(sp, name)(x)))(np.ones(3))
    assert (
        f"what to do: set SCIPY_ARRAY_API=1 in the environment before SciPy is imported, so that scipy.special.{name} "
        f"looks at what it gets; or use cr.nn.{name}"
    ) in str(refused.value)
    assert "converting to a plain ndarray would turn a traced value into a plain number" in str(refused.value)


def test_functions_that_only_take_arrays_say_so() -> None:
    with pytest.raises(TraceError, match="SciPy's polygamma takes plain arrays only: write it with NumPy's functions"):
        cr.grad(lambda x: sp.polygamma(1, x))(1.0)


PROGRAM = """
import sys
import numpy as np
import chainrule as cr
assert "scipy" not in sys.modules
import scipy.special as sp
x = np.array([[0.3, -1.0, 2.0], [1.0, 1.5, 0.0]])
for f in (sp.logsumexp, sp.softmax, sp.log_softmax):
    for options in ({}, {"axis": 1}, {"axis": 0}):
        np.testing.assert_allclose(cr.vjp(lambda v: f(v, **options), x)[0], f(x, **options), rtol=1e-12)
        cr.check_grads(lambda v: f(v, **options), (x,))
        assert cr.jit(lambda v: f(v, **options))(x.astype("f4")).dtype == np.float32
    np.testing.assert_allclose(cr.vmap(f)(x), np.stack([f(row) for row in x]), rtol=1e-12)
print("traced")
"""


def test_python_functions_trace_through_the_array_api() -> None:
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert done.stdout == "traced\n", done.stderr


def test_gelu_needs_no_scipy() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None; import numpy as np, chainrule as cr\n"
        "print(cr.grad(lambda x: cr.nn.gelu(x))(1.0))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    x = 1.0
    expected = sp.ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(float(done.stdout), expected, rtol=1e-14)


def test_without_scipy_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['scipy'] = None; import numpy as np\n"
        "from chainrule.base.errors import UnsupportedError\n"
        "from chainrule.ops.special import gammaln\n"
        "try:\n    gammaln(np.array([1.5]))\nexcept UnsupportedError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "this special function is computed by SciPy, which is not installed" in done.stdout, done.stderr
    assert "what to do: pip install 'chainrule[special]'" in done.stdout
