"""The compiler's checkers: what the passes make keeps the rules, and each rule refuses an input damaged on purpose."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.base.arrays import BOOL
from chainrule.compile.check import buffers_of, check, check_clusters, check_storage, checked, checking
from chainrule.compile.checkloops import check_kernel
from chainrule.compile.compiler import make_plan
from chainrule.compile.engine import CompileError
from chainrule.compile.fuse import Fused, fuse
from chainrule.compile.loops import Compute, Finish, Kernel, Load, Loop, Place, Start, Store, Update, lower
from chainrule.compile.parts import Part
from chainrule.compile.views import views

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def fused_of(f: Callable[..., Any], *args: Any) -> Fused:
    graph = cr.trace(f)(*args)
    return fuse(graph, views(graph))


# --------------------------------------------------------------------------------------------------------------- loops


Rule = Callable[[Any], list[Any]]


def changed(body: list[Any], rule: Rule) -> list[Any]:
    """A body with ``rule`` applied to each statement, the inner ones first."""
    found: list[Any] = []
    for s in body:
        inner = Loop(s.var, s.extent, changed(s.body, rule), s.split, s.carried) if isinstance(s, Loop) else s
        found += rule(inner)
    return found


def once(kind: type, make: Callable[[Any], list[Any]]) -> Rule:
    """A rule that changes the first statement of a kind."""
    done: list[bool] = []

    def rule(s: Any) -> list[Any]:
        if isinstance(s, kind) and not done:
            done.append(True)
            return make(s)
        return [s]

    return rule


def moved(place: Place, by: int = 0, **strides: int) -> Place:
    return Place(place.offset + by, (*place.terms, *strides.items()))


DAMAGES: dict[str, tuple[Rule, str]] = {
    "use before definition": (once(Load, lambda s: []), "a name is used where it is not known"),
    "defined twice": (once(Load, lambda s: [s, s]), "a name is defined twice"),
    "use outside of its loop": (once(Store, lambda s: [s._replace(value="t2")]), "is used where it is not known"),
    "dtype of a buffer": (once(Load, lambda s: [s._replace(dtype=F32)]), "b0 has another dtype"),
    "dtype of a name": (once(Compute, lambda s: [s._replace(dtype=F32)]), "has another dtype"),
    "dtype of a result": (once(Compute, lambda s: [s._replace(result=BOOL)]), "does not give this dtype"),
    "behind the end": (once(Load, lambda s: [s._replace(place=moved(s.place, 1))]), "a place outside of b0"),
    "before the beginning": (once(Store, lambda s: [s._replace(place=moved(s.place, -1))]), "a place outside of"),
    "one turn too many": (once(Loop, lambda s: [Loop(s.var, s.extent + 1, s.body)]), "a place outside of"),
    "stride": (once(Load, lambda s: [s._replace(place=moved(s.place, i0=1))]), "a place outside of b0"),
    "unknown variable": (once(Load, lambda s: [s._replace(place=moved(s.place, q=1))]), "names a variable"),
    "not a whole number": (once(Store, lambda s: [s._replace(place=moved(s.place, t3=1))]), "is a whole number"),
    "store to an input": (once(Store, lambda s: [s, s._replace(buffer=0)]), "b0 may not be stored to"),
    "foreign buffer": (once(Load, lambda s: [s._replace(buffer=99)]), "b99 may not be read"),
    "store left out": (once(Store, lambda s: []), "is not stored whole"),
    "not started": (once(Start, lambda s: []), "an accumulator is fed that is not open"),
    "started twice": (once(Start, lambda s: [s, s]), "an accumulator is started twice"),
    "not fed": (once(Update, lambda s: []), "an accumulator is finished that nothing was added to"),
    "fed with another dtype": (once(Update, lambda s: [s._replace(dtype=F32)]), "has another dtype"),
    "finished twice": (once(Finish, lambda s: [s, s._replace(name="u")]), "finished that was not started here"),
    "finished in another dtype": (once(Finish, lambda s: [s._replace(dtype=F32)]), "has another dtype"),
    "negative extent": (once(Loop, lambda s: [Loop(s.var, -1, s.body)]), "extent is a whole number"),
    "one variable twice": (once(Loop, lambda s: [Loop("i0", s.extent, s.body)]), "have one variable"),
    "split inside": (once(Loop, lambda s: [Loop(s.var, s.extent, s.body, True)]), "a loop in a loop is split"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_loops_are_refused(name: str) -> None:
    fused = fused_of(softmax, np.zeros((3, 4)))
    kernel = lower(fused, 0)
    check_kernel(kernel, buffers_of(fused, 0))
    rule, message = DAMAGES[name]
    damaged = Kernel(kernel.name, changed(kernel.body, rule), kernel.work, kernel.scratch)
    assert str(damaged) != str(kernel) or "dtype" in name or name == "split inside"
    with pytest.raises(CompileError, match=message) as caught:
        check_kernel(damaged, buffers_of(fused, 0))
    assert caught.value.problem.startswith("kernel0: ")
    assert str(damaged) in caught.value.where  # type: ignore[operator]


def test_a_finish_that_is_missing_is_found() -> None:
    fused = fused_of(lambda x: np.sum(x), np.zeros(5))
    kernel = lower(fused, 0)
    body = changed(kernel.body, lambda s: [] if isinstance(s, (Finish, Store)) else [s])
    with pytest.raises(CompileError, match="an accumulator is not finished"):
        check_kernel(Kernel(kernel.name, body, 1), buffers_of(fused, 0))


def test_two_split_loops_are_refused() -> None:
    fused = fused_of(lambda x: x * 2, np.zeros(5))
    kernel = lower(fused, 0)
    with pytest.raises(CompileError, match="more than one loop is split"):
        check_kernel(Kernel(kernel.name, [*kernel.body, Loop("z", 3, [], True)], 1), buffers_of(fused, 0))


def test_what_every_part_runs_may_not_store_what_is_read() -> None:
    fused = fused_of(lambda x: x * 2, np.zeros(200))
    kernel, buffers = lower(fused, 0), buffers_of(fused, 0)
    check_kernel(kernel, buffers)
    assert kernel.splits == 200
    (out,) = fused.graph.outputs
    again = [Load("q", out, Place(0, ()), F64), Store(out, Place(0, ()), "q", F64)]
    with pytest.raises(CompileError, match=f"b{out} is read by a part, and stored by all"):
        check_kernel(Kernel("kernel0", [*kernel.body, *again], 1, kernel.scratch), buffers)


def test_what_rides_on_a_product_is_checked() -> None:
    x = np.ones((3, 20, 30), np.float32)
    part = make_plan(cr.trace(lambda x, w: np.tanh(x @ w + w[0]))(x, np.ones((30, 17), np.float32))).main
    check(part)
    (number,) = (n for n, c in enumerate(part.fused.clusters) if c.kind == "product")
    index, *riders = part.fused.clusters[number].lines
    assert riders
    damaged = copy.deepcopy(part)
    read = next(a for a in damaged.graph.lines[riders[0]].args if a != index)
    view = damaged.fused.views[read]
    assert view is not None
    damaged.fused.views[read] = view._replace(offset=view.offset + 10_000)
    with pytest.raises(CompileError, match=f"finish{number}: a place outside of b"):
        check(damaged)


@pytest.mark.parametrize("op", ["minimum", "maximum"])
def test_computed_places_must_be_clamped(op: str) -> None:
    fused = fused_of(lambda x, i: x[i], np.zeros(5), np.zeros(3, np.int64))
    number = len(fused.clusters) - 1
    kernel, buffers = lower(fused, number), buffers_of(fused, number)
    check_kernel(kernel, buffers)
    damaged = changed(kernel.body, lambda s: [s._replace(op="mul")] if isinstance(s, Compute) and s.op == op else [s])
    with pytest.raises(CompileError, match="a place outside of b0"):
        check_kernel(Kernel(kernel.name, damaged, 1), buffers)


def test_loops_that_never_run_may_name_any_place() -> None:
    fused = fused_of(lambda x: x * 2, np.zeros((0, 3)))
    check_kernel(lower(fused, 0), buffers_of(fused, 0))


def test_the_message_names_kernel_statement_and_place() -> None:
    fused = fused_of(lambda x: x * 2, np.zeros(5))
    kernel = lower(fused, 0)
    body = changed(kernel.body, once(Load, lambda s: [s._replace(place=moved(s.place, 1))]))
    with pytest.raises(CompileError) as caught:
        check_kernel(Kernel("kernel0", body, 1), buffers_of(fused, 0))
    assert str(caught.value).splitlines()[:5] == [
        "kernel0: a place outside of b0", "  expected: 0 to 4", "  got: 1 to 5", "  where: t1 = b0[i0 + 1]",
        "kernel kernel0:",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ clusters


def chain() -> Fused:
    """Four kernels: pointwise, two products, rows."""
    x = np.ones((3, 4))
    return fused_of(lambda x: softmax(np.tanh(x) @ (x.T @ x)), x)


def turned(fused: Fused) -> None:
    fused.clusters.reverse()
    fused.where.update({i: n for n, c in enumerate(fused.clusters) for i in c.lines})


def test_damaged_clusters_are_refused() -> None:
    fused = chain()
    check_clusters(fused)
    assert sorted(c.kind for c in fused.clusters) == ["pointwise", "product", "product", "row"]
    (number,) = (n for n, c in enumerate(fused.clusters) if c.kind == "pointwise")
    (tanh,), last = fused.clusters[number].lines, fused.clusters[-1].lines
    damages: list[tuple[Callable[[Fused], Any], str]] = [
        (turned, "before it is computed"),
        (lambda f: f.clusters[-1].lines.reverse(), "before it is computed"),
        (lambda f: f.stored.remove(tanh), f"%{tanh} is not stored"),
        (lambda f: f.stored.remove(f.graph.outputs[0]), "is not stored"),
        (lambda f: f.stored.add(0), "%0 is stored but not computed"),
        (lambda f: f.clusters[-1].lines.append(last[0]), "is computed twice"),
        (lambda f: f.clusters[-1].lines.pop(), "each line has the domain's shape or one value per row"),
        (lambda f: (f.clusters.pop(), [f.where.pop(i) for i in last]), "is in no kernel"),
        (lambda f: f.clusters[number].lines.append(0), "%0 needs no kernel"),
        (lambda f: f.where.update({tanh: 3}), "is said to be elsewhere"),
        (lambda f: f.clusters[number].lines.clear(), "a kernel computes nothing"),
        (lambda f: f.clusters[-1].full.add(next(iter(f.clusters[-1].rows))), "the domain's shape or one value per row"),
        (lambda f: setattr(f.clusters[number], "domain", (3, 5)), "does not fit the domain"),
        (lambda f: setattr(f.clusters[-1], "kind", "column"), "does not fit the domain"),
    ]
    for damage, message in damages:
        damaged = copy.deepcopy(fused)
        damage(damaged)
        with pytest.raises(CompileError, match=message):
            check_clusters(damaged)


# ------------------------------------------------------------------------------------------------------------- storage


def part_of(donated: tuple[int, ...] = ()) -> Part:
    x = np.ones((40, 40), np.float32)
    graph = cr.trace(lambda x, y: (np.tanh(x @ x.T) @ x @ x, y + 1))(x, x[0])
    return make_plan(graph, donated=donated).main


def moved_to(part: Part, key: Any, **values: Any) -> None:
    part.places[key] = replace(part.places[key], **values)


def test_damaged_storage_is_refused() -> None:
    part = part_of()
    check(part)
    held = [key for key, place in part.places.items() if place.kind == "temporary"]
    first, second = held[:2]
    assert part.places[first].detail != part.places[second].detail
    damages: list[tuple[Callable[[Part], Any], str]] = [
        (lambda p: moved_to(p, first, detail=p.places[second].detail), "live at once and overlap"),
        (lambda p: moved_to(p, first, detail=p.places[first].detail + 4), "is not aligned"),
        (lambda p: setattr(p, "arena", p.arena - 64), "outside of the arena"),
        (lambda p: moved_to(p, first, detail=-64), "outside of the arena"),
        (lambda p: moved_to(p, first, slot=0), "slots are numbered once each"),
        (lambda p: p.places.pop(held[-1]), "slots are numbered once each|has no place"),
        (lambda p: moved_to(p, first, shape=(1,)), "of another size"),
        (lambda p: moved_to(p, first, dtype=F64), "of another size"),
    ]
    for damage, message in damages:
        damaged = copy.deepcopy(part)
        damage(damaged)
        with pytest.raises(CompileError, match=message):
            check_storage(damaged)


def test_an_input_whose_memory_is_taken_is_read_no_more() -> None:
    part = part_of(donated=(1,))
    assert part.shared == {1: 1}
    check_storage(part)
    read_later = make_plan(cr.trace(lambda x: (np.exp(x), np.sort(x)))(np.ones(7))).main
    where = read_later.fused.where
    first, last = sorted((0, 1), key=lambda output: where[read_later.graph.outputs[output]])
    for shared, message in (({first: 0}, "reads input 0, whose memory"), ({0: 0, 1: 0}, "two results share input 0")):
        read_later.shared = shared
        with pytest.raises(CompileError, match=message):
            check_storage(read_later)
    read_later.shared = {last: 0}
    check_storage(read_later)
    part.shared = {1: 0}
    with pytest.raises(CompileError, match="result 1 is of another type than input 0"):
        check_storage(part)


# ----------------------------------------------------------------------------------------------------------- switching


def test_checks_run_where_they_are_asked_for() -> None:
    fused = chain()
    fused.stored.clear()
    with checking(), pytest.raises(CompileError, match="is not stored"):
        checked(fused)


def test_checks_are_off_by_default_and_on_by_environment() -> None:
    program = (
        "import numpy as np, chainrule as cr\n"
        "from chainrule.compile import check\n"
        "seen = []\n"
        "check.check_clusters = lambda fused: seen.append(fused)\n"
        "from chainrule.compile.compiler import make_plan\n"
        "make_plan(cr.trace(np.exp)(np.ones(3)))\n"
        "print(len(seen))\n"
    )
    for value, times in (("0", 0), ("1", 2)):
        environment = {**os.environ, "CHAINRULE_CHECK": value}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.stdout == f"{times}\n", done.stderr
