"""Stages as text: numbers of kernels, headings, which function serves which kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from golden_graphs import GOLDEN

import chainrule as cr
from chainrule.base.errors import OptionError
from chainrule.compile.compiler import make_plan
from chainrule.compile.stages import heading, phase_of, places, served, stage_text, steps
from chainrule.compile.target import NAMED, named
from chainrule.graph.graph import Graph

ROWS = np.ones((3, 40), np.float32)


def traced(f: Any, *args: Any) -> Graph:
    graph: Graph = cr.trace(f)(*args)
    return graph


def test_kernels_are_numbered_as_they_run_those_in_loops_behind_them() -> None:
    def walk(x: Any) -> Any:
        carry, _ = cr.scan(lambda h, row: (np.tanh(h + row), None), x[0] * 2, x)
        return carry + 1

    labels = [step.label for step in steps(make_plan(traced(walk, ROWS)))]
    assert labels == sorted(labels, key=lambda label: [int(part) for part in label.split(".")])
    (loop,) = [step for step in steps(make_plan(traced(walk, ROWS))) if step.cluster.kind == "region"]
    assert f"{loop.label}.0" in labels
    assert heading(loop) == f"kernel {loop.label}: scan of 3 turns"


def test_tests_bodies_and_branches_have_names() -> None:
    labels = [step.label for step in steps(make_plan(GOLDEN["squares_until"].graph()))]
    assert {"0.test.0", "0.body.0"} <= set(labels)
    branches = {label.rpartition(".")[0] for label in labels if label.startswith("2.")}
    assert branches == {"2.true", "2.false"}


def test_a_graph_that_is_run_twice_is_listed_once() -> None:
    def body(h: Any, row: Any) -> Any:
        return h + row, None

    def twice(x: Any) -> Any:
        return cr.scan(body, x[0], x)[0], cr.scan(body, x[1], x)[0]

    labels = [step.label for step in steps(make_plan(traced(twice, ROWS)))]
    assert len([label for label in labels if "." in label]) == 1


def test_kernels_that_do_the_same_are_one_function_under_two_headings() -> None:
    def apart(x: Any, y: Any) -> Any:
        return np.sort(np.exp(x)), np.sort(np.exp(y))  # NumPy sorts in between

    graph = traced(apart, ROWS, ROWS + 1)
    users: dict[str, list[str]] = {}
    plan = make_plan(graph)
    for step in steps(plan):
        if name := served(plan).get((step.part.name, step.number)):
            users.setdefault(name, []).append(step.label)
    name, labels = next((name, labels) for name, labels in users.items() if len(labels) == 2)
    lines = stage_text(graph, "llvm").splitlines()
    (at,) = [n for n, line in enumerate(lines) if line.startswith(f"define internal void @{name}(")]
    assert [line.split()[2].rstrip(":") for line in lines[at - 2 : at]] == labels


def test_every_native_kernel_is_served_and_shown() -> None:
    for name, golden in GOLDEN.items():
        plan = make_plan(golden.graph())
        native = {(s.part.name, s.number) for s in steps(plan) if s.cluster.kind not in ("call", "region")}
        assert set(served(plan)) == native, name
        text = stage_text(golden.graph(), "llvm")
        for step in steps(plan):
            if (step.part.name, step.number) in native:
                assert f"kernel {step.label}: " in text, name


def test_what_numpy_computes_has_no_loops() -> None:
    text = stage_text(traced(lambda x: np.linalg.inv(x[:, :3]), ROWS), "loops")
    assert "NumPy over 3×3: solve" in text
    assert "no loops: NumPy computes it" in text


def test_a_product_shows_its_formula_its_tiles_and_what_rides_on_them() -> None:
    text = stage_text(GOLDEN["dense"].graph(), "loops", named("avx2"))
    assert "for i in 3, j in 9: %3[i, j] = sum of %0[i, k]·%1[k, j] over k in 5" in text
    assert "  tiles: broadcast: rows" in text
    assert "then, on each tile while it is in the nearest cache:\n    for i in 3" in text
    assert "= tanh " in text


def test_phases_and_places() -> None:
    def step(w: Any, x: Any) -> Any:
        gradient = cr.grad(lambda w: np.sum(np.tanh(x * w)))(w)
        return w - 0.1 * gradient

    found = steps(make_plan(traced(step, ROWS, ROWS)))
    assert {phase for s in found for phase in phase_of(s).split(", ")} <= {"forward", "backward", "update"}
    assert any("update" in phase_of(s) for s in found)
    assert any(place.startswith("test_stages.py:") for s in found for place in places(s))
    (plain,) = steps(make_plan(traced(np.exp, ROWS)))
    assert phase_of(plain) == ""


def test_instructions_on_vectors_are_told_from_those_on_one_number() -> None:
    wide = stage_text(traced(lambda x: x * 2, np.ones(4096, np.float32)), "asm", named("avx2"))
    assert " on 256-bit vectors" in wide
    narrow = stage_text(traced(lambda x: x * 2 + 1, np.float32(3)), "asm", named("avx2"))
    assert "vector" not in narrow.splitlines()[1]


@pytest.mark.parametrize("target", ["avx2", "neon"])
def test_work_for_several_threads_becomes_machine_code(target: str) -> None:
    x = np.ones((256, 4096), np.float32)
    graph = traced(lambda x: np.exp(x), x)
    assert make_plan(graph, named(target)).parallel
    assert "kernel0" in stage_text(graph, "asm", named(target))
    assert "kernel0" in stage_text(graph, "llvm", named(target), optimised=True)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_target_is_the_same_on_every_machine(name: str) -> None:
    target = named(name)
    if name != "host":
        assert target.cores == 1
        assert target.features in ("", "+neon,+fp-armv8")
    assert "kernel" in stage_text(GOLDEN["softmax"].graph(), "asm", target)


def test_a_target_there_is_not() -> None:
    with pytest.raises(OptionError) as caught:
        named("mips")
    assert "unknown value for target\n  expected: one of: host, avx512, avx2, generic, neon\n  got: 'mips'" in str(
        caught.value
    )
