"""Kernels that run together: chains over strands of rows and pools of kernels, against the evaluator, bit by bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from perturbation import bounds, difference
from random_programs import random_program

import chainrule as cr
from chainrule import nn, optim
from chainrule.compile import schedule as scheduling
from chainrule.compile.cache import library
from chainrule.compile.check import check
from chainrule.compile.compiler import make_plan
from chainrule.compile.engine import CompileError
from chainrule.compile.fuse import Fused, Group, fuse
from chainrule.compile.parts import Plan
from chainrule.compile.schedule import schedule
from chainrule.compile.simplify import simplify
from chainrule.compile.stages import served, stage_text
from chainrule.compile.target import host
from chainrule.compile.views import views
from chainrule.graph.graph import Graph
from chainrule.run import program as module
from chainrule.run.pool import Pool
from chainrule.run.profile import profile_graph
from chainrule.run.program import Program, program_text


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of the tests is kept in a folder of its own."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path_factory.getbasetemp() / "objects"))


@pytest.fixture(autouse=True)
def small_networks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one thread would do alone is grouped as large networks are."""
    monkeypatch.setattr(scheduling, "_LITTLE_WORK", 0)


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """``pools(n)``: programs use ``n`` threads from now on."""
    made: list[Pool] = []

    def use(threads: int) -> None:
        made.append(Pool(threads))
        monkeypatch.setattr(module, "shared", lambda: made[-1])

    yield use
    for pool in made:
        pool.stop()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little work there is, kernels run together."""
    monkeypatch.setattr(scheduling, "_WORTH", 1)


def plan_for(graph: Graph, cores: int = 2, donated: tuple[int, ...] = ()) -> Plan:
    plan = make_plan(graph, dataclasses.replace(host(), cores=cores), donated)
    for part in plan.parts:
        check(part)
    return plan


def test_what_an_update_reads_from_far_away_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    near = dataclasses.replace(host(), cores=2, caches=dataclasses.replace(host().caches, l2=1 << 16))
    rng = np.random.default_rng(0)
    shapes = ((130, 179), (130, 201), (179, 201), (179, 201))
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

    def f(x: Any, d: Any, w: Any, m: Any) -> Any:
        m = 0.9 * m + x.T @ d
        return w - 0.1 * m, m

    traced, _, _ = cr.jit(f).lower(tuple(arrays))
    plan = make_plan(traced.graph, near)
    assert "@llvm.prefetch" in plan.text
    monkeypatch.setattr(module, "host", lambda: near)
    for found, wanted in zip(Program(plan, library(program_text(plan)))(arrays), f(*arrays), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_several_little_kernels_are_left_to_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan_of(*sizes: int) -> Plan:
        model = nn.MLP.init(sizes, rng=np.random.default_rng(0))
        x, y = np.zeros((64, sizes[0]), np.float32), np.zeros(64, np.int64)
        traced, _, _ = cr.jit(cr.grad(lambda m: nn.cross_entropy(m(x), y))).lower((model,))
        return plan_for(traced.graph)

    assert plan_of(64, 128, 10).parallel
    monkeypatch.undo()
    assert not plan_of(64, 128, 10).parallel
    assert plan_of(784, 256, 10).parallel


def compiled(plan: Plan) -> Program:
    return Program(plan, library(program_text(plan)))


def kinds(fused: Fused) -> list[tuple[str, int]]:
    return [(group.kind, group.end - group.first) for group in fused.groups]


def same(graph: Graph, args: list[Any], cores: int = 2, pools: Any = None) -> Plan:
    """Run it with several numbers of threads: the same bits, and what the evaluator gives."""
    plan = plan_for(graph, cores)
    program = compiled(plan)
    wanted, seen = bounds(graph, args), []
    for threads in (1, 2, 3, 7) if pools else (1,):
        if pools:
            pools(threads)
        for _ in range(3 if pools else 1):
            found = program(args)
            seen.append([np.asarray(x).tobytes() for x in found])
            for a, bound in zip(found, wanted, strict=True):
                assert not difference(a, bound), difference(a, bound)
    assert all(bits == seen[0] for bits in seen)
    return plan


def deep(depth: int, width: int, batch: int, last: int = 3) -> tuple[Graph, list[Any]]:
    """The training step of a narrow, deep network, and arguments."""
    rng = np.random.default_rng(0)
    model = nn.MLP.init((width,) * depth + (last,), rng=rng, activation="tanh")
    optimizer = optim.adam(1e-2)

    def step(model: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = cr.value_and_grad(lambda m: nn.mse(m(x), y))(model)
        updates, state = optimizer.update(grads, state, model)
        return optim.apply_updates(model, updates), state, value

    x, y = rng.normal(size=(batch, width)).astype(np.float32), rng.normal(size=(batch, last)).astype(np.float32)
    call = cr.jit(step).lower((model, optimizer.init(model), x, y))
    return call[0].graph, [np.asarray(a) for a in call[1]]


def test_the_training_step_of_a_deep_network_is_a_chain_and_a_pool(pools: Any) -> None:
    graph, args = deep(8, 32, 64)
    plan = same(graph, args, pools=pools)
    (chain, count), (pool, many) = [kind for kind in kinds(plan.fused) if kind[0] != "alone"]
    assert (chain, pool) == ("strands", "beside")
    assert count >= 8 + 7  # the products forward and back
    assert many >= 2 * 8  # a product and a column sum for every layer


@pytest.mark.parametrize("batch", [60, 63, 64, 90])
@pytest.mark.parametrize("width", [17, 32, 50])
def test_sizes(batch: int, width: int, eager: None, pools: Any) -> None:
    plan = same(*deep(4, width, batch), pools=pools)
    assert "strands" in dict(kinds(plan.fused))


@pytest.mark.parametrize("cores", [1, 2, 3, 5, 16])
def test_cores(cores: int, eager: None) -> None:
    graph, args = deep(4, 24, 60)
    plan = same(graph, args, cores)
    strands = {group.strands for group in plan.fused.groups if group.kind == "strands"}
    assert strands == ({cores if 60 % cores == 0 else 20} if cores > 1 else set())


def test_a_batch_that_no_number_of_strands_divides(eager: None) -> None:
    plan = same(*deep(4, 24, 61))
    assert "strands" not in dict(kinds(plan.fused))


def chain(x: Any, *weights: Any) -> Any:
    for w in weights:
        x = np.tanh(x @ w)
    return x


def arguments(dtype: Any = np.float32) -> list[Any]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(48, 20)).astype(dtype), *(rng.normal(size=(20, 20)).astype(dtype) / 4 for _ in range(4))]


CHAINS = {
    "products": chain,
    "transposed weights": lambda x, *w: chain(x, *(a.T for a in w)),
    "softmax in between": lambda x, *w: nn.softmax(chain(x, *w[:2])) @ w[2] - np.exp(w[3][0]),
    "rows by their norm": lambda x, *w: chain(chain(x, w[0]) / np.sqrt(np.sum(chain(x, w[0]) ** 2, 1))[:, None], w[1]),
    "every other column": lambda x, *w: chain(x, w[0])[:, ::2] @ w[1][::2] + chain(x, w[0])[:, ::-1],
    "rows as matrices": lambda x, *w: np.sum((chain(x, w[0]).reshape(48, 4, 5) * 2) @ w[1][:5], axis=2) + 1,
    "a column": lambda x, *w: (chain(x, *w[:2]) @ w[2][:, :1]) * chain(x, *w[:2]),
    "one number a row": lambda x, *w: np.exp(chain(x, *w[:2]) @ w[2][0])[:, None] * x,
}
MIXING = {
    "the mean of the batch": lambda x, *w: chain(chain(x, *w[:2]) - chain(x, *w[:2]).mean(axis=0), *w[2:]),
    "its rows backwards": lambda x, *w: chain(chain(x, *w[:2])[::-1], *w[2:]) + chain(x, w[0]),
    "rows moved by one": lambda x, *w: np.tanh(chain(x, w[0])[1:] - chain(x, w[0])[:-1]) @ w[1],
    "every other row": lambda x, *w: chain(np.concatenate([chain(x, w[0])[::2], chain(x, w[0])[1::2]]), w[1]),
    "its own transpose": lambda x, *w: chain(chain(x, w[0]) @ chain(x, w[1]).T @ chain(x, w[2]), w[3]),
    "a row for all": lambda x, *w: chain(x, *w[:2]) * chain(x, *w[:2])[7] @ w[2],
    "half of its rows twice": lambda x, *w: chain(np.concatenate([chain(x, w[0])[:24]] * 2), w[1]),
    "an outer product": lambda x, *w: chain(x, w[0])[:, 0][:, None] * chain(x, w[0])[:, 1],
    "the running sum": lambda x, *w: chain(np.cumsum(chain(x, w[0]), axis=0), w[1]),
    "its first half beside the second": lambda x, *w: np.tanh(chain(x, w[0]).reshape(2, 24, 20).sum(axis=0)) @ w[1],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CHAINS)
def test_chains(name: str, dtype: Any, eager: None, pools: Any) -> None:
    args = arguments(dtype)
    plan = same(cr.trace(lambda *a: [CHAINS[name](*a)])(*args), args, pools=pools)
    assert "strands" in dict(kinds(plan.fused)), plan.fused


@pytest.mark.parametrize("name", MIXING)
def test_what_mixes_rows_waits_for_all_of_them(name: str, eager: None, pools: Any) -> None:
    args = arguments()
    graph = cr.trace(lambda *a: [MIXING[name](*a)])(*args)
    same(graph, args, pools=pools)
    same(cr.trace(cr.grad(lambda *a: np.sum(MIXING[name](*a)), argnums=(0, 1)))(*args), args, pools=pools)


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_in_groups(seed: int, eager: None, pools: Any) -> None:
    graph, args, _ = random_program(seed, 40)
    program = compiled(plan_for(graph))
    wanted = bounds(graph, args)
    pools(3)
    for _ in range(2):
        for found, bound in zip(program(args), wanted, strict=True):
            assert not difference(found, bound)


def test_donated_arguments_are_still_updated_in_place(eager: None) -> None:
    graph, args = deep(5, 32, 64)
    donated = tuple(range(len(args) - 2))
    alone = make_plan(graph, dataclasses.replace(host(), cores=1), donated)
    together = plan_for(graph, 2, donated)
    assert any(group.kind == "strands" for group in together.fused.groups)
    assert together.main.shared == alone.main.shared
    wanted = compiled(alone)([a.copy() for a in args])
    for found, value in zip(compiled(together)([a.copy() for a in args]), wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=2e-5, atol=1e-6)


def test_a_little_work_is_left_as_it_is() -> None:
    graph = cr.trace(lambda x, w: [np.tanh(np.tanh(x @ w) @ w)])(np.ones((8, 8)), np.ones((8, 8)))
    assert plan_for(graph).fused.groups == []


def test_what_runs_together_is_shown() -> None:
    graph, _ = deep(8, 32, 64)
    text = stage_text(graph, "fused", dataclasses.replace(host(), cores=2))
    first = next(line for line in text.splitlines() if "strands" in line)
    assert "kernel 0 " in first
    assert ": product over 64×32, in 2 strands with kernels 0 to " in first
    assert "over 32×32, beside one another: kernels " in text
    plan = plan_for(graph)
    assert {number for _, number in served(plan)} == set(range(len(plan.fused.clusters)))
    assert len(served(plan)) == len(plan.fused.clusters)
    llvm = stage_text(graph, "llvm", dataclasses.replace(host(), cores=2))
    assert llvm.count("; kernels that run together\ndefine internal void @") == 2


def test_a_profile_deals_the_time_of_a_group_out() -> None:
    graph, args = deep(8, 32, 64)
    profile = profile_graph(graph, args, repeats=20)
    assert sum(row.seconds for row in profile.rows) <= 1.1 * profile.seconds
    products = [row for row in profile.rows if row.kind == "product"]
    assert len(products) == 3 * 8 - 1
    assert all(row.calls == 1 and row.seconds > 0 for row in products)


# --------------------------------------------------------------------------------------------------------------- rules


def scheduled() -> Fused:
    graph = simplify(cr.trace(lambda *a: [chain(*a), a[1] + a[2], np.sum(chain(*a[:2]), axis=0)])(*arguments()))
    return schedule(fuse(graph, views(graph)), dataclasses.replace(host(), cores=2))


def refused(fused: Fused, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        check(fused)


def test_rules_of_groups(eager: None) -> None:
    fused = scheduled()
    check(fused)
    strands = next(group for group in fused.groups if group.kind == "strands")
    others = [group for group in fused.groups if group is not strands]
    refused(dataclasses.replace(fused, groups=others), "each kernel is in one group")
    pool = [group._replace(kind="beside") if group is strands else group for group in fused.groups]
    refused(dataclasses.replace(fused, groups=pool), "cut alike")
    pool = [group._replace(kind="beside", strands=1) if group is strands else group for group in fused.groups]
    whole = [dataclasses.replace(cluster, strands=1) for cluster in fused.clusters]
    refused(dataclasses.replace(fused, groups=pool, clusters=whole), "reads what runs beside it")
    uneven = [group._replace(strands=5) if group is strands else group for group in fused.groups]
    cut = [dataclasses.replace(cluster, strands=5 if cluster.strands > 1 else 1) for cluster in fused.clusters]
    refused(dataclasses.replace(fused, groups=uneven, clusters=cut), "strands have as many rows each")


@pytest.mark.parametrize("name", MIXING)
def test_a_chain_that_mixes_rows_is_refused(name: str) -> None:
    args = arguments()
    graph = simplify(cr.trace(lambda *a: [MIXING[name](*a)])(*args))
    fused = fuse(graph, views(graph))
    fused.groups = [Group("strands", 0, len(fused.clusters), 2)]
    for cluster in fused.clusters:
        cluster.strands = 2
    refused(fused, "reads (all|what another strand)|strands (have as many rows|are of kernels)|what runs at once is")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [
    (64, 32, 32), (32, 20, 9), (48, 200, 3), (64, 90, 4), (24, 5, 130), (30, 257, 33), (12, 400, 40),
])  # fmt: skip
def test_strands_change_no_bits(shape: tuple[int, int, int], dtype: Any, eager: None) -> None:
    m, k, n = shape
    rng = np.random.default_rng(3)
    args = [rng.normal(size=s).astype(dtype) for s in ((m, k), (k, n), (n, k), (k, n))]
    graph = cr.trace(lambda x, a, b, c: [np.tanh(np.tanh(x @ a) @ b) @ c, np.maximum(x @ b.T, 0) @ b])(*args)
    alone = [np.asarray(a).tobytes() for a in compiled(plan_for(graph, 1))(args)]
    for cores in (2, 3, 4):
        plan = plan_for(graph, cores)
        assert "strands" in dict(kinds(plan.fused))
        assert [np.asarray(a).tobytes() for a in compiled(plan)(args)] == alone
