"""500 random programs of up to 60 ops, with gradients: compiled and evaluated they agree within a derived bound.

A program that fails prints its seed and the smallest graph found that still fails; ``shrunk(*random_program(seed)[:2],
wrong)`` repeats it.  A run without ``-m slow`` tries the first 36.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from perturbation import Bound, bounds, difference, informative, perturbed
from random_programs import large_programs, random_program
from shrinking import cut, shrunk

import chainrule as cr
from chainrule.graph.graph import Graph
from chainrule.graph.text import to_text
from chainrule.run.program import compile_graph


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


def wrong(graph: Graph, args: list[Any]) -> str:
    """What the compiled program does wrong, in words; empty where it agrees with the evaluator."""
    return _wrong(graph, args, bounds(graph, args))


def _wrong(graph: Graph, args: list[Any], wanted: list[Bound]) -> str:
    given = [a.copy() for a in args]
    try:
        found = compile_graph(graph)(args)
    except Exception as error:
        return repr(error)[:300]
    for position, (a, b) in enumerate(zip(args, given, strict=True)):
        if a.tobytes() != b.tobytes():
            return f"argument {position} was written to"
    for position, (value, bound) in enumerate(zip(found, wanted, strict=True)):
        if message := difference(value, bound):
            return f"output {position}: {message}"
    return ""


def agree(seeds: range) -> None:
    shares = []
    for seed in seeds:
        graph, args, _ = random_program(seed)
        wanted = bounds(graph, args)
        if _wrong(graph, args, wanted):
            small, values, message = shrunk(graph, args, wrong)
            pytest.fail(f"program {seed}: {message}\n{to_text(small)}\nfor {values}")
        for bound in wanted:
            told, size = informative(bound)
            shares += [told / size] if size else []
    assert np.mean(shares) > 0.9  # otherwise the programs, or the bounds, say too little


@pytest.mark.parametrize("block", range(6))
def test_programs(block: int) -> None:
    agree(range(6 * block, 6 * (block + 1)))


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_500_programs(block: int, unchecked_graphs: None) -> None:
    agree(range(25 * block, 25 * (block + 1)))


def test_programs_whose_kernels_are_cut_into_parts() -> None:
    for program in large_programs(3):
        assert wrong(program.graph, program.args) == ""


@pytest.mark.parametrize("seed", [2, 6, 13, 19])
def test_donated_arguments_change_no_bits(seed: int) -> None:
    graph, args, _ = random_program(seed, 25)  # gradients are of their inputs' types: they may take their memory
    donated = compile_graph(graph, range(graph.inputs))
    assert donated.plan.main.shared
    for _ in range(2):
        wanted = compile_graph(graph)(args)
        found = donated([a.copy() for a in args])
        assert [np.asarray(f).tobytes() for f in found] == [np.asarray(w).tobytes() for w in wanted]


# ----------------------------------------------------------------------------------- the test itself is put to the test


def test_programs_are_what_they_are_said_to_be() -> None:
    ops: set[str] = set()
    sizes: set[int] = set()
    dtypes: set[str] = set()
    lengths = []
    for seed in range(40):
        program = random_program(seed)
        again = random_program(seed)
        assert again.graph == program.graph  # nothing but the seed decides
        assert all(a.tobytes() == b.tobytes() for a, b in zip(again.args, program.args, strict=True))
        ops.update(line.op.name for line in program.graph.lines)
        specs = [line.spec for line in program.graph.lines if hasattr(line.spec, "shape")]
        sizes.update(n for spec in specs for n in spec.shape)
        dtypes.update(spec.dtype.name for spec in specs)
        lengths.append(len(program.forward))
    assert len(ops) > 70
    assert ops >= {"matmul", "sum", "max", "gather", "scatter_add", "concatenate", "where", "cast", "chain_mul",
                   "cumsum", "index", "reshape", "transpose", "broadcast_to", "update", "exp", "less", "scan",
                   "cond"}  # fmt: skip
    assert sizes >= {0, 1, 3, 17, 33}
    assert dtypes >= {"float32", "float64", "int32", "int64", "bool"}
    assert max(lengths) > 60


def test_the_bound_is_as_wide_as_the_program_is_sensitive() -> None:
    x = np.linspace(0.5, 1.5, 50)
    tame, cancelled = bounds(cr.trace(lambda x: (np.exp(x), (1e8 + np.exp(x)) - 1e8))(x), [x])
    assert np.all(tame.off < 60 * np.spacing(tame.value))
    assert np.all(tame.off >= 4 * np.spacing(tame.value))
    assert np.median(cancelled.off) > 1e-9  # an ulp of 1e8 is 1.5e-8
    assert np.median(cancelled.off) < 1e-6


def test_ties_stay_ties_and_undecided_comparisons_say_nothing() -> None:
    x = np.array([1.0, 2.0, 3.0])
    tied = cr.trace(lambda x: np.equal(np.exp(x), np.exp(x[::-1])[::-1]))(x)
    assert np.all(perturbed(tied, [x], 3)[0])
    rounded = bounds(cr.trace(lambda x: (np.sqrt(x) ** 2 == x, x > 1.5))(x), [x])
    assert np.any(rounded[0].off == np.inf)
    assert np.all(rounded[1].off == 0)


@pytest.mark.parametrize("damage", [
    lambda v: v * (1 + 1e-5), lambda v: np.roll(v, 1), lambda v: np.where(v == v.max(), np.nan, v), lambda v: v[:, :-1],
    lambda v: v.astype(np.float64), lambda v: np.where(v == v.max(), np.inf, v),
])  # fmt: skip
def test_wrong_results_are_found(damage: Any) -> None:
    x = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    (bound,) = bounds(cr.trace(lambda x: np.tanh(x @ x.T))(x), [x])
    assert difference(bound.value, bound) == ""
    assert difference(damage(bound.value), bound)
    assert "expected" in difference(damage(bound.value), bound)


def test_noise_reaches_into_loops_and_branches() -> None:
    x = np.linspace(0.1, 1.0, 6)
    graph = cr.trace(lambda x: cr.scan(lambda c, x: (np.sin(c + x), np.exp(c)), 0.3, x))(x)
    plain, *others = [perturbed(graph, [x], run)[1] for run in (0, 1, 2)]
    assert all(np.any(plain != other) for other in others)
    np.testing.assert_allclose(plain, graph(x)[1], rtol=1e-13)


def test_a_failing_program_is_shrunk_to_the_lines_that_fail() -> None:
    graph, args, _ = random_program(5)
    used = [line.op.name for line in graph.lines]
    assert used.count("matmul") > 1

    def fails(graph: Graph, args: list[Any]) -> str:
        assert [spec.shape for spec in graph.input_specs] == [a.shape for a in args]
        return "no products" if any(line.op.name == "matmul" for line in graph.lines) else ""

    small, values, message = shrunk(graph, args, fails)
    assert message == "no products"
    assert [line.op.name for line in small.lines[small.inputs :]] == ["matmul"]
    assert len(small.outputs) == 1
    a, b = small.lines[-1].args
    np.testing.assert_allclose(small(*values)[0], values[a] @ values[b], rtol=1e-5)


def test_what_is_cut_off_keeps_its_value() -> None:
    x = np.linspace(0.0, 1.0, 5)
    graph = cr.trace(lambda x: np.exp(np.sin(x) * 2) + x)(x)
    sine = next(i for i, line in enumerate(graph.lines) if line.op.name == "sin")
    values: list[Any] = [x] + [None] * (len(graph.lines) - 1)
    values[sine] = np.sin(x)
    small, args = cut(graph, values, graph.outputs, {sine})
    assert "sin" not in {line.op.name for line in small.lines}
    np.testing.assert_array_equal(small(*args)[0], graph(x)[0])
