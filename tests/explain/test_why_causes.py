"""Why gradients are zero or missing: the cause, the op and the line (marked ``# here``) of small user programs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(64, 3))


class Row(NamedTuple):
    f: Callable[..., Any]
    args: tuple[Any, ...]
    status: str
    kind: str
    op: str


TABLE: dict[str, Row] = {}


def row(status: str, kind: str, op: str, *args: Any) -> Callable[..., Any]:
    def put(f: Callable[..., Any]) -> Callable[..., Any]:
        TABLE[f.__name__] = Row(f, args, status, kind, op)
        return f

    return put


# -------------------------------------------------------------------------------------------------------- no path


@row("no path", "integer cast", "cast", np.array([1.5, 2.5]))
def cast(x: Any) -> Any:
    bins = x.astype(np.int64)  # here
    return np.sum(bins * 0.5)


@row("no path", "comparison", "greater", np.array([1.5, -2.5]))
def accuracy(scores: Any) -> Any:
    right = scores > 0  # here
    return np.mean(right)


@row("no path", "argmax", "argmax", RNG.normal(size=(4, 3)))
def predicted(logits: Any) -> Any:
    label = np.argmax(logits, axis=1)  # here
    return np.sum(label * 2.0)


@row("no path", "stop_gradient", "stop_gradient", 2.0)
def frozen(w: Any) -> Any:
    target = cr.stop_gradient(w * 3)  # here
    return target**2


@row("no path", "step function", "rint", np.array([0.2, 1.7]))
def quantised(x: Any) -> Any:
    return np.sum(np.round(x) ** 2)  # here


@row("no path", "conversion", "", 2.0)
def converted(x: Any) -> Any:
    return math.exp(x) * 2  # here


@row("no path", "conversion", "", np.ones(2))
def into_a_plain_array(x: Any) -> Any:
    out = np.zeros(2)
    out[0] = x[1] * 3  # here
    return out.sum()


@row("no path", "result not used", "greater", 1.0)
def branched(x: Any) -> Any:
    if x > 0:  # here
        return np.float64(2.0)
    return np.float64(1.0)


@row("no path", "stop_gradient", "stop_gradient", np.ones(3))
def inside_a_scan(x: Any) -> Any:
    def step(total: Any, part: Any) -> Any:
        kept = cr.stop_gradient(part)  # here
        return total + kept, None

    return cr.scan(step, 0.0, x)[0]


# ------------------------------------------------------------------------------------- a path, and zero all the same


@row("zero", "ReLU off", "where", np.full((3, 4), -1.0))
def dead_layer(w: Any) -> Any:
    return np.sum(nn.relu(np.abs(ROWS) @ w))  # here


@row("partly zero", "ReLU off", "maximum", np.array([1.0, -1.0]))
def relu_by_hand(x: Any) -> Any:
    return np.maximum(x, 0).sum()  # here


@row("zero", "saturation", "tanh", np.array([500.0, -900.0]))
def saturated(x: Any) -> Any:
    return np.tanh(x).sum()  # here


@row("zero", "saturation", "sigmoid", np.array([-800.0], np.float32))
def saturated_sigmoid(x: Any) -> Any:
    return np.sum(nn.sigmoid(x))  # here


@row("zero", "multiplied by 0", "matmul", np.ones((3, 2)))
def dead_inputs(w: Any) -> Any:
    out = np.zeros((5, 3)) @ w  # here
    return np.sum(out)


@row("zero", "multiplied by 0", "mul", 3.0)
def zero_factor(w: Any) -> Any:
    scale = 0.0
    return w * scale + 1  # here


@row("partly zero", "where took the other side", "where", np.array([1.0, 2.0, 3.0]))
def other_side(x: Any) -> Any:
    chosen = np.where(np.array([True, False, True]), x, 7.0)  # here
    return np.sum(chosen**2)


@row("partly zero", "never selected", "gather", np.ones((5, 2)))
def embedding(table: Any) -> Any:
    rows = table[np.array([0, 3, 3])]  # here
    return np.sum(rows**2)


@row("partly zero", "never selected", "index", np.ones(5))
def head(x: Any) -> Any:
    return np.sum(x[:2])  # here


@row("partly zero", "clipped", "maximum", np.array([0.5, -3.0]))
def clipped_below(x: Any) -> Any:
    return np.clip(x, -1, 1).sum()  # here


@row("partly zero", "clipped", "minimum", np.array([0.5, 3.0]))
def clipped_above(x: Any) -> Any:
    return np.clip(x, -1, 1).sum()  # here


@row("partly zero", "not the largest", "max", np.array([0.5, 3.0]))
def largest(x: Any) -> Any:
    return np.max(x)  # here


@row("zero", "not the larger", "maximum", 1.0, 2.0)
def larger(a: Any, b: Any) -> Any:
    return np.maximum(a, b)  # here


@row("zero", "square at its minimum", "pow", 2.0)
def fitted(x: Any) -> Any:
    return (x - 2.0) ** 2  # here


@row("zero", "flat power", "pow", 0.0)
def cube(x: Any) -> Any:
    return x**3  # here


@row("zero", "flat power", "pow", 2.0)
def power_of_zero(x: Any) -> Any:
    return x**0 + 1  # here


@row("zero", "kink of |x|", "abs", 0.0)
def kink(x: Any) -> Any:
    return np.abs(x)  # here


@row("zero", "exp underflow", "exp", -800.0)
def underflowed_exp(x: Any) -> Any:
    return np.exp(x)  # here


@row("zero", "underflow", "mul", 1.0)
def vanishing_product(x: Any) -> Any:
    y = x
    for _ in range(40):
        y = np.tanh(y) * 1e-10  # here
    return y


@row("zero", "cancellation", "sub", 3.0)
def cancelled(x: Any) -> Any:
    return 2 * x - x - x  # here


@row("partly zero", "overwritten", "update", np.ones(3))
def overwritten(x: Any) -> Any:
    y = x * 2
    y[0] = 5.0  # here
    return y.sum()


def line_of(f: Callable[..., Any]) -> int:
    lines, start = inspect.getsourcelines(f)
    (line,) = [start + i for i, text in enumerate(lines) if "# here" in text]
    return line


@pytest.mark.parametrize("jitted", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("name", TABLE)
def test_the_cause_and_the_line(name: str, jitted: bool) -> None:
    wanted = TABLE[name]
    if jitted and name in ("branched", "converted", "into_a_plain_array"):
        pytest.skip("needs values, which there are none of under jit")
    f = cr.jit(wanted.f) if jitted else wanted.f
    found = cr.why(f, *wanted.args, wrt=0)
    (finding,) = found
    assert (finding.status, finding.cause.kind) == (wanted.status, wanted.kind), found
    if wanted.kind != "cancellation":  # told by the op that the terms belong to, of which there are several
        assert finding.cause.op == wanted.op
    assert finding.cause.source.file == __file__
    assert finding.cause.source.line == line_of(wanted.f)
    if finding.status != "no path":
        np.testing.assert_array_equal(finding.gradient, cr.grad(wanted.f)(*wanted.args))
        assert finding.zeros == np.sum(np.asarray(finding.gradient) == 0) > 0


# ------------------------------------------------------------------------------------------------------ networks


def hidden(weight: Any, bias: Any, x: Any) -> Any:
    activation = np.maximum(x @ weight + bias, 0)
    return np.mean(activation.sum(axis=1) ** 2)


def test_units_of_a_hidden_layer() -> None:
    bias = np.zeros(16)
    bias[[3, 7]] = -100.0
    found = cr.why(hidden, RNG.normal(size=(3, 16)), bias, ROWS, wrt=("weight", "bias"))
    assert [f.name for f in found] == ["weight", "bias"]
    assert found["weight"].units == (3, 7)
    for finding in found:
        cause = finding.cause
        assert (cause.kind, cause.units, cause.examples) == ("ReLU off", (3, 7), 64)
        assert "units 3, 7 are off for all 64 examples" in cause.evidence
    text = str(found)
    assert "the gradients of weight and bias are zero in part (weight: 6 of 48 elements, all of units 3, 7" in text
    assert "activation = np.maximum(x @ weight + bias, 0)" in text
    assert f"| {' ' * 17}{'^' * 32}\n" in text


def test_a_whole_batch_off() -> None:
    found = cr.why(hidden, RNG.normal(size=(3, 4)), np.full(4, -100.0), ROWS, wrt=0)
    assert found["weight"].status == "zero"
    assert "off for 100 % of the batch" in found["weight"].cause.evidence


def test_the_op_that_stops_all_comes_before_those_that_stop_some() -> None:
    def two_layers(w: Any, x: Any) -> Any:
        first = np.maximum(x @ w, 0)
        second = np.maximum(first - 1000, 0)  # all is stopped here
        return second.sum()

    finding = cr.why(two_layers, RNG.normal(size=(3, 4)), ROWS, wrt=0)["w"]
    assert finding.status == "zero"
    line = inspect.getsourcelines(two_layers)[1] + 2
    assert (finding.cause.source.line, finding.cause.decisive) == (line, True)
    assert finding.cause.evidence.startswith("off for 100 % of the batch")
    assert [c.decisive for c in finding.causes] == [True, False]  # the first layer's zeros are not what matters


def test_a_model_with_dropout_and_a_dead_feature() -> None:
    model = nn.MLP.init((3, 8, 2), rng=np.random.default_rng(1), dropout=0.5, dtype=np.float64)
    x = ROWS[:1].copy()
    x[:, 1] = 0.0

    def loss(model: Any, x: Any, key: Any) -> Any:
        return np.mean(model(x, key=key) ** 2)

    found = cr.why(loss, model, x, cr.random.key(0), wrt="model")
    assert [f.name for f in found] == [
        f"model.layers[{i}].{leaf}" for i in range(2) for leaf in ("weight", "bias")
    ]  # fmt: skip
    kinds = {c.kind for c in found["model.layers[0].weight"].causes}
    assert {"dropout mask", "multiplied by 0", "ReLU off"} <= kinds
    (cause, *_) = found.element("model.layers[0].weight", (1, int(np.argmax(found["model.layers[0].bias"].gradient))))
    assert (cause.kind, "columns 1 in all 1 rows" in cause.evidence) == ("multiplied by 0", True)


def test_one_element() -> None:
    found = cr.why(lambda x: np.clip(x, -1, 1).sum() + 0 * x[0], np.array([3.0, 0.5, -3.0]))
    assert {c.op for c in found.element("x", 0)} == {"minimum", "mul"}
    assert found.element("x", 1) == ()
    assert [c.op for c in found.element("x", 2)] == ["maximum", "index"]


def test_nothing_is_zero() -> None:
    found = cr.why(lambda a, b: np.sum(a * b), np.ones(2), {"c": 2.0}["c"])
    assert str(found) == "nothing is zero: the gradients of a, b are finite and not 0 in any element"
    assert [f.status for f in found] == ["nonzero", "nonzero"]


def test_the_worked_example() -> None:
    def neuron(w: Any, b: Any, x: Any, y: Any) -> Any:
        return (np.maximum(w * x + b, 0) - y) ** 2

    assert all(f.status == "nonzero" for f in cr.why(neuron, 0.5, 0.0, 2.0, 0.0))
    found = cr.why(neuron, 0.5, 0.0, 2.0, 1.0)
    assert {f.cause.kind for f in found} == {"square at its minimum"}
    assert str(found).splitlines()[0] == (
        "the gradients of w, b, x and y are zero, though a path exists: square at its minimum"
    )


def test_not_finite_is_told_by_find_nonfinite() -> None:
    found = cr.why(lambda x: np.sqrt(x).sum(), np.array([0.0, 4.0]))
    assert found["x"].status == "not finite"
    assert found.nonfinite is not None
    assert found.nonfinite.pattern == "sqrt′(0)"
    assert "np.sqrt(x + 1e-12)" in str(found)


def test_a_straight_through_estimator_has_a_path() -> None:
    @cr.custom_vjp
    def rounded(x: Any) -> Any:
        return np.round(x)

    rounded.defvjp(lambda x: (np.round(x), None), lambda _, ct: (ct,))
    (finding,) = cr.why(lambda x: np.sum(rounded(x) ** 2), np.array([0.8, 1.7]))
    assert finding.status == "nonzero"


def test_integers_and_unused_arguments() -> None:
    found = cr.why(lambda n, x, y: np.sum(n * x), 3, 2.0, 5.0, wrt=(0, 2))
    assert [f.cause.kind for f in found] == ["integer argument", "not used"]


def test_recurrence_in_a_scan() -> None:
    def rnn(w: Any, x: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            h = np.tanh(1e5 * w * h + x)
            return h, None

        return cr.scan(step, 0.1, x)[0]

    (finding,) = cr.why(rnn, 1.0, np.ones(5), wrt=0)
    cause = finding.cause
    assert (finding.status, cause.kind, cause.op) == ("zero", "saturation", "tanh")
    assert "np.tanh(1e5" in inspect.getsource(rnn).splitlines()[cause.source.line - inspect.getsourcelines(rnn)[1]]
    assert cause.steps == ("step 4 of scan",)


def test_bad_calls() -> None:
    from chainrule.base.errors import IndexingError, NotDifferentiableError, OptionError, TraceError

    def f(x: Any) -> Any:
        return np.sum(x * 0)

    with pytest.raises(OptionError, match="why: wrt names nothing") as unknown:
        cr.why(f, 1.0, wrt="y")
    assert "expected: positions, or one of x\n  got: 'y'" in str(unknown.value)
    with pytest.raises(OptionError, match="wrt names nothing"):
        cr.why(f, 1.0, wrt=1)
    with pytest.raises(OptionError, match="unknown value for name") as other:
        cr.why(f, 1.0)["y"]
    assert "one of: x" in str(other.value)
    with pytest.raises(IndexingError, match="no such element") as outside:
        cr.why(f, np.ones(2)).element("x", 2)
    assert "an index into x of shape (2,)\n  got: (2,)" in str(outside.value)
    with pytest.raises(TraceError, match="why inside of a traced function"):
        cr.grad(lambda x: cr.why(f, x) or x)(1.0)
    with pytest.raises(NotDifferentiableError, match="reverse mode through a while_loop"):
        cr.why(lambda x: cr.while_loop(lambda v: v < 3, lambda v: v * 2, x), 1.0)
