"""What ``find_nonfinite`` says beside op and line: inputs, rows, cotangents, overflow, remedies, training, errors."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim, train
from chainrule.base.errors import OptionError, TraceError, TrainingError, TreeError

RNG = np.random.default_rng(0)


def softmax(x: Any) -> Any:
    e = np.exp(x)
    return np.sum(e / e.sum(axis=1, keepdims=True))


SCORES = np.array([[1.0, 2.0], [1000.0, 3.0]])


def test_the_whole_message() -> None:
    found = cr.find_nonfinite(softmax, SCORES)
    line = inspect.getsourcelines(softmax)[1] + 1
    pad = " " * len(str(line))
    assert str(found) == (
        "the result is nan: softmax without a shift\n"
        f"  --> test_nonfinite.py:{line} in softmax\n"
        f"   {line} |     e = np.exp(x)\n"
        f"   {pad} |         ^^^^^^^^^\n"
        "  cause:       exp leaves the range of floats before the division brings it back\n"
        "  evidence:    exp[1, 0] of shape (2, 2) is inf, from x[1, 0] = 1000\n"
        f"  becomes nan: div[1, 0] = nan at {__file__}:{line + 1}\n"
        f"  cotangent:   div′[1, 0] = nan at {__file__}:{line + 1}\n"
        "  remedy:      subtract the maximum first: z = z - np.max(z, axis, keepdims=True); or use nn.softmax\n"
        "  tried:       the result and all gradients are finite with it"
    )


def test_the_parts() -> None:
    found = cr.find_nonfinite(softmax, SCORES)
    assert isinstance(found, cr.NonFinite)
    assert found.phase == "forward"
    assert (found.op, found.element, found.first.shape, found.first.value) == ("exp", (1, 0), (2, 2), np.inf)
    assert found.first.inputs == (("x[1, 0]", 1000.0),)
    assert found.overflow == found.first
    assert (found.turned.op, found.turned.element) == ("div", (1, 0))
    assert np.isnan(found.value)
    assert found.bad_gradients == ("x",)
    assert found.cured is True


def test_finite_programs_are_left_alone() -> None:
    masked = np.array([0.0, -1.0, 4.0])
    for f, args in (
        (lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0.0)), (masked,)),
        (lambda x: np.sum(np.where(x > 0, np.log(x), 0.0)), (masked,)),
        (lambda x: np.sum(np.where(x != 0, 1 / x, 0.0)), (masked,)),
        (lambda x: nn.softmax(np.where(np.arange(3) > 0, x, -np.inf)).max(), (masked,)),
        (lambda x: nn.cross_entropy(x, np.array([0])), (np.array([[1000.0, 0.0]]),)),
        (lambda x: np.exp(-np.exp(x)), (800.0,)),
        (lambda x: np.linalg.norm(x), (np.zeros(3),)),
        (lambda x: np.std(x), (np.ones(3),)),
        (lambda x: np.sum(x), (np.zeros((0, 3)),)),
    ):
        assert cr.find_nonfinite(f, *args) is None


def test_only_what_the_result_depends_on() -> None:
    """The first infinity is hidden by a where; the second is the one that arrives."""

    def f(x: Any) -> Any:
        hidden = np.where(x > 0, np.log(x), 0.0)
        return np.sum(hidden) / (x[0] - x[0])  # this one

    found = cr.find_nonfinite(f, np.array([2.0, 0.0]))
    assert (found.op, found.source.line) == ("div", inspect.getsourcelines(f)[1] + 2)


def test_nan_in_the_data() -> None:
    x = RNG.normal(size=(6, 2))
    x[[1, 4], 1] = np.nan
    w = np.ones(2)
    found = cr.find_nonfinite(lambda w, x: np.mean((x @ w) ** 2), w, x)
    assert (found.phase, found.op, found.element, found.rows) == ("input", "x", (1, 1), (1, 4))
    assert found.pattern == "NaN in x"
    assert "rows:      1, 4 (2 of 6)" in str(found)
    assert "remove or fill such values in x: np.nan_to_num" in found.remedy

    found = cr.find_nonfinite(
        lambda p, x: np.mean((x @ p["w"]) ** 2), {"w": np.array([1.0, np.inf])}, RNG.normal(size=(3, 2))
    )
    assert (found.phase, found.op, found.pattern) == ("input", "p['w']", "an infinity in p['w']")


TABLE = np.array([[1.0, 2.0], [np.nan, 4.0]])


def test_nan_in_an_array_that_is_closed_over() -> None:
    inside = TABLE.copy()
    assert cr.find_nonfinite(lambda w: np.sum(TABLE @ w), np.ones(2)).op == "TABLE"
    found = cr.find_nonfinite(cr.jit(lambda w: np.sum(inside @ w)), np.ones(2))
    assert (found.op, found.rows) == ("inside", (1,))
    found = cr.find_nonfinite(lambda w: np.sum((2 * inside) @ w), np.ones(2))
    assert found.op == "an array the function uses"


def test_a_zero_that_was_rounded() -> None:
    def likelihood(p: Any) -> Any:
        product = np.prod(p)
        return np.log(product)

    found = cr.find_nonfinite(likelihood, np.full(4, 1e-100))
    assert (found.op, found.pattern) == ("log", "log of 0")
    found = cr.find_nonfinite(lambda x, y: np.log(x * y), 1e-200, 1e-200)
    assert (found.zero.op, found.zero.inputs) == ("mul", (("x", 1e-200), ("y", 1e-200)))
    assert "0 because: mul = 0" in str(found)
    assert cr.find_nonfinite(lambda x: np.log(x - x), 3.0).zero is None  # no rounding: the difference is 0


def test_an_overflow_before_it() -> None:
    found = cr.find_nonfinite(lambda x: np.log(1 / (1 + np.exp(x) ** 2)), np.array(500.0))
    assert found.op == "log"
    assert (found.overflow.op, found.overflow.value) == ("pow", np.inf)


def test_a_remedy_that_is_not_enough() -> None:
    """The rewrite is run: where something else is not finite either, that is said."""

    def two_faults(x: Any) -> Any:
        return np.sum(np.log(x)) + np.sum(np.exp(1e4 + x))

    found = cr.find_nonfinite(two_faults, np.array([0.0, 1.0]))
    assert (found.op, found.cured) == ("log", False)
    assert found.left.startswith("still not finite: exp[0] = inf at ")
    assert "it does not cure this alone; still not finite: exp[0] = inf" in str(found)


def test_a_fault_without_a_rewrite() -> None:
    def f(x: Any) -> Any:
        return np.sum(x * 1e308)

    found = cr.find_nonfinite(f, np.array([10.0]))
    assert (found.pattern, found.cured) == ("overflow", None)
    assert "tried" not in str(found)


@pytest.mark.parametrize("name", ["eigh", "svd"])
def test_equal_eigenvalues(name: str) -> None:
    def f(a: Any) -> Any:
        vectors = np.linalg.eigh(a)[1] if name == "eigh" else np.linalg.svd(a)[0]
        return np.sum(vectors[:, 0] * np.array([1.0, 2.0, 3.0]))

    found = cr.find_nonfinite(f, np.eye(3))
    assert (found.pattern, found.phase) == ("equal eigenvalues or singular values", "backward")
    assert found.source.line == inspect.getsourcelines(f)[1] + 1


def test_several_results_and_wrt() -> None:
    def f(a: Any, b: Any) -> Any:
        return {"first": np.sqrt(a), "second": b * 2}

    assert cr.find_nonfinite(f, 0.0, 1.0).pattern == "sqrt′(0)"
    assert cr.find_nonfinite(f, 0.0, 1.0, wrt=1) is None
    assert cr.find_nonfinite(f, a=0.0, b=1.0) is None  # keyword arguments are not differentiated


def test_a_while_loop_has_its_forward_pass_only() -> None:
    def f(x: Any) -> Any:
        def body(v: Any) -> Any:
            return np.exp(v)

        return cr.while_loop(lambda v: v < 1e300, body, x)

    found = cr.find_nonfinite(f, 1.0)
    assert (found.op, found.source.line) == ("exp", inspect.getsourcelines(f)[1] + 2)
    assert found.first.steps == ("step 3 of while_loop",)
    assert found.cured is None  # with the exponent bounded, this loop would not end


def test_native_and_jitted_functions() -> None:
    pytest.importorskip("llvmlite")
    found = cr.find_nonfinite(cr.jit(softmax, backend="native"), SCORES)
    assert (found.op, found.pattern, found.cured) == ("exp", "softmax without a shift", True)


def test_bad_calls() -> None:
    with pytest.raises(TraceError, match="find_nonfinite inside of a traced function") as inside:
        cr.grad(lambda x: cr.find_nonfinite(np.sin, x) or x)(1.0)
    assert "what to do: call find_nonfinite outside of grad, jit and vmap, with the function itself" in str(
        inside.value
    )
    with pytest.raises(TreeError, match="argnums names an argument that was not given"):
        cr.find_nonfinite(np.sin, 1.0, wrt=1)
    with pytest.raises(OptionError, match="find_nonfinite: argnums is not a position"):
        cr.find_nonfinite(np.sin, 1.0, wrt="x")


# ------------------------------------------------------------------------------------------------------------ training


def risky(model: Any, x: Any, y: Any) -> Any:
    p = nn.softmax(model(x))
    logs = np.log(p)
    return -np.mean(np.sum(y * logs, axis=1))


def trained(loss: Any, scale: float, **options: Any) -> TrainingError:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(640, 3)).astype(np.float32) * scale
    y = np.eye(2, dtype=np.float32)[(x[:, 0] > 0).astype(int)]
    model = nn.MLP.init((3, 8, 2), rng=rng)
    with pytest.raises(TrainingError) as caught:
        train.fit(model, loss, (x, y), epochs=30, batch_size=16, progress=False, **options)
    return caught.value


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_training_says_what_made_the_nan(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite")
    monkeypatch.setenv("CHAINRULE_JIT", backend)
    (note,) = trained(risky, 10.0, optimizer=optim.sgd(0.3)).__notes__
    line = inspect.getsourcelines(risky)[1] + 2
    assert note.startswith("the result is nan: log of a softmax that underflowed\n")
    assert f"--> test_nonfinite.py:{line} in risky" in note
    assert "nn.log_softmax(z)" in note


def test_the_step_is_run_again_from_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights that are looked at are those before the step that failed, whatever step that was."""
    from chainrule.train import replay

    seen: list[Any] = []
    monkeypatch.setattr(replay, "EVERY", 7)
    monkeypatch.setattr(replay, "EXPLAINERS", [lambda loss, model, x, y, key: seen.append((model, x, y))])
    steps: list[Any] = []

    def late(model: Any, x: Any, y: Any) -> Any:
        """Infinite once the weight is below 0.4, after some fifty steps."""
        return np.mean(model["w"]) * 0.01 + 0 * np.mean(x) + np.where(model["w"] < 0.4, np.inf, 0.0)

    rng = np.random.default_rng(0)
    with pytest.raises(TrainingError) as caught:
        train.fit(
            {"w": np.array(1.0)}, late, (rng.normal(size=(64, 1)), np.zeros(64)), optimizer=optim.sgd(1.0), epochs=50,
            batch_size=8, progress=False, on_step=lambda end: steps.append(np.array(end.model["w"])),
        )  # fmt: skip
    assert not hasattr(caught.value, "__notes__")
    ((model, x, _),) = seen
    assert len(steps) > 50
    assert model["w"] == steps[-1]
    assert x.shape == (8, 1)


def test_an_explanation_that_fails_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from chainrule.train import replay

    def failing(*args: Any) -> str:
        raise ValueError("no idea")

    monkeypatch.setattr(replay, "EXPLAINERS", [failing])
    error = trained(risky, 10.0, optimizer=optim.sgd(0.3))
    assert "training stopped" in error.problem
    assert error.__notes__ == ["(no cause was found: ValueError: no idea)"]


def test_every_pattern_says_cause_and_remedy() -> None:
    from chainrule.explain.patterns import PATTERNS
    from chainrule.ops.expr import CATALOGUE

    for pattern in PATTERNS:
        assert pattern.cause, pattern.name
        assert pattern.remedy, pattern.name
        assert all(op in CATALOGUE or op == "fmod" for op in pattern.ops), pattern.name
        with contextlib.suppress(dataclasses.FrozenInstanceError):
            pattern.name = ""  # type: ignore[misc]
        assert pattern.name
