"""Forty programs that stop being finite, as users write them: the right op, line and pattern for each, with a cure.

The line that is to be named carries the comment ``# here``.  Each program runs as it is, and under ``cr.jit``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.base import trees
from chainrule.explain.nonfinite import find_nonfinite

RNG = np.random.default_rng(0)
F32 = np.float32


class Program(NamedTuple):
    """``op``: where it begins (with a prime for a derivative).  ``cured``: what trying the remedy has to say."""

    f: Callable[..., Any]
    args: tuple[Any, ...]
    op: str
    pattern: str
    cured: bool | None = True


PROGRAMS: dict[str, Program] = {}


def program(op: str, pattern: str, *args: Any, cured: bool | None = True) -> Callable[..., Any]:
    def put(f: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[f.__name__] = Program(f, args, op, pattern, cured)
        return f

    return put


# ---------------------------------------------------------------------------------------------------------- exp


@program("exp", "softmax without a shift", np.array([[1.0, 2.0], [1000.0, 3.0]]), np.array([0, 0]))
def softmax_without_shift(scores: Any, labels: Any) -> Any:
    raised = np.exp(scores)  # here
    p = raised / raised.sum(axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(2), labels] + 1e-9))


@program("div", "softmax without a shift", np.array([-800.0, -900.0]))
def softmax_that_underflows(scores: Any) -> Any:
    raised = np.exp(scores)
    p = raised / np.sum(raised)  # here
    return p[0]


@program("exp", "log-sum-exp without a shift", np.array([[800.0, 1.0], [2.0, 3.0]]))
def partition_function(energy: Any) -> Any:
    z = np.sum(np.exp(energy), axis=-1)  # here
    return np.log(z).sum()


@program("log", "log-sum-exp without a shift", np.array([-1000.0, -2000.0]))
def partition_function_of_nothing(energy: Any) -> Any:
    return np.log(np.sum(np.exp(energy)))  # here


@program("exp", "softplus without a shift", np.array([1.0, 800.0]))
def softplus_by_hand(x: Any) -> Any:
    return np.sum(np.log(1 + np.exp(x)))  # here


@program("exp", "softplus without a shift", np.array([1.0, 100.0], F32))
def softplus_with_log1p(x: Any) -> Any:
    y = np.exp(x)  # here
    return np.mean(np.log1p(y))


@program("exp", "sigmoid written with exp(x)", np.array([-3.0, 710.0]))
def sigmoid_by_hand(x: Any) -> Any:
    e = np.exp(x)  # here
    return (e / (1 + e)).mean()


@program("exp", "tanh written with exp", np.array([0.5, 900.0]))
def tanh_by_hand(x: Any) -> Any:
    up, down = np.exp(x), np.exp(-x)  # here
    return np.sum((up - down) / (up + down))


@program("exp", "exp overflow", np.array([0.1, 50.0]))
def poisson_rate(x: Any) -> Any:
    rate = np.exp(x * x)  # here
    return np.mean(rate - 3 * x)


@program("sinh", "exp overflow", np.array([1.0, 711.0]))
def catenary(x: Any) -> Any:
    return np.sum(np.sinh(x))  # here


# ---------------------------------------------------------------------------------------------------------- log


@program("log", "log of 0", np.array([0.2, 0.0, 0.8]), np.array([0.5, 0.25, 0.25]))
def cross_entropy_of_probabilities(p: Any, q: Any) -> Any:
    logs = np.log(p)  # here
    return -np.sum(q * logs)


@program("log", "log of a softmax that underflowed", np.array([[0.0, -1000.0]]))
def log_of_shifted_softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    return -np.log(p)[0, 1]  # here


@program("log", "log of a sigmoid that underflowed", np.array([-800.0, 2.0]))
def log_of_sigmoid(x: Any) -> Any:
    p = nn.sigmoid(x)
    return -np.mean(np.log(p))  # here


@program("log", "log of 1 - sigmoid, which rounds to 0", np.array([40.0, 2.0]))
def binary_cross_entropy(x: Any) -> Any:
    p = 1 / (1 + np.exp(-x))
    return -np.mean(np.log(1 - p))  # here


@program("log", "0·∞ behind a mask", np.array([0.0, 0.5, 0.5]))
def entropy(p: Any) -> Any:
    return -np.sum(p * np.log(p))  # here


@program("log", "log of a negative number", np.array([2.0, 3.0]))
def log_of_a_margin(x: Any) -> Any:
    margin = x[0] - x[1]
    return np.log(margin)  # here


@program("log1p", "log1p of -1", np.array([0.5, -1.0]))
def log_return(change: Any) -> Any:
    return np.sum(np.log1p(change))  # here


@program("log", "0·∞ behind a masked where", np.array([0.3]), np.array([[0.0], [2.0]]), np.array([False, True]))
def masked_rows(w: Any, x: Any, keep: Any) -> Any:
    features = np.log(x)  # here
    scores = features @ w
    return np.sum(np.where(keep, scores, 0.0) ** 2)


# ----------------------------------------------------------------------------------------------------- division


@program("div", "0/0", np.array([0.0, 1.0]), np.array([0.0, 2.0]))
def ratio(hits: Any, tries: Any) -> Any:
    return np.sum(hits / tries)  # here


@program("div", "division by 0", np.array([0.5, 0.0]))
def inverse_distance(d: Any) -> Any:
    weights = 1 / d  # here
    return np.sum(weights)


@program("div", "division by a spread of 0", np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]]))
def standardise(x: Any) -> Any:
    z = (x - x.mean(axis=0)) / x.std(axis=0)  # here
    return np.sum(z**2)


@program("div", "division by a spread of 0", np.array([3.0, 3.0, 3.0]))
def standardise_by_hand(x: Any) -> Any:
    centred = x - np.mean(x)
    spread = np.sqrt(np.mean(centred**2))
    return np.sum((centred / spread) ** 3)  # here


@program("div", "division by a spread of 0", np.zeros(3), np.ones(3))
def cosine_similarity(a: Any, b: Any) -> Any:
    dot = a @ b
    return dot / np.sqrt(np.sum(a * a))  # here


@program("div", "mean of no elements", np.array([1.0, 2.0]))
def mean_of_a_selection(x: Any) -> Any:
    chosen = x[2:]
    return np.mean(chosen)  # here


# ---------------------------------------------------------------------------------------- roots, powers, angles


@program("sqrt", "square root of a negative number", np.array([1.0, 1.0, 1.1]))
def variance_by_moments(x: Any) -> Any:
    variance = np.mean(x**2) - np.mean(x) ** 2 - 0.01
    return np.sqrt(variance)  # here


@program("sqrt′", "norm at 0", np.zeros(3))
def length(x: Any) -> Any:
    return np.sqrt(np.sum(x**2))  # here


@program("sqrt′", "sqrt′(0)", np.array([4.0, 0.0]))
def root_of_features(x: Any) -> Any:
    return np.sum(np.sqrt(x))  # here


@program("pow′", "slope of a fractional power at 0", np.array([0.0, 2.0]))
def power_law(x: Any) -> Any:
    return np.sum(x**0.5)  # here


@program("pow", "0 to a negative power", np.array([0.0, 2.0]))
def gravity(r: Any) -> Any:
    return np.sum(r**-2.0)  # here


@program("pow", "fractional power of a negative number", np.array([-1.0, 2.0]))
def gamma_correction(pixel: Any) -> Any:
    return np.mean(pixel**2.2)  # here


@program("arccos′", "slope of arccos or arcsin at ±1", np.array([0.0, 1.0]))
def angle(cosine: Any) -> Any:
    return np.sum(np.arccos(cosine))  # here


@program("arccos", "angle of a sine or cosine beyond 1", np.array([1.0, 1.0]), np.array([1.0, 1.0000001]))
def angle_between(a: Any, b: Any) -> Any:
    cosine = a @ b / 2
    return np.arccos(cosine)  # here


@program("arctanh", "arctanh at or beyond 1", np.array([0.5, 1.0]))
def fisher_transform(r: Any) -> Any:
    return np.arctanh(r).sum()  # here


@program("arctan2′", "angle of the origin", np.array([0.0, 1.0]), np.array([0.0, 1.0]))
def heading(north: Any, east: Any) -> Any:
    return np.sum(np.arctan2(north, east))  # here


# ------------------------------------------------------------------------------------------ masks and overflow


@program("sub", "inf - inf: a row that is masked as a whole", RNG.normal(size=(2, 3)), np.array([[1, 1, 0], [0, 0, 0]]))
def attention(scores: Any, mask: Any) -> Any:
    hidden = np.where(mask == 1, scores, -np.inf)
    shifted = hidden - np.max(hidden, axis=1, keepdims=True)  # here
    e = np.exp(shifted)
    return np.sum((e / e.sum(axis=1, keepdims=True)) ** 2)


@program("mul", "overflow of a narrow dtype", np.array([300.0, 2.0], np.float16))
def squares_in_half_precision(x: Any) -> Any:
    return np.mean(x * x)  # here


@program("pow", "overflow of a narrow dtype", np.array([1e20, 2.0], F32))
def squared_error(prediction: Any) -> Any:
    difference = prediction - 1
    return np.sum(difference**2)  # here


@program("mul", "overflow of squares", np.array([1e200, 1e200]))
def length_of_a_long_vector(x: Any) -> Any:
    return np.sqrt(np.sum(x * x))  # here


@program("cast", "overflow of a cast", np.array([1e6, 1.0]))
def to_half_precision(x: Any) -> Any:
    return np.sum(x.astype(np.float16))  # here


@program("div′", "slope of a quotient with a tiny divisor", np.array([1.0]), np.array([1e-200]))
def slope_of_a_quotient(a: Any, b: Any) -> Any:
    return np.sum(a / b)  # here


# ---------------------------------------------------------------------------- nested: layers, loops, checkpoints

MODEL = nn.MLP.init((3, 4, 2), activation="tanh", rng=np.random.default_rng(1), dtype=np.float64)
ROWS = RNG.normal(size=(5, 3))


def _log_activation(x: Any) -> Any:
    return np.log(x)  # here: entropy_layer


@program("log", "log of a negative number", nn.Sequential([MODEL.layers[0], _log_activation, MODEL.layers[1]]), ROWS)
def entropy_layer(model: Any, x: Any) -> Any:
    return np.mean(model(x) ** 2)


@program("exp", "exp overflow", MODEL, 1e4 * ROWS)
def model_with_exponential_loss(model: Any, x: Any) -> Any:
    outputs = model(x)
    return np.mean(np.exp(1e3 * outputs**2))  # here


@program("sqrt′", "norm at 0", {"w": np.zeros((3, 2)), "b": np.zeros(2)}, ROWS)
def penalty_of_zero_weights(params: Any, x: Any) -> Any:
    out = x @ params["w"] + params["b"]
    size = np.sqrt(np.sum(params["w"] ** 2))  # here
    return np.mean(out**2) + 0.1 * size


@program("matmul", "overflow of a narrow dtype", nn.Linear(np.full((3, 2), 3e38, F32)), np.full((4, 3), 10, F32))
def layer_that_overflows(layer: Any, x: Any) -> Any:
    return np.sum(layer(x))  # here


@program("exp", "exp overflow", 1.0, np.ones(6))
def growth(rate: Any, steps: Any) -> Any:
    def grow(size: Any, step: Any) -> Any:
        size = np.exp(rate * size * step)  # here
        return size, size

    return cr.scan(grow, 1.0, steps)[0]


@program("sqrt′", "sqrt′(0)", np.array([0.0, 1.0]))
def checkpointed(x: Any) -> Any:
    def block(x: Any) -> Any:
        return np.tanh(np.sqrt(x))  # here

    return np.sum(cr.checkpoint(block)(x))


@program("log", "log of 0", 0.0)
def branch(x: Any) -> Any:
    return cr.cond(x > -1, lambda x: np.log(x) * 2, lambda x: x, x)  # here


def line_of(f: Callable[..., Any]) -> int:
    """The line marked ``# here`` in ``f``, or the one of the file that is marked with its name."""
    lines, start = inspect.getsourcelines(f)
    marked = [start + i for i, line in enumerate(lines) if "# here" in line]
    if not marked:
        text, _ = inspect.findsource(f)
        marked = [i + 1 for i, line in enumerate(text) if f"# here: {f.__name__}" in line]
    assert len(marked) == 1
    return marked[0]


def test_there_are_forty() -> None:
    assert len(PROGRAMS) >= 40


@pytest.mark.parametrize("jitted", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_right_op_and_line(name: str, jitted: bool) -> None:
    wanted = PROGRAMS[name]
    f = cr.jit(wanted.f) if jitted else wanted.f
    found = find_nonfinite(f, *wanted.args)
    assert found is not None
    assert (found.op, found.pattern) == (wanted.op, wanted.pattern)
    assert found.source is not None
    assert (found.source.file, found.source.line) == (__file__, line_of(wanted.f))
    assert found.cured is wanted.cured, found
    assert found.phase == ("backward" if wanted.op.endswith("′") else "forward")
    assert not np.isfinite(found.first.value)


@pytest.mark.parametrize("name", [n for n, p in PROGRAMS.items() if p.op in ("exp", "log", "div", "sqrt′", "pow")])
def test_the_gradient_really_is_not_finite(name: str) -> None:
    """What is reported is what ``grad`` gives, no artefact of the search."""
    f, args, *_ = PROGRAMS[name]
    with np.errstate(all="ignore"):
        value, gradient = cr.value_and_grad(f, argnums=0)(*args)
        others = cr.grad(f, argnums=tuple(i for i, a in enumerate(args) if np.asarray(a).dtype.kind == "f"))(*args)
    found = [value, *trees.leaves(gradient), *trees.leaves(others)]
    assert not all(np.all(np.isfinite(part)) for part in found)
