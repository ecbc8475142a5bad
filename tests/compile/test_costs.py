"""The cost model: operations and bytes of known shapes, counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.costs import Cost, cluster_cost, graph_flops, operations
from chainrule.compile.fuse import Fused, fuse
from chainrule.compile.views import views

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def ones(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.ones(shape, dtype)


def fused(f: Any, *args: Any) -> Fused:
    graph = cr.trace(f)(*args)
    return fuse(graph, views(graph))


def costs(f: Any, *args: Any) -> list[Cost]:
    found = fused(f, *args)
    return [cluster_cost(found, n) for n in range(len(found.clusters))]


def test_a_product() -> None:
    (cost,) = costs(lambda x, w: x @ w, ones(64, 784), ones(784, 128))
    assert cost == Cost(2 * 64 * 784 * 128, 4 * (64 * 784 + 784 * 128 + 64 * 128))


def test_a_batched_product_in_float64_reads_a_shared_operand_once() -> None:
    (cost,) = costs(lambda x, w: x @ w, ones(5, 3, 7, dtype=np.float64), ones(7, 2, dtype=np.float64))
    assert cost == Cost(2 * 5 * 3 * 7 * 2, 8 * (5 * 3 * 7 + 7 * 2 + 5 * 3 * 2))


def test_a_pointwise_chain_is_one_loop_whose_inner_values_move_nothing() -> None:
    (cost,) = costs(lambda x, b: np.maximum(x * 2 + b, 0), ones(10, 20), ones(20))
    assert cost == Cost(3 * 200, 4 * (200 + 20 + 200))


def test_a_reduction() -> None:
    (cost,) = costs(lambda x: np.sum(x * x, axis=-1), ones(10, 20))
    assert cost == Cost(400, 4 * (200 + 10))


def test_the_update_of_a_weight() -> None:
    (cost,) = costs(lambda w, g: w - 0.1 * g, ones(100), ones(100))
    assert cost == Cost(200, 4 * 300)


def test_what_is_only_rearranged_or_copied_has_no_operations() -> None:
    assert costs(lambda x: x.T.reshape(-1), ones(4, 6)) == [Cost(0, 4 * 48)]


def test_a_broadcast_counts_as_it_lies_in_memory() -> None:
    (cost,) = costs(lambda x: np.broadcast_to(x, (100, 8)) * 3, ones(8))
    assert cost.bytes == 4 * (8 + 800)


def test_rows_that_are_picked_are_read_alone() -> None:
    *_, cost = costs(lambda table, i: table[i], ones(1000, 16), np.array([3, 5]))
    assert cost == Cost(0, 2 * 8 + 2 * 4 * 2 * 16)


def test_empty_arrays_cost_nothing() -> None:
    assert costs(lambda x: np.exp(x), ones(0, 5)) == [Cost(0, 0)]


@pytest.mark.parametrize(("name", "least", "most"), [("exp", 10, 40), ("log", 10, 50), ("tanh", 15, 70),
                                                     ("erf", 20, 200), ("sigmoid", 15, 70)])  # fmt: skip
def test_functions_count_what_our_polynomials_take(name: str, least: int, most: int) -> None:
    assert least <= operations(name, F32) <= most
    assert operations(name, F32) <= operations(name, F64)


def test_a_function_is_counted_as_a_reader_would_from_its_text() -> None:
    from chainrule.compile.vectormath import definition

    text = definition("exp2", "f32")  # calls nothing of ours
    assert "@cr." not in text.replace("@cr.exp2.f32", "")
    words = ["= fadd", "= fsub", "= fmul", "= fdiv", "= fneg", "= fcmp", "= select", "@llvm.rint"]
    by_hand = sum(text.count(word) for word in words) + 2 * text.count("@llvm.fma.")
    assert operations("exp2", F32) == by_hand


def test_simple_operations_count_one_and_conversions_nothing() -> None:
    assert [operations(name, F32) for name in ("add", "div", "sqrt", "where", "maximum", "cast")] == [1, 1, 1, 1, 1, 0]


def test_a_loop_counts_its_body_as_often_as_it_turns() -> None:
    def walk(x: Any) -> Any:
        return cr.scan(lambda h, row: (h * 2 + row, h), x[0], x)[0]

    graph = cr.trace(walk)(ones(50, 8))
    assert graph_flops(graph) == 50 * 2 * 8


def test_of_two_branches_the_dearer_counts() -> None:
    graph = cr.trace(lambda x: cr.cond(x[0] > 0, lambda: x * 2 + 1, lambda: x))(ones(8))
    assert graph_flops(graph) == 2 * 8 + 1  # and the comparison


def test_what_numpy_computes_is_not_counted() -> None:
    graph = cr.trace(lambda x: np.linalg.inv(x))(ones(8, 8))
    assert graph_flops(graph) == 0


def test_costs_add_and_multiply() -> None:
    assert (Cost(1, 2) + Cost(3, 4)).times(10) == Cost(40, 60)
