"""One test over the catalogue of ops × laws: no op can be added untested, and a rule wrong by 0.1 % does not pass."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import laws
import numpy as np
import pytest
from samples import TABLE, Sample, pointwise_samples, rng_for, takes

from chainrule.base.arrays import Spec
from chainrule.graph.evaluate import run_plan
from chainrule.graph.parse import parse
from chainrule.graph.text import to_text
from chainrule.ops import CATALOGUE
from chainrule.ops.pointwise import cos
from chainrule.ops.record import PIECEWISE_CONSTANT, Custom, Linear, Op, Pointwise, broadcast_to, sum_over
from chainrule.ops.structure import is_plumbing

for _path in sorted(Path(__file__).parent.glob("samples_*.py")):
    importlib.import_module(_path.stem)

OPS = sorted(CATALOGUE)
COMPUTING = [name for name in OPS if not is_plumbing(name)]
WIDENING = {"cast"}  # the one op that may make float64 from float32, as it is told to
POINTWISE = [name for name in OPS if isinstance(CATALOGUE[name], Pointwise)]


def rows(name: str) -> list[Sample]:
    """The samples of an op; failing where there are none."""
    op = CATALOGUE[name]
    found = [*TABLE.get(name, []), *(pointwise_samples(op) if isinstance(op, Pointwise) else [])]
    if not found:
        pytest.fail(f"the op {name} has no sample: add rows for it to tests/ops/samples.py")
    return found


def seed(name: str) -> int:
    return int(rng_for(name).integers(2**31))


# --------------------------------------------------------------------------------------------------------- the record


@pytest.mark.parametrize("name", OPS)
def test_record_says_what_it_is(name: str) -> None:
    op = CATALOGUE[name]
    assert op.name == name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert op.sentence == op.sentence.strip()
    assert op.sentence[0].islower()
    assert not op.sentence.endswith(".")
    for low, high in op.domain:
        assert low <= high  # equal where an order is fixed


@pytest.mark.parametrize("name", COMPUTING)
def test_latex_renders(name: str) -> None:
    op = CATALOGUE[name]
    for sample in rows(name):
        text = render(op.latex, len(sample.args), sample.attrs)
        assert "#" not in text
        depth = 0
        for mark in re.sub(r"\\[{}]", "", text):
            depth += {"{": 1, "}": -1}.get(mark, 0)
            assert depth >= 0, text
        assert depth == 0, text
        assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)
        assert text.count(r"\left") - text.count(r"\leftarrow") == text.count(r"\right") - text.count(r"\rightarrow")


def render(template: str, count: int, attrs: dict[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        key = match.group(1)
        if key.isdigit():
            assert int(key) < count, f"{template} names argument {key} of {count}"
            return f"x_{key}"
        assert key == "y" or key in attrs, f"{template} names {key}, which is no attribute"
        return "a"

    return re.sub(r"#(\d+|[A-Za-z_]+)", fill, template)


# ---------------------------------------------------------------------------------------------------------- the values


@pytest.mark.parametrize("name", COMPUTING)
def test_value_and_type(name: str) -> None:
    op = CATALOGUE[name]
    for sample in rows(name):
        assert (sample.value is None) != (sample.holds is None), f"{name}: give either value or holds"
        graph = laws.graph_of(op, sample.args, sample.attrs)
        found = run_plan(graph, list(sample.args))
        for spec, out in zip(graph.output_specs, found, strict=True):
            assert Spec(np.shape(out), np.asarray(out).dtype) == spec
        if sample.value is None:
            assert sample.holds is not None
            assert sample.holds(*found, *sample.args)
            continue
        wanted = sample.value(*sample.args)
        for out, want in zip(found, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            assert np.asarray(want).dtype.kind == np.asarray(out).dtype.kind
            np.testing.assert_allclose(out, want, rtol=1e-6 if out.dtype.itemsize == 4 else 1e-12, atol=1e-12)


@pytest.mark.parametrize("name", POINTWISE)
def test_dtypes_are_numpys(name: str) -> None:
    op = CATALOGUE[name]
    assert isinstance(op, Pointwise)
    tried = 0
    for dtype in ("bool", "u1", "i4", "i8", "f2", "f4", "f8"):
        if not takes(op, dtype):
            continue
        tried += 1
        args = [np.array([1, 1, 1], dtype) for _ in range(op.ufunc.nin)]
        graph = laws.graph_of(op, args, {})
        (out,) = run_plan(graph, args)
        assert out.dtype == graph.output_specs[0].dtype
        with np.errstate(all="ignore"):
            wanted = op.ufunc(*args) if op.ufunc.nout == 1 else op.run(*args)
        assert out.dtype == wanted.dtype
    assert tried


@pytest.mark.parametrize("name", COMPUTING)
def test_layout_in_memory_does_not_matter(name: str) -> None:
    op = CATALOGUE[name]
    for sample in rows(name):
        graph = laws.graph_of(op, sample.args, sample.attrs)
        args = list(sample.args)
        wrt = laws.differentiable(op, sample.args, sample.attrs)
        if wrt and laws.seeds_of(graph):
            graph, extra = laws.derivative(graph, wrt, sample.modes[0])
            args += [laws.draw(spec, rng_for(name)) for spec in extra]
        wanted = run_plan(graph, args)
        for layout in zip(*([*laws.scattered(a), np.asarray(a), np.asarray(a)][:3] for a in args), strict=True):
            before = [a.copy() for a in layout]
            for out, want in zip(run_plan(graph, list(layout)), wanted, strict=True):
                np.testing.assert_allclose(out, want, rtol=1e-9, atol=1e-12)
            for a, b in zip(layout, before, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=f"{name} writes into its argument")


# ------------------------------------------------------------------------------------------------------ the derivatives


def how(sample: Sample) -> tuple[Any, ...]:
    return sample.loose, sample.modes, sample.tangent


@pytest.mark.parametrize("name", COMPUTING)
def test_first_derivatives(name: str) -> None:
    op = CATALOGUE[name]
    for k, sample in enumerate(rows(name)):
        wrt = laws.differentiable(op, sample.args, sample.attrs)
        graph = laws.graph_of(op, sample.args, sample.attrs)
        if wrt and laws.seeds_of(graph):
            for chosen in {wrt, *((i,) for i in wrt)}:  # also alone: what is not wanted is not computed
                laws.check_derivatives(graph, sample.args, chosen, seed(name) + k, *how(sample))


@pytest.mark.parametrize("name", COMPUTING)
def test_second_derivatives(name: str) -> None:
    op = CATALOGUE[name]
    for k, sample in enumerate(rows(name)):
        wrt = laws.differentiable(op, sample.args, sample.attrs)
        graph = laws.graph_of(op, sample.args, sample.attrs)
        if wrt and laws.seeds_of(graph) and any(np.size(a) for a in sample.args):
            laws.check_second_order(graph, sample.args, wrt, seed(name) + k, *how(sample))


@pytest.mark.parametrize("name", POINTWISE)
def test_piecewise_constant_means_slope_zero(name: str) -> None:
    op = CATALOGUE[name]
    assert isinstance(op, Pointwise)
    for sample in pointwise_samples(op):
        if sample.args[0].dtype.kind != "f":
            continue
        graph = laws.graph_of(op, sample.args, {})
        for position, partial in enumerate(op.partials):
            if partial is PIECEWISE_CONSTANT:
                (found,) = laws.slope(graph, sample.args, [position], [np.ones_like(sample.args[position])])
                np.testing.assert_allclose(found, 0, atol=1e-9)


@pytest.mark.parametrize("name", COMPUTING)
def test_float32(name: str) -> None:
    op = CATALOGUE[name]
    for sample in rows(name):
        if not sample.float32 or not any(np.asarray(a).dtype.kind in "fc" for a in sample.args):
            continue
        single = [narrow(a) for a in sample.args]
        wrt = laws.differentiable(op, single, sample.attrs)
        graph = laws.graph_of(op, single, sample.attrs)
        wide = laws.graph_of(op, sample.args, sample.attrs)
        mode = sample.modes[0]
        if wrt and laws.seeds_of(graph):
            graph, extra = laws.derivative(graph, wrt, mode)
            wide, _ = laws.derivative(wide, wrt, mode)
            single += [laws.draw(spec, rng_for(name)) for spec in extra]
        found = run_plan(graph, list(single))
        wanted = run_plan(wide, [a.astype(spec.dtype) for a, spec in zip(single, wide.input_specs, strict=True)])
        for spec, out, want in zip(graph.output_specs, found, wanted, strict=True):
            assert Spec(np.shape(out), np.asarray(out).dtype) == spec
            if spec.dtype.kind in "fc":
                laws.close(out, want, 1e-4 * sample.loose, f"{name} in float32")
            assert spec.dtype.name not in ("float64", "complex128") or name in WIDENING


def narrow(x: Any) -> Any:
    x = np.asarray(x)
    return x.astype({"f": np.float32, "c": np.complex64}.get(x.dtype.kind, x.dtype))


# ------------------------------------------------------------------------------------------------------------ batching


@pytest.mark.parametrize("name", COMPUTING)
def test_vmap_equals_the_loop(name: str) -> None:
    op = CATALOGUE[name]
    for k, sample in enumerate(rows(name)):
        graph = laws.graph_of(op, sample.args, sample.attrs)
        sizes = (3, 1, 0) if k == 0 else (2,)
        for size in sizes:
            laws.check_batching(graph, sample.args, size)


@pytest.mark.parametrize("name", COMPUTING)
def test_vmap_of_the_gradient_equals_the_loop(name: str) -> None:
    op = CATALOGUE[name]
    for sample in rows(name)[:4]:
        wrt = laws.differentiable(op, sample.args, sample.attrs)
        graph = laws.graph_of(op, sample.args, sample.attrs)
        if wrt and laws.seeds_of(graph):
            whole, extra = laws.derivative(graph, wrt, sample.modes[0])
            laws.check_batching(whole, [*sample.args, *(laws.draw(spec, rng_for(name)) for spec in extra)], 2)


# ---------------------------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("name", COMPUTING)
def test_text_round_trips(name: str) -> None:
    op = CATALOGUE[name]
    for sample in rows(name)[:2]:
        graph = laws.graph_of(op, sample.args, sample.attrs)
        wrt = laws.differentiable(op, sample.args, sample.attrs)
        graphs = [graph]
        if wrt and laws.seeds_of(graph):
            graphs += [laws.derivative(graph, wrt, mode)[0] for mode in sample.modes]
        for each in graphs:
            text = to_text(each, full=True)
            assert parse(text) == each
            assert to_text(parse(text), full=True) == text
            assert to_text(each).startswith("graph(")


# ------------------------------------------------------------------------------------------- the test itself is tested


@pytest.fixture
def wrong() -> Iterator[list[Op]]:
    """A place for deliberately wrong ops, which leave the catalogue afterwards."""
    made: list[Op] = []
    yield made
    for op in made:
        del CATALOGUE[op.name]


def test_partial_wrong_by_a_thousandth_is_caught(wrong: list[Op]) -> None:
    op = Pointwise("wrong_sin", np.sin, ufunc=np.sin, partials=(lambda y, x: 1.001 * cos(x),), latex="", sentence="")
    wrong.append(op)
    for sample in [s for s in pointwise_samples(op) if s.args[0].size]:
        graph = laws.graph_of(op, sample.args, {})
        with pytest.raises(AssertionError, match="forward mode, output 0"):
            laws.check_derivatives(graph, sample.args, (0,), 0)


def test_transpose_wrong_by_a_thousandth_is_caught(wrong: list[Op]) -> None:
    op = Linear(
        "wrong_double", lambda x: 2 * x, transpose=lambda ct, position, args: 2.002 * ct, shape_rule=lambda x: x,
        batching=lambda args, batched, size, attrs: op(*args), latex="", sentence="",
    )  # fmt: skip
    wrong.append(op)
    x = np.array([0.3, -1.2, 2.0])
    with pytest.raises(AssertionError, match="reverse mode"):
        laws.check_derivatives(laws.graph_of(op, [x], {}), [x], (0,), 0)


def test_second_derivative_wrong_by_a_thousandth_is_caught(wrong: list[Op]) -> None:
    slope = Pointwise("wrong_cos", np.cos, ufunc=np.cos, partials=(lambda y, x: -1.001 * np.sin(1.0) * x,),
                      latex="", sentence="")  # fmt: skip
    wrong.append(slope)
    op = Pointwise("sin_wrong_later", np.sin, ufunc=np.sin, partials=(lambda y, x: slope(x),), latex="", sentence="")
    wrong.append(op)
    x = np.array([1.0])
    graph = laws.graph_of(op, [x], {})
    laws.check_derivatives(graph, [x], (0,), 0)
    with pytest.raises(AssertionError, match="mode"):
        laws.check_second_order(graph, [x], (0,), 0)


def test_batching_rule_that_mixes_members_is_caught(wrong: list[Op]) -> None:
    op = Custom(
        "wrong_total", np.sum, shape_rule=lambda x: Spec((), x.dtype),
        vjp=lambda ct, out, args, wanted: [ct + 0 * args[0]],
        jvp=lambda tangents, out, args: sum_over(tangents[0], [0]),
        batching=lambda args, batched, size, attrs: broadcast_to(sum_over(args[0], [0, 1]), (size,)),
        latex="", sentence="",
    )  # fmt: skip
    wrong.append(op)
    x = np.array([1.0, 2.0])
    with pytest.raises(AssertionError, match="vmap"):
        laws.check_batching(laws.graph_of(op, [x], {}), [x], 3)


def test_an_op_without_samples_fails(wrong: list[Op]) -> None:
    op = Linear(
        "untested", lambda x: x, transpose=lambda ct, position, args: ct, shape_rule=lambda x: x,
        batching=lambda args, batched, size, attrs: op(*args), latex="", sentence="",
    )  # fmt: skip
    wrong.append(op)
    with pytest.raises(pytest.fail.Exception, match="the op untested has no sample"):
        rows("untested")
