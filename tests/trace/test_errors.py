"""What would lose a gradient, or can't be traced, raises; what NumPy does hand over works."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.base.errors import (
    ChainruleError,
    DtypeError,
    LeakedSymbolError,
    NotDifferentiableError,
    OptionError,
    ShapeError,
    TraceError,
    UnsupportedError,
)

X = np.array([1.0, 2.0, 3.0])
ADVICE = (
    "  what to do: np.stack or np.concatenate to join values; np.array([...], like=x), np.zeros_like(x), "
    "np.full_like(x, …) to make arrays; NumPy's functions instead of math's; cr.stop_gradient(x) where no gradient is "
    "wanted"
)


def message(f: Callable[[Any], Any], error: type[ChainruleError], transform: Any = cr.grad, x: Any = X) -> str:
    """The text of the error that ``transform(f)`` raises, without its line numbers."""
    with pytest.raises(error) as caught:
        transform(f)(x)
    lines = str(caught.value).splitlines()
    where = [line for line in lines if line.startswith("  where:")]
    assert len(where) == 1
    assert "test_errors.py:" in where[0]
    return "\n".join(line for line in lines if not line.startswith("  where:"))


def lossy(what: str, spec: str) -> str:
    return (
        f"{what} would turn a traced value into a plain number and lose its gradient\n"
        f"  expected: NumPy functions that keep tracing\n  got: a Symbol {spec}\n{ADVICE}"
    )


def into_array(x: Any) -> Any:
    a = np.zeros(3)
    a[0] = x[0]
    return a.sum()


@pytest.mark.parametrize(
    ("f", "what", "spec"),
    [
        (lambda x: float(x[0]), "float()", "f64[]"),
        (lambda x: int(x[0]), "int()", "f64[]"),
        (lambda x: complex(x[0]), "complex()", "f64[]"),
        (lambda x: math.exp(x[0]), "float()", "f64[]"),
        (lambda x: x[0].item(), ".item()", "f64[]"),
        (lambda x: x.tolist()[0], ".tolist()", "f64[3]"),
        (lambda x: np.asarray(x).sum(), "converting to a plain ndarray", "f64[3]"),
        (lambda x: np.array([x[0], 1.0]).sum(), "converting to a plain ndarray", "f64[]"),
        (lambda x: np.full(3, x[0]).sum(), "converting to a plain ndarray", "f64[]"),
        (lambda x: np.ones(3).dot(x), "converting to a plain ndarray", "f64[3]"),
        (lambda x: np.r_[x, 1.0].sum(), "converting to a plain ndarray", "f64[3]"),
        (lambda x: np.c_[x, x].sum(), "converting to a plain ndarray", "f64[3]"),
        (lambda x: np.vectorize(lambda t: t * t)(x).sum(), "converting to a plain ndarray", "f64[3]"),
    ],
)
def test_what_would_lose_the_gradient_raises(f: Any, what: str, spec: str) -> None:
    assert message(f, TraceError) == lossy(what, spec)


@pytest.mark.parametrize("f", [into_array, lambda x: np.float64(x[0]), lambda x: np.arange(x[0]).sum()])
def test_more_that_would_lose_the_gradient(f: Any) -> None:
    assert "would turn a traced value into a plain number and lose its gradient" in message(f, TraceError)


@pytest.mark.parametrize(
    "f", [lambda x: operator.index(x[0]), lambda x: [1, 2, 3][x[0]], lambda x: sum(range(x[0]))]
)  # fmt: skip
def test_floats_are_no_indices(f: Any) -> None:
    assert "using it as an index would turn a traced value into a plain number" in message(f, TraceError)


def test_a_write_into_a_plain_array() -> None:
    a = np.zeros(3)
    for f in (lambda x: np.add(x, 1.0, out=a).sum(), lambda x: operator.iadd(a, x).sum()):
        assert message(f, TraceError) == (
            "a traced value is written into a plain ndarray, which can't hold it\n"
            "  expected: an array made from a traced one: np.zeros_like(x), np.zeros(n, like=x), x.copy()\n"
            "  got: an ndarray of shape (3,) as the target of add\n"
            "  what to do: write a = a + x instead of a += x, or make a with np.zeros_like(x)"
        )
    text = message(lambda x: np.sum(x, 0, None, np.zeros(())), TraceError)
    assert "got: an ndarray of shape () as the target of sum" in text


@pytest.mark.parametrize(
    "f",
    [lambda x: np.add.at(np.zeros(3), [0], x[0]), lambda x: np.copyto(np.zeros(3), x),
     lambda x: np.place(np.zeros(3), x > 0, [1.0]), lambda x: np.putmask(np.zeros(3), x > 0, x),
     lambda x: np.fill_diagonal(np.zeros((2, 2)), x[0]), lambda x: np.put_along_axis(np.zeros(3), np.array([0]), x, 0)],
)  # fmt: skip
def test_functions_that_write_refuse_a_plain_array(f: Any) -> None:
    def whole(x: Any) -> Any:
        f(x)
        return x.sum()

    try:
        text = message(whole, TraceError)
    except pytest.fail.Exception:
        raise
    assert "plain ndarray" in text


def test_branching_without_a_value() -> None:
    assert message(lambda x: x if x.sum() > 0 else -x, TraceError, cr.jit) == (
        "this needs the value of a Symbol that has none\n"
        "  expected: code whose path does not depend on values: under jit, vmap and inside loops there are none\n"
        "  got: a Symbol bool[]\n"
        "  what to do: np.where for a choice by element; cr.cond for a branch; cr.scan, cr.fori_loop or cr.while_loop "
        "for a loop; static_argnums for arguments that are plain Python values"
    )


def test_with_a_value_branching_and_printing_work(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        print(f"{x[0]:.2f}", x[1])
        while x.sum() < 10:
            x = x * 2
        return (x**2).sum() if x[0] > 0 else x.sum()

    np.testing.assert_array_equal(cr.grad(f)(X), 8 * X)
    assert capsys.readouterr().out == "1.00 2.0\n"


def test_a_leaked_symbol() -> None:
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(x)
        return x.sum()

    cr.grad(f)(X)
    with pytest.raises(LeakedSymbolError) as error:
        kept[0] + 1
    assert str(error.value).startswith("a Symbol was used after the function that made it returned\n")
    assert "got: a Symbol of the finished trace of f" in str(error.value)
    assert repr(kept[0]) == "Symbol(used after its function returned)"


def test_shapes_that_do_not_fit_name_the_line() -> None:
    assert message(lambda x: x + np.ones(4), ShapeError) == (
        "add: shapes do not broadcast together\n"
        "  expected: sizes that are equal, or 1, in every axis counted from the last\n"
        "  got: (3,) and (4,)\n"
        "  what to do: reshape one of them, or give it axes of size 1 (x[:, None]), so that the sizes line up"
    )
    assert message(lambda x: x.reshape(2, 2), ShapeError).startswith("the sizes before and after reshaping differ\n")
    assert message(lambda x: np.concatenate([x, x[None]]), ShapeError).startswith("concatenate: arrays to concatenate")
    assert message(lambda x: np.stack([x, x[:2]]), ShapeError).startswith("arrays to stack differ in shape\n")


def test_unknown_functions() -> None:
    for f, name in (
        (lambda x: np.histogram2d(x, x), "numpy.histogram2d"),
        (lambda x: np.packbits(x), "numpy.packbits"),
    ):
        assert message(f, UnsupportedError) == (
            f"{name} is not traced\n"
            "  expected: a NumPy function that chainrule knows the derivative of, or states to have none\n"
            f"  got: {name}\n"
            "  what to do: write it with functions that are traced, or give its derivative with cr.custom_vjp"
        )
    assert message(np.isnat, UnsupportedError).startswith("the ufunc isnat is not traced\n")


def test_unknown_options() -> None:
    assert message(lambda x: np.quantile(x, 0.5, weights=X), UnsupportedError).startswith(
        "np.quantile is traced, but not with weights\n"
    )
    assert message(lambda x: np.exp(x, where=X > 1), UnsupportedError).startswith(
        "the ufunc exp is traced, but not with where= and no out=: it leaves places without a number\n"
    )
    assert message(lambda x: np.pad(x, 1, mode="mirror"), OptionError).startswith(
        "unknown value for np.pad's mode\n  expected: one of: constant, edge, reflect, symmetric, wrap, linear_ramp, "
    )
    assert message(lambda x: np.convolve(x, x, "all"), OptionError).startswith("unknown value for np.convolve's mode\n")
    assert message(lambda x: np.max(x, where=X > 1), OptionError).startswith("np.max with where= has nothing to give")


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: np.max(x[:0]), "the largest or smallest of no elements"),
        (lambda x: np.median(x[:0], axis=0) + np.quantile(x[:0], 0.5), "the quantile of no elements"),
        (lambda x: np.sum(x, axis=1), "axis out of range"),
        (lambda x: np.sum(x[None], axis=(0, 0)), "an axis is named twice"),
        (lambda x: np.cross(x[:2], x), "the cross product's first argument does not hold vectors of 3 numbers"),
        (lambda x: np.split(x, 2), "np.split: the parts would differ in size"),
        (lambda x: np.average(x, weights=[1.0, 2.0]), "np.average: the weights do not fit"),
        (lambda x: np.diag(x[None, None]), "Input must be 1- or 2-d."),
        (lambda x: np.squeeze(x[None], 1), "only axes of size 1 can be dropped"),
        (lambda x: np.transpose(x[None], (0, 0)), "not an order of the axes"),
        (lambda x: np.interp(x, x, x[:2]), "np.interp: the data points are two vectors of one size, 1 or more"),
        (lambda x: np.block([[x], x]), "np.block: lists are nested to different depths"),
        (lambda x: np.gradient(x[:1]), "np.gradient needs more elements along the axis"),
        (lambda x: np.piecewise(x, [x > 1], [1.0, 2.0, 3.0]), "np.piecewise: wrong number of functions"),
        (lambda x: np.pad(x, -1), "np.pad can't take negative widths"),
        (lambda x: np.select([x > 1], []), "np.select takes as many choices as conditions"),
        (lambda x: np.quantile(x, 1.5), "np.quantile: Quantiles must be in the range [0, 1]"),
    ],
)
def test_shapes_that_functions_refuse(f: Any, words: str) -> None:
    with pytest.raises(ShapeError) as error:
        cr.jit(f)(X)
    assert str(error.value).startswith(words) or words in str(error.value).splitlines()[0]


def test_dtypes_without_a_loop() -> None:
    assert message(lambda x: x & 1, DtypeError).startswith("bitwise_and: bitwise_and is not defined for these dtypes\n")


def test_integers_have_no_gradient() -> None:
    with pytest.raises(NotDifferentiableError, match="grad with respect to an argument that is not of float dtype"):
        cr.grad(lambda x: x.sum())(np.arange(3))
    with pytest.raises(NotDifferentiableError, match="returns int64"):
        cr.grad(lambda x: np.argmax(x))(X)


def test_what_numpy_hands_over_works() -> None:
    def f(x: Any) -> Any:
        made = [
            np.ones((2, 3)) @ x,
            np.array([x[0], 2.0], like=x),
            np.full(2, x[1], like=x),
            np.dot(np.ones(3), x),
            np.concatenate([np.ones(1), x]),
            np.where([True, False, True], np.zeros(3), x),
            np.linspace(0.0, x[0], 3),
            np.add.outer(np.ones(2), x),
            np.stack([x[0], 1.0]),
        ]
        return sum(np.sum(m) for m in made)

    cr.check_grads(f, (X,))


def test_inner_functions_do_not_write_to_outer_arrays() -> None:
    def f(x: Any) -> Any:
        def inner(y: Any) -> Any:
            x[0] = y
            return y

        return cr.grad(inner)(x[1])

    text = message(f, TraceError)
    assert text.startswith("an array of the enclosing function is written to inside an inner function\n")
